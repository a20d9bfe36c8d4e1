"""金蝶云星空: pull customers, materials, sales orders and receivables; create and approve.

A row is a head with the columns of ``forms.py`` and its ``lines``. Added are ``created_at`` and
``modified_at`` in UTC, and the ``currency`` code of an amount.

Source: API documentation 7.5.1800.6 and package kingdee.cdp.webapi.sdk 8.2.0 (checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import cached_property, partial

from adapters.kingdee.answers import raise_for_body, raise_for_gateway
from adapters.kingdee.cloud import Cloud
from adapters.kingdee.config import KingdeeConfig
from adapters.kingdee.forms import FORMS, one_of
from adapters.kingdee.session import log_in, shown, sign
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
    scan,
)
from hub.sdk.auth import TokenAuth, Tokens

AUTH = "/Kingdee.BOS.WebApi.ServicesStub.AuthService.{}.common.kdsvc"

TIMEOUT_S = 120.0
"""As the vendor's own client waits."""


class KingdeeAdapter(Adapter[KingdeeConfig]):
    """One data centre of one installation."""

    looks_up = True
    streams = (
        Stream("customers", writable=True),
        Stream("materials", every_s=600),
        Stream("sales_orders", writable=True),
        Stream("receivables", every_s=300),
    )

    def connect(self) -> Http:
        signed = self.config.auth == "signed"
        return Http(
            self.config.url,
            auth=None if signed else TokenAuth(self.tokens, self._log_in, carry=shown),
            sign=partial(sign, self.config) if signed else None,
            timeout_s=TIMEOUT_S,
            raise_for_body=raise_for_body,
            raise_for_refusal=raise_for_gateway,
        )

    @cached_property
    def cloud(self) -> Cloud:
        return Cloud(self.http, self.config)

    def check(self) -> None:
        for name, form in FORMS.items():
            try:
                self.cloud.query(form, self.cloud.columns(name), "", limit=1)
                if form.line:
                    self.cloud.query(form, (form.id, form.line, *form.lines), "", limit=1)
            except RejectedError as exc:
                said = f"Kingdee does not let the account read {form.name} ({name})"
                raise ConfigError(said, hint=exc.hint) from exc

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        size, id_ = self.config.page_size, FORMS[stream.name].id

        def read(since: datetime | None, position: str) -> tuple[list[Raw], str | None]:
            where = self.cloud.after(stream.name, since, position)
            rows = self.cloud.rows(stream.name, where, size=size)
            return rows, str(rows[-1][id_]) if len(rows) == size else None

        since, overlap_s = self.config.backfill_from, stream.overlap_s
        yield from scan(read, cursor, now=self.http.now, since=since, overlap_s=overlap_s)

    def survey(self, stream: Stream, cursor: str | None) -> Iterator[Survey]:
        size, id_ = self.config.page_size, FORMS[stream.name].id
        while True:
            where = self.cloud.after(stream.name, self.config.backfill_from, cursor or "")
            rows = self.cloud.versions(stream.name, where, size=size)
            seen = [Sighting(str(row[id_]), row["modified_at"]) for row in rows]
            cursor = seen[-1].id if len(seen) == size else None
            yield Survey(seen, cursor)
            if cursor is None:
                return

    def fetch(self, ref: RecordRef) -> Raw | None:
        where = one_of(FORMS[ref.stream].id, [ref.id])
        return next(iter(self.cloud.rows(ref.stream, where, size=1)), None)

    def find(self, stream: Stream, values: Raw) -> list[Raw]:
        known = {name: value for name, value in values.items() if value and isinstance(value, str)}
        if not known:
            return []
        where = self.cloud.having(stream.name, known)
        return self.cloud.rows(stream.name, where, size=self.config.page_size)

    def push(self, stream: Stream, change: Change) -> Receipt:
        form, number = FORMS[stream.name], change.marker or change.key
        if change.id is not None:
            return self._update(stream.name, change)
        made = self.cloud.made(form, number)
        if made is None:
            made = self.cloud.create(stream.name, number, change.values), "A"
        self.cloud.approve(form, *made)
        return Receipt(id=made[0])

    def _update(self, stream: str, change: Change) -> Receipt:
        form, row = FORMS[stream], self.fetch(RecordRef(stream, str(change.id)))
        if row is None:
            raise RejectedError(f"there is no {form.name} {change.id}")
        if form.entry in change.values:
            raise RejectedError(f"the lines of {form.name} are written once, with the record")
        told = {name: v for name, v in change.values.items() if str(row.get(name)) != str(v)}
        if not told:  # an earlier try came through
            return Receipt(id=str(change.id))
        if change.version and row["modified_at"] > change.version:
            raise ConflictError(f"{form.name} {change.id} was changed meanwhile")
        return Receipt(id=self.cloud.update(stream, row, told))

    def _log_in(self, http: Http, _: Tokens | None) -> Tokens:
        return log_in(http, AUTH, self.config)
