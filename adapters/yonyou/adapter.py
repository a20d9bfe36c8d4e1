"""用友 YonBIP and YonSuite: pull customers, products, orders and opportunities; create customers.

A row is as a list gives it; of an order the rows of its lines are one, with ``lines``. Added are
``modified_at``, as the vendor wrote it, and the ``currency`` code of an amount.

Source: https://open.yonyoucloud.com/ (checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import cached_property

from adapters.yonyou.config import YonyouConfig
from adapters.yonyou.signing import token_signature
from adapters.yonyou.tenant import ANSWERS, LISTINGS, ZONE, Tenant, completed
from hub.sdk import (
    Adapter,
    AuthError,
    Change,
    ConfigError,
    Http,
    Page,
    Raw,
    Receipt,
    RecordRef,
    RejectedError,
    Sighting,
    Stream,
    Survey,
    UnsupportedError,
    as_version,
    at,
    scan,
    sweep,
    written,
)
from hub.sdk.auth import TokenAuth, Tokens
from hub.sdk.signing import revealed

ADDRESSES = "/open-auth/dataCenter/getGatewayAddress"
TOKEN = "/open-auth/selfAppAuth/base/v1/getAccessToken"  # noqa: S105 - a path

FINDABLE = ("creditCode", "code")
"""What a customer can be asked for by."""

KEY_MAX = 32


class YonyouAdapter(Adapter[YonyouConfig]):
    """One tenant, or none: then the connection only receives events."""

    looks_up = True
    streams = (
        Stream("customers", writable=True),
        Stream("products", every_s=600),
        Stream("orders"),
        Stream("opportunities", every_s=300),
    )

    def connect(self) -> Http:
        if not self.config.asks:
            raise ConfigError("this connection only receives events", hint="Set tenant_id.")
        tokens = TokenAuth(self.tokens, self._token, carry=_shown, raise_for_body=ANSWERS)
        return Http(self._addresses["gatewayUrl"], auth=tokens, raise_for_body=ANSWERS)

    @cached_property
    def tenant(self) -> Tenant:
        return Tenant(self.http, self.config)

    def check(self) -> None:
        if self.config.asks:  # who takes events only has nothing to try
            for name in LISTINGS:
                self.tenant.changed(name, self.http.now(), "")

    def reads(self, stream: Stream) -> bool:
        return self.config.asks

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        def read(since: datetime | None, position: str) -> tuple[list[Raw], str | None]:
            rows, onward = self.tenant.changed(stream.name, since, position)
            return [completed(row) for row in rows], onward

        since, overlap_s = self.config.backfill_from, stream.overlap_s
        yield from scan(read, cursor, now=self.http.now, since=since, overlap_s=overlap_s)

    def survey(self, stream: Stream, cursor: str | None) -> Iterator[Survey]:
        def read(position: str | None) -> tuple[list[Sighting], str | None]:
            since = self.config.backfill_from
            rows, onward = self.tenant.changed(stream.name, since, position or "")
            full = [completed(row) for row in rows]
            seen = [Sighting(str(row["id"]), as_version(row["modified_at"], ZONE)) for row in full]
            return seen, onward

        yield from sweep(read, cursor)

    def fetch(self, ref: RecordRef) -> Raw | None:
        if ref.stream == "products":
            raise UnsupportedError("YonBIP gives no single product by its id")
        row = self.tenant.one(ref.stream, ref.id)
        return completed(row) if row else None

    def find(self, stream: Stream, values: Raw) -> list[Raw]:
        known = [(name, values[name]) for name in FINDABLE if values.get(name)]
        rows = [row for told in known for row in self.tenant.having(stream.name, *told)]
        return [completed(row) for row in {str(row["id"]): row for row in rows}.values()]

    def push(self, stream: Stream, change: Change) -> Receipt:
        if change.id is not None:
            said = "a customer in YonBIP is made, not changed"
            raise RejectedError(said, hint="Change it in YonBIP, or skip this delivery.")
        code = change.marker or change.key
        for row in self.tenant.having(stream.name, "code", code):
            return Receipt(id=str(row["id"]))
        values = {**self.config.defaults.get(stream.name, {}), "code": code, **change.values}
        key = change.key.replace("-", "")[:KEY_MAX]
        return Receipt(id=self.tenant.create(stream.name, values, key))

    @cached_property
    def _addresses(self) -> Raw:
        """Where the gateway of the tenant is, and who gives its tokens."""
        c = self.config
        if c.gateway_url and c.token_url:
            return {"gatewayUrl": c.gateway_url, "tokenUrl": c.token_url}
        asked = Http(c.data_center_url, allow_networks=c.allow_networks, raise_for_body=ANSWERS)
        said = asked.get(ADDRESSES, params={"tenantId": c.tenant_id.get_secret_value()})
        asked.close()
        told: Raw = said["data"]
        return told

    def _token(self, http: Http, _: Tokens | None) -> Tokens:
        key, secret = self.config.app_key, revealed(self.config.app_secrets)[0]
        now = written(http.now(), "ms")
        signature = token_signature(key, secret, int(now))
        asked = {"appKey": key, "timestamp": now, "signature": signature}
        told = http.get(f"{self._addresses['tokenUrl']}{TOKEN}", params=asked)
        token = at("data.access_token", told)
        if not token:
            raise AuthError("YonBIP gives no token", hint="Check app_key and app_secrets.")
        return Tokens.lasting(str(token), at("data.expire", told))


def _shown(tokens: Tokens) -> dict[str, dict[str, str]]:
    return {"params": {"access_token": tokens.access}}
