"""纷享销客 Fxiaoke (ShareCRM): pull accounts, contacts, leads, orders, cases and what is sold.

Accounts, contacts, leads and cases can be created and changed. A row is a record as a query gives
it; fields without a value are left out by the vendor.

Source: https://developer.fxiaoke.com/openapi_v2/ (checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import cached_property

from adapters.fxiaoke.config import FxiaokeConfig
from adapters.fxiaoke.crm import ANSWERS, OBJECTS, VERSION, Crm, carry, fetch_token, is_gone, traced
from hub.sdk import (
    Adapter,
    Change,
    ConfigError,
    ConflictError,
    Http,
    Page,
    Raw,
    Receipt,
    RecordRef,
    RejectedError,
    Sighting,
    Stream,
    Survey,
    as_version,
    scan,
    sweep,
)
from hub.sdk.auth import TokenAuth

SURVEYED = ("life_status", "is_deleted")


class FxiaokeAdapter(Adapter[FxiaokeConfig]):
    """One company, or none: then the connection only receives callbacks."""

    looks_up = True
    streams = (
        Stream("accounts", writable=True),
        Stream("contacts", writable=True),
        Stream("leads", writable=True),
        Stream("opportunities", every_s=300),
        Stream("products", every_s=600),
        Stream("orders"),
        Stream("cases", writable=True),
    )

    def connect(self) -> Http:
        c = self.config
        if not c.asks:
            raise ConfigError("this connection only receives callbacks", hint="Set app_secret.")
        tokens = TokenAuth(self.tokens, fetch_token(c), carry=carry(c), raise_for_body=ANSWERS)
        return Http(c.url, auth=tokens, sign=traced, raise_for_body=ANSWERS)

    @cached_property
    def crm(self) -> Crm:
        return Crm(self.http, self.config)

    def check(self) -> None:
        if not self.config.asks:  # who takes callbacks only has nothing to try
            return
        for name in OBJECTS:
            try:
                self.crm.changed(name, self.http.now(), "")
            except RejectedError as exc:
                said = f"Fxiaoke does not let the hub read {self.crm.object_of(name)} ({name})"
                raise ConfigError(said, hint=exc.hint) from exc

    def reads(self, stream: Stream) -> bool:
        return self.config.asks

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        def read(since: datetime | None, position: str) -> tuple[list[Raw], str | None]:
            return self.crm.changed(stream.name, since, position)

        since, overlap_s = self.config.backfill_from, stream.overlap_s
        yield from scan(read, cursor, now=self.http.now, since=since, overlap_s=overlap_s)

    def survey(self, stream: Stream, cursor: str | None) -> Iterator[Survey]:
        def read(position: str | None) -> tuple[list[Sighting], str | None]:
            since = self.config.backfill_from
            rows, onward = self.crm.changed(stream.name, since, position or "", fields=SURVEYED)
            there = [row for row in rows if not is_gone(row)]
            seen = [Sighting(str(row["_id"]), as_version(row.get(VERSION))) for row in there]
            return seen, onward

        yield from sweep(read, cursor)

    def fetch(self, ref: RecordRef) -> Raw | None:
        return self.crm.one(ref.stream, ref.id)

    def find(self, stream: Stream, values: Raw) -> list[Raw]:
        known = [(name, v) for name, v in values.items() if v and isinstance(v, str)]
        rows = [row for told in known for row in self.crm.having(stream.name, *told)]
        return list({str(row["_id"]): row for row in rows}.values())

    def push(self, stream: Stream, change: Change) -> Receipt:
        if change.id is not None:
            return self._update(stream.name, change)
        c, marker = self.config, change.marker or change.key
        for row in self.crm.having(stream.name, c.marker_field, marker):
            return Receipt(id=str(row["_id"]))
        told = {"owner": [c.user_id], **c.defaults.get(stream.name, {}), **change.values}
        return Receipt(id=self.crm.create(stream.name, {**told, c.marker_field: marker}))

    def _update(self, stream: str, change: Change) -> Receipt:
        id_ = str(change.id)
        row = self.crm.one(stream, id_)
        if row is None:
            raise RejectedError(f"there is no {self.crm.object_of(stream)} {id_}")
        told = {name: value for name, value in change.values.items() if row.get(name) != value}
        if not told:  # an earlier try came through
            return Receipt(id=id_)
        if change.version and as_version(row.get(VERSION)) > change.version:
            raise ConflictError(f"{self.crm.object_of(stream)} {id_} was changed meanwhile")
        self.crm.update(stream, id_, told)
        return Receipt(id=id_)
