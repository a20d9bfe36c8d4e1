"""Shelf: people and cases by id, parts in order of change only, rounds as the vendor leads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import Field

from hub.sdk import Adapter, ConnectionConfig, Http, Page, Raw, RecordRef, Stream, scan


class ShelfConfig(ConnectionConfig):
    page_size: int = Field(default=100, description="Rows per call")
    cap: int = Field(default=10_000, description="Rows one query gives at most")


class ShelfAdapter(Adapter[ShelfConfig]):
    streams = (Stream("people"), Stream("cases"), Stream("parts"), Stream("rounds"))

    def connect(self) -> Http:
        return Http("https://shelf.example.com")

    def check(self) -> None:
        self.http.get("/people", params={"limit": 1})

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        if stream.name == "rounds":
            yield from self._rounds(cursor)
            return

        def read(since: datetime | None, position: str) -> tuple[list[Raw], str | None]:
            told = {"since": since.isoformat() if since else "", "position": position}
            asked: dict[str, Any] = {**told, "limit": self.config.page_size}
            body = self.http.get(f"/{stream.name}", params=asked)
            return body["rows"], body["next"]

        told = {"stamp": _changed_at, "cap": self.config.cap} if stream.name == "parts" else {}
        overlap_s = stream.overlap_s
        yield from scan(read, cursor, now=self.http.now, overlap_s=overlap_s, **told)

    def _rounds(self, cursor: str | None) -> Iterator[Page]:
        while True:
            body = self.http.get("/rounds", params={"cursor": cursor or ""})
            cursor = body["cursor"]
            yield Page(body["rows"], body["cursor"])
            if body["over"]:
                return

    def fetch(self, ref: RecordRef) -> Raw | None:
        body: Raw | None = self.http.get(f"/{ref.stream}/{ref.id}")
        return body


def _changed_at(row: Raw) -> datetime:
    return datetime.fromisoformat(row["changed_at"])
