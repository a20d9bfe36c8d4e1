"""Any JSON API, as a TOML file describes it: pull, list, read, find and write its records.

A row is what the list at ``rows`` holds, as it comes. What the file may say is in ``system.py``;
the systems that come with the hub are in ``systems/``, each with its source and date.

Source: docs/rest.md (checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import Any

from adapters.rest.access import RefusedError, client
from adapters.rest.caller import Caller, scope_of
from adapters.rest.config import Made, RestConfig
from adapters.rest.reading import is_flagged, row_at, rows_at
from adapters.rest.rows import fields, id_of, sightings, sought, tells_version, version_of
from adapters.rest.system import Read, Request
from adapters.rest.writing import looks_up, push
from hub.sdk import (
    Adapter,
    Change,
    ConflictError,
    Found,
    Http,
    Page,
    Raw,
    Receipt,
    RecordRef,
    RejectedError,
    Stream,
    Survey,
    scan,
)

SEEN = 20
"""Rows that are looked at to learn what fields there are, and asked for where one is looked up."""


class RestAdapter(Adapter[RestConfig]):
    """One account of one described system."""

    def __init__(self, config: RestConfig) -> None:
        super().__init__(config)
        written = [made.part for made in config.made.values() if made.part.writable]
        self.looks_up = all(map(looks_up, written))  # type: ignore[misc]  # of this connection

    def connect(self) -> Http:
        scope = scope_of(self.config, None)
        hidden = scope.names["secrets"].values()
        return client(self.config.described_system, scope, self.tokens, [*hidden])

    @cached_property
    def caller(self) -> Caller:
        return Caller(self.config, self.http)

    def reads(self, stream: Stream) -> bool:
        return self.config.made[stream.name].part.read is not None

    def check(self) -> None:
        if about := self.config.described_system.system.check:
            self.caller.ask(about, self.caller.scope())
        for made in self.config.made.values():
            if made.part.read:
                self.caller.reader(made, made.part.read).read(self.config.backfill_from, "")

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        made = self.config.made[stream.name]
        if made.part.read is None:
            return
        flag = made.part.deleted.flag
        for page in self._scan(made, made.part.read, cursor, stream.overlap_s):
            gone = [id_of(made, row) for row in page.records if is_flagged(flag, row)]
            kept = [row for row in page.records if not is_flagged(flag, row)]
            yield Page(kept, page.cursor, gone)

    def survey(self, stream: Stream, cursor: str | None) -> Iterator[Survey]:
        made = self.config.made[stream.name]
        how = made.part.survey or made.part.read
        before: Page | None = None
        for page in self._scan(made, how, cursor, 0) if how else ():
            if before is not None:
                yield Survey(sightings(made, before), before.cursor)
            before = page
        yield Survey(sightings(made, before) if before else [], None)

    def fetch(self, ref: RecordRef) -> Raw | None:
        made = self.config.made[ref.stream]
        if (one := made.part.one) is None:
            raise RejectedError(f"records of {ref.stream} cannot be read one by one")
        try:
            body = self.caller.ask(one, self.caller.scope(made).having(id=ref.id))
        except RefusedError as exc:
            answers = self.config.described_system.answers
            if exc.said & {*one.gone, *(answers.gone if answers else ())}:
                return None
            raise
        row: Raw | None = row_at(one.row, body)
        return None if row is None or is_flagged(made.part.deleted.flag, row) else row

    def find(self, stream: Stream, values: Raw) -> list[Raw]:
        made, how = self.config.made[stream.name], self.config.made[stream.name].part.find
        found: dict[str, Raw] = {}
        for name, value in sought(how.fields, values) if how else ():
            scope = self.caller.scope(made).having(name=name, value=value, size=SEEN)
            rows = rows_at(how.rows, self.caller.ask(how, scope)) if how else []
            found |= {id_of(made, row): row for row in rows}
        return list(found.values())

    def push(self, stream: Stream, change: Change) -> Receipt:
        made = self.config.made[stream.name]
        scope = self.caller.scope(made)
        if change.id is not None and change.version and tells_version(made) and made.part.one:
            self._check_newer(made, change.id, change.version)

        def ask(request: Request, names: Mapping[str, Any], *, again: bool) -> Any:
            return self.caller.ask(request, scope.having(**names), again=again)

        return push(made, change, ask, scope)

    def discover(self) -> Iterator[Found]:
        for made in self.config.made.values():
            if made.part.read:
                pages = self._scan(made, made.part.read, None, 0)
                rows = islice((row for page in pages for row in page.records), SEEN)
                version = made.part.cursor.field if made.part.cursor else ""
                yield Found(made.name, fields(rows), made.part.id, version)

    def _check_newer(self, made: Made, id_: str, version: str) -> None:
        row = self.fetch(RecordRef(made.name, id_))
        if row is None:
            raise RejectedError(f"{made.name}/{id_} is gone")
        if version_of(made, row) > version:
            raise ConflictError(f"{made.name}/{id_} was changed meanwhile")

    def _scan(self, made: Made, how: Read, cursor: str | None, overlap_s: float) -> Iterator[Page]:
        reader, changed = self.caller.reader(made, how), made.part.cursor
        in_order = changed is not None and changed.order == "changed" and how is made.part.read
        return scan(
            reader.read,
            cursor,
            now=self.http.now,
            since=self.config.backfill_from,
            overlap_s=overlap_s,
            stamp=reader.stamp() if in_order else None,
            cap=how.pages.cap,
        )
