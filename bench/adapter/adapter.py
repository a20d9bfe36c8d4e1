"""Benchmark CRM: pull contacts page by page, in the order of their changes."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from hub.sdk import Adapter, ConnectionConfig, Http, Page, Stream

PAGE_SIZE = 1000


class BenchConfig(ConnectionConfig):
    base_url: str = Field(description="Address of the benchmark's CRM")


class BenchAdapter(Adapter[BenchConfig]):
    """One CRM of ``bench.source``: all of it without a cursor, with one what changed since."""

    streams = (Stream("contacts"),)

    def connect(self) -> Http:
        return Http(self.config.base_url)

    def check(self) -> None:
        self.http.get("/contacts", params={"limit": 1})

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        more = True
        while more:
            asked = {"since": cursor or "", "limit": PAGE_SIZE}
            body = self.http.get(f"/{stream.name}", params=asked)
            more = body["next"] is not None
            if body["items"]:
                cursor = body["items"][-1]["updated_at"]
                yield Page(body["items"], cursor)
