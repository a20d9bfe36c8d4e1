"""City CRM: pull contacts and cases; create and change both.

A row is a record as the API gives it. Source: demo/city/crm/server.py
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from pydantic import Field, SecretStr

from hub.sdk import (
    Adapter,
    Change,
    ConnectionConfig,
    CursorExpiredError,
    Http,
    Page,
    Raw,
    Receipt,
    RecordRef,
    RejectedError,
    Sighting,
    Stream,
    Survey,
    Window,
    scan,
)

KEYS = ("email", "phone")
END = "."


class CrmConfig(ConnectionConfig):
    url: str = Field(
        pattern=r"^https?://[^/]+$",
        description="Address of the server",
        examples=["http://crm.city.test"],
    )
    token: SecretStr = Field(description="What the hub signs in with")
    webhook_secrets: tuple[SecretStr, ...] = Field(
        default=(), description="Keys that webhooks are signed with; two while one is rotated"
    )
    page_size: int = Field(default=100, ge=1, description="Rows on one page")


class CrmAdapter(Adapter[CrmConfig]):
    """One account. What is deleted is told by webhooks and seen by a survey, not by a pull."""

    looks_up = True
    streams = (
        Stream("contacts", writable=True, every_s=60, fresh_s=3600),
        Stream("cases", writable=True, every_s=60, fresh_s=3600),
    )

    def connect(self) -> Http:
        headers = {"Authorization": f"Bearer {self.config.token.get_secret_value()}"}
        return Http(self.config.url, headers=headers)

    def check(self) -> None:
        self.http.get("/me")

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        def read(since: datetime | None, position: str) -> tuple[Sequence[Raw], str | None]:
            return self._search(stream, Window(since=since), position)

        yield from scan(read, cursor, now=self.http.now, overlap_s=stream.overlap_s)

    def history(self, stream: Stream, window: Window, cursor: str | None) -> Iterator[Page]:
        position = None if cursor == END else cursor or ""
        while position is not None:
            rows, position = self._search(stream, window, position)
            yield Page(rows, position or END)

    def _search(
        self, stream: Stream, window: Window, position: str
    ) -> tuple[Sequence[Raw], str | None]:
        asked = {
            "modified_since": _text(window.since),
            "modified_until": _text(window.until),
            "owner": window.where or None,
            "cursor": position or None,
            "limit": self.config.page_size,
        }
        try:
            found = self.http.get(f"/{stream.name}", params=asked)
        except RejectedError as exc:
            if "410" in str(exc):
                raise CursorExpiredError(f"the CRM forgot a cursor of {stream.name}") from exc
            raise
        return found["items"], found["next"]

    def survey(self, stream: Stream, cursor: str | None) -> Iterator[Survey]:
        after: str | None = cursor or ""
        while after is not None:
            asked = {"after": after, "limit": self.config.page_size}
            found = self.http.get(f"/{stream.name}/list", params=asked)
            seen = [Sighting(one["id"], f"{one['version']:020d}") for one in found["items"]]
            after = seen[-1].id if found["more"] else None
            yield Survey(seen, after)

    def find(self, stream: Stream, values: Raw) -> Sequence[Raw]:
        asked = {name: values[name] for name in KEYS if values.get(name)}
        return self._found(stream, asked) if asked else []

    def _found(self, stream: Stream, asked: Raw) -> list[Raw]:
        rows: list[Raw] = self.http.get(f"/{stream.name}", params=asked)["items"]
        return rows

    def fetch(self, ref: RecordRef) -> Raw | None:
        try:
            row: Raw = self.http.get(f"/{ref.stream}/{ref.id}")
        except RejectedError as exc:
            if "404" in str(exc):
                return None
            raise
        return row

    def push(self, stream: Stream, change: Change) -> Receipt:
        if change.id is not None:
            headers = {"If-Match": f'"{int(change.version)}"'} if change.version else {}
            path = f"/{stream.name}/{change.id}"
            # Not repeated by itself: after a lost answer the version would be its own conflict.
            row = self.http.json("PATCH", path, json=change.values, headers=headers)
            return Receipt(change.id, row)
        marker = change.marker or change.key
        found = self._found(stream, {"external_ref": marker})
        if not found:
            values = {**change.values, "external_ref": marker}
            found = [self.http.json("POST", f"/{stream.name}", json=values)]
        return Receipt(found[0]["id"], found[0])


def _text(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None
