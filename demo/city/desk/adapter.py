"""City desk: pull requesters, tickets and comments; create all, change the first two.

A row is a record as the API gives it. Source: demo/city/desk/server.py
"""

from __future__ import annotations

import json
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


class DeskConfig(ConnectionConfig):
    url: str = Field(
        pattern=r"^https?://[^/]+$",
        description="Address of the server",
        examples=["http://desk.city.test"],
    )
    token: SecretStr = Field(description="What the hub signs in with")
    webhook_secrets: tuple[SecretStr, ...] = Field(
        default=(),
        description="Keys of Standard Webhooks; two while one is rotated",
        examples=[["whsec_Y2FuYXJ5IG9mIHRoZSBjaXR5IGRlc2sgIDAxMjM0NTY="]],
    )
    page_size: int = Field(default=100, ge=1, description="Rows on one page")


class DeskAdapter(Adapter[DeskConfig]):
    """One desk. It keeps the idempotency keys, so that whatever is unknown is asked for again."""

    looks_up = True
    streams = (
        Stream("requesters", writable=True, every_s=60, fresh_s=3600),
        Stream("tickets", writable=True, every_s=60, fresh_s=3600),
        Stream("comments", writable=True, every_s=60, fresh_s=3600),
    )

    def connect(self) -> Http:
        headers = {"Authorization": f"Bearer {self.config.token.get_secret_value()}"}
        return Http(self.config.url, headers=headers)

    def check(self) -> None:
        self.http.get("/me")

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        """What changed, then what was deleted meanwhile; both places are in the cursor."""
        place = json.loads(cursor) if cursor else {"scan": None, "gone": self._feed(None)["next"]}
        scanned: str | None = place["scan"]
        after: int = place["gone"]

        def read(since: datetime | None, position: str) -> tuple[Sequence[Raw], str | None]:
            return self._search(stream, Window(since=since), position)

        overlap_s = stream.overlap_s
        for page in scan(read, scanned, now=self.http.now, overlap_s=overlap_s):
            scanned = page.cursor
            yield Page(page.records, _place(scanned, after))
        more = True
        while more:
            feed = self._feed(after)
            after, more = feed["next"], feed["more"]
            gone = [one["id"] for one in feed["items"] if one["stream"] == stream.name]
            if gone:
                yield Page([], _place(scanned, after), gone)

    def _feed(self, after: int | None) -> Raw:
        """A page of what was deleted; None = where the feed ends now."""
        asked = {"after": after, "limit": self.config.page_size}
        try:
            feed: Raw = self.http.get("/deletions", params=asked)
        except RejectedError as exc:
            if "410" in str(exc):
                raise CursorExpiredError("the desk forgot what was deleted so long ago") from exc
            raise
        return feed

    def history(self, stream: Stream, window: Window, cursor: str | None) -> Iterator[Page]:
        position = None if cursor == END else cursor or ""
        while position is not None:
            rows, position = self._search(stream, window, position)
            yield Page(rows, position or END)

    def _search(
        self, stream: Stream, window: Window, position: str
    ) -> tuple[Sequence[Raw], str | None]:
        asked = {
            "updated_since": _text(window.since),
            "updated_until": _text(window.until),
            "after_id": position or None,
            "limit": self.config.page_size,
        }
        found = self.http.get(f"/{stream.name}", params=asked)
        return found["items"], found["items"][-1]["id"] if found["more"] else None

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
        if not asked:
            return []
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
        path = f"/{stream.name}"
        if change.id is None:
            row = self.http.json("POST", path, json=change.values, idempotency_key=change.key)
        elif stream.name == "comments":
            raise RejectedError("what was said cannot be changed")
        else:
            asked = {"version": int(change.version) if change.version else None}
            row = self.http.json("PUT", f"{path}/{change.id}", params=asked, json=change.values)
        was_deleted = row.keys() == {"id"}  # written once, and gone before we asked again
        return Receipt(row["id"], None if was_deleted else row)


def _place(scanned: str | None, gone: int) -> str:
    return json.dumps({"scan": scanned, "gone": gone})


def _text(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None
