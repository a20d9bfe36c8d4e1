"""Odoo: pull partners, products, orders, invoices, leads, tickets and tasks; write some of them.

A row is a record as ``search_read`` gives it: another record is ``[id, name]``, nothing is false.

Source: https://www.odoo.com/documentation/19.0/developer/reference/external_api.html and a server
of Odoo 17 (checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, partial

from adapters.odoo.config import OdooConfig
from adapters.odoo.database import Database
from adapters.odoo.doors import Door, door
from adapters.odoo.models import STREAMS
from hub.sdk import (
    Adapter,
    Change,
    ConfigError,
    Http,
    Page,
    Raw,
    Receipt,
    RecordRef,
    Stream,
    Survey,
    scan,
    sweep,
)


class OdooAdapter(Adapter[OdooConfig]):
    """One database, as one user sees it."""

    looks_up = True
    streams = STREAMS

    def reads(self, stream: Stream) -> bool:
        return self.config.calls

    @cached_property
    def door(self) -> Door:
        if not self.config.calls:
            raise ConfigError("nothing can be asked without api_key", hint="Set api_key.")
        return door(self.config)

    def connect(self) -> Http:
        return self.door.http

    @cached_property
    def database(self) -> Database:
        _ = self.http  # holds the door's client to the networks and the budget of the connection
        return Database(self.door, self.config)

    def check(self) -> None:
        if self.config.calls:
            self.database.rows("partners", [], limit=1)

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        yield from scan(
            partial(self.database.changed, stream.name),
            cursor,
            now=self.http.now,
            since=self.config.backfill_from,
            overlap_s=stream.overlap_s,
        )

    def survey(self, stream: Stream, cursor: str | None) -> Iterator[Survey]:
        yield from sweep(partial(self.database.existing, stream.name), cursor)

    def fetch(self, ref: RecordRef) -> Raw | None:
        found = self.database.rows(ref.stream, [["id", "=", int(ref.id)]], limit=1)
        return next(iter(found), None)

    def find(self, stream: Stream, values: Raw) -> list[Raw]:
        return self.database.having(stream.name, values)

    def push(self, stream: Stream, change: Change) -> Receipt:
        if change.id is None:
            marker = change.marker or change.key
            return Receipt(self.database.create(stream.name, dict(change.values), marker))
        self.database.update(stream.name, change)
        return Receipt(change.id)
