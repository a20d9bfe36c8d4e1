"""City ERP: pull parties and orders; create and change both.

A row is a record as the API gives it. Source: demo/city/erp/server.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

from pydantic import Field, SecretStr

from hub.sdk import (
    Adapter,
    Change,
    ConflictError,
    ConnectionConfig,
    Http,
    Page,
    Raw,
    Receipt,
    RecordRef,
    RejectedError,
    Sighting,
    Stream,
    Survey,
    Tally,
    Window,
    scan,
)
from hub.sdk.auth import OAuth2, TokenAuth

KEYS = ("email", "phone")
PARTIES = "parties"
END = "."


class ErpConfig(ConnectionConfig):
    url: str = Field(
        pattern=r"^https?://[^/]+$",
        description="Address of the server",
        examples=["http://erp.city.test"],
    )
    client_id: str = Field(default="conduit", description="Name of the hub at the server")
    client_secret: SecretStr = Field(description="What it proves its name with")
    page_size: int = Field(default=100, ge=1, description="Rows on one page")


class ErpAdapter(Adapter[ErpConfig]):
    """One company. A party that is not active any more counts as deleted."""

    looks_up = True
    streams = (
        Stream(PARTIES, writable=True, every_s=60, fresh_s=3600),
        Stream("orders", writable=True, every_s=60, fresh_s=3600),
    )

    def connect(self) -> Http:
        return Http(self.config.url, auth=TokenAuth(self.tokens, self.grants.renew))

    @property
    def grants(self) -> OAuth2:
        """Where tokens are had: the first ones for our secret, then each for the one before."""
        c = self.config
        secret = c.client_secret.get_secret_value()
        return OAuth2(f"{c.url}/oauth/token", c.client_id, secret, in_body=True)

    def check(self) -> None:
        self.http.get("/whoami")

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        def read(since: datetime | None, position: str) -> tuple[Sequence[Raw], str | None]:
            return self._after(stream, Window(since=since), position)

        overlap_s = stream.overlap_s
        for page in scan(read, cursor, now=self.http.now, overlap_s=overlap_s):
            yield _without_inactive(page)

    def history(self, stream: Stream, window: Window, cursor: str | None) -> Iterator[Page]:
        read = self._made_within if window.by_occurrence else self._after
        position = None if cursor == END else cursor or ""
        while position is not None:
            rows, position = read(stream, window, position)
            yield _without_inactive(Page(rows, position or END))

    def _after(
        self, stream: Stream, window: Window, position: str
    ) -> tuple[Sequence[Raw], str | None]:
        """A page behind ``position``: the second of its last row, and that row's id.

        What is left of that second comes first, by id, because any number of rows may share it;
        then what was changed later. So no offset is needed, and none can shift under us.
        """
        until = _text(window.until)
        if position:
            second, above = json.loads(position)
            rest = self._listed(stream, second, second, above)
            if rest:
                return rest, json.dumps([second, rest[-1]["id"]])
            later = self._listed(stream, _next(second), until)
        else:
            later = self._listed(stream, _text(window.since), until)
        if not later:
            return [], None
        return later, json.dumps([later[-1]["changed_at"], later[-1]["id"]])

    def _made_within(
        self, stream: Stream, window: Window, position: str
    ) -> tuple[Sequence[Raw], str | None]:
        """A page of what was made in that time, by id."""
        made = {"created_from": _text(window.since), "created_to": _text(window.until)}
        params = {**made, "id_above": position, "limit": self.config.page_size}
        rows: list[Raw] = self.http.get(f"/{stream.name}", params=params)["items"]
        return rows, rows[-1]["id"] if rows else None

    def _listed(
        self, stream: Stream, first: str | None, last: str | None, above: str | None = None
    ) -> list[Raw]:
        asked = {"changed_from": first, "changed_to": last, "id_above": above}
        params = {**asked, "limit": self.config.page_size}
        rows: list[Raw] = self.http.get(f"/{stream.name}", params=params)["items"]
        return rows

    def survey(self, stream: Stream, cursor: str | None) -> Iterator[Survey]:
        if stream.name != PARTIES:
            yield from super().survey(stream, cursor)
        after: str | None = cursor or ""
        while after is not None:
            asked = {"after": after, "limit": self.config.page_size}
            found = self.http.get("/parties/list", params=asked)
            active = [one for one in found["items"] if one["active"]]
            after = found["items"][-1]["id"] if found["more"] else None
            yield Survey([Sighting(one["id"], _version(one)) for one in active], after)

    def tally(self, stream: Stream) -> Iterator[Tally]:
        if stream.name == PARTIES:
            yield from super().tally(stream)
        for one in self.http.get("/orders/days")["items"]:
            yield Tally(date.fromisoformat(one["day"]), one["count"], one["digest"])

    def find(self, stream: Stream, values: Raw) -> Sequence[Raw]:
        asked = {name: values[name] for name in KEYS if values.get(name)}
        return self._found(stream, asked) if asked else []

    def _found(self, stream: Stream, asked: Raw) -> list[Raw]:
        rows: list[Raw] = self.http.get(f"/{stream.name}", params=asked)["items"]
        return rows

    def fetch(self, ref: RecordRef) -> Raw | None:
        row = self._row(ref.stream, ref.id)
        return row if row and row.get("active", True) else None

    def _row(self, stream: str, id_: str) -> Raw | None:
        try:
            row: Raw = self.http.get(f"/{stream}/{id_}")
        except RejectedError as exc:
            if "404" in str(exc):
                return None
            raise
        return row

    def push(self, stream: Stream, change: Change) -> Receipt:
        if change.id is not None:
            return self._change(stream, change, change.id)
        marker = change.marker or change.key
        found = self._found(stream, {"reference": marker})
        if not found:
            values = {**change.values, "reference": marker}
            found = [self.http.json("POST", f"/{stream.name}", json=values)]
        return Receipt(found[0]["id"], found[0])

    def _change(self, stream: Stream, change: Change, id_: str) -> Receipt:
        row = self._row(stream.name, id_)
        if row is None:
            raise RejectedError(f"there is no {stream.name} {id_}")
        if change.version and _version(row) > change.version:
            raise ConflictError(f"{stream.name} {id_} was changed meanwhile")
        return Receipt(id_, self.http.json("PUT", f"/{stream.name}/{id_}", json=change.values))


def _without_inactive(page: Page) -> Page:
    gone = [row["id"] for row in page.records if not row.get("active", True)]
    rows = [row for row in page.records if row.get("active", True)]
    return Page(rows, page.cursor, gone)


def _version(row: Raw) -> str:
    """As the mapping reads it: a stamp would hide a second change within one second."""
    return f"{row['version']:020d}"


def _next(second: str) -> str:
    return str(_text(datetime.fromisoformat(second) + timedelta(seconds=1)))


def _text(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None
