"""Demo vendor: pull and push customers, orders, tickets and messages that live in memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from pydantic import Field, SecretStr

from adapters.demo import account, sample
from hub.sdk import (
    Adapter,
    Change,
    ConnectionConfig,
    Page,
    Raw,
    Receipt,
    RecordRef,
    Sighting,
    Stream,
    Survey,
)


class DemoConfig(ConnectionConfig):
    account: str = Field(
        default="demo", description="Connections that name the same account share its rows"
    )
    sample: int = Field(
        default=0, ge=0, le=9999, description="Fill an empty account with this many customers"
    )
    page_size: int = Field(default=100, ge=1, description="Rows on one page of a pull")
    ledger_path: Path | None = Field(
        default=None,
        description="JSON Lines file that holds the account, so that several processes share it",
    )
    webhook_secrets: tuple[SecretStr, ...] = Field(
        default=(), description="Keys that webhooks are signed with; two while one is rotated"
    )


class DemoAdapter(Adapter[DemoConfig]):
    """One demo account. A row is whatever was put there, with ``id`` and a growing ``version``."""

    looks_up = True
    streams = (
        Stream("customers", writable=True),
        Stream("orders", writable=True),
        Stream("tickets", writable=True),
        Stream("messages", writable=True),
    )

    @cached_property
    def account(self) -> account.Account:
        """The vendor's side: tests put rows here, plan failures and read the effects."""
        found = account.account(self.config.account, self.config.ledger_path)
        if self.config.sample:
            found.fill(sample.rows(self.config.sample))
        return found

    def check(self) -> None:
        with self.account.failing("check"):
            self.account.effects()

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        with self.account.failing("pull"):
            changes = self.account.changes(stream.name)
        after = tuple(cursor.split(":", 1)) if cursor else ("", "")
        waiting = [change for change in changes if change[:2] > after]
        for start in range(0, len(waiting), self.config.page_size):
            page = waiting[start : start + self.config.page_size]
            yield Page(
                records=[row for _, _, row in page if row is not None],
                cursor=":".join(page[-1][:2]),
                deleted=[id_ for _, id_, row in page if row is None],
            )

    def survey(self, stream: Stream, cursor: str | None) -> Iterator[Survey]:
        with self.account.failing("survey"):
            changes = self.account.changes(stream.name)
        there = sorted((id_, version) for version, id_, row in changes if row is not None)
        left = [Sighting(*one) for one in there if one[0] > (cursor or "")]
        for start in range(0, len(left) or 1, self.config.page_size):
            page = left[start : start + self.config.page_size]
            more = start + self.config.page_size < len(left)
            yield Survey(page, page[-1].id if more else None)

    def fetch(self, ref: RecordRef) -> Raw | None:
        with self.account.failing("fetch"):
            return self.account.row(ref.stream, ref.id)

    def push(self, stream: Stream, change: Change) -> Receipt:
        with self.account.failing("push"):
            row = self.account.write(stream.name, change)
        return Receipt(id=row["id"], raw=row)
