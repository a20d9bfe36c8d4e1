"""Any SQL database: its tables as streams, read only, by what changed or as a whole.

A row has its columns under their names, decimals and times as text, and two values of ours: ``_id``
and ``_changed_at``. Rows of other tables that belong to it (``children``) come as lists.

Source: https://docs.sqlalchemy.org/en/20/ and MariaDB 10.11, PostgreSQL 15 (checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cached_property

from sqlalchemy import inspect, select

from adapters.sql.config import SqlConfig
from adapters.sql.database import Database
from adapters.sql.source import Source
from adapters.sql.writing import push
from hub.sdk import (
    Adapter,
    Change,
    ConfigError,
    Found,
    Page,
    Raw,
    Receipt,
    RecordRef,
    Sighting,
    Stream,
    Survey,
    scan,
)

SURVEYED = 10
"""Pages of rows that fit on one page of a survey."""

AHEAD = timedelta(hours=1)
"""No clock is wrong by more: a row changed later than now plus this is in another time zone."""


class SqlAdapter(Adapter[SqlConfig]):
    """One database."""

    looks_up = True

    @cached_property
    def database(self) -> Database:
        made = Database(self.config)
        made.pace = self.pace
        return made

    @cached_property
    def sources(self) -> dict[str, Source]:
        zone, kind = self.config.zone, self.database.url.drivername
        tables = self.config.tables().items()
        return {name: Source(name, told, zone, kind) for name, told in tables}

    def check(self) -> None:
        """Read a row of every stream."""
        with self.database.reading() as conn:
            conn.execute(select(1))
        for source in self.sources.values():
            with self.database.reading() as conn:
                source.all(conn, "", 1)
                newest = source.newest(conn)
            if newest and newest > self.database.now() + AHEAD:
                raise ConfigError(
                    f"rows of {source.name} were changed in the future",
                    hint="Their times are in another zone: set zone, such as Asia/Shanghai.",
                )

    def discover(self) -> Iterator[Found]:
        """The streams told of, then every other table and view."""
        told = {(t.schema_, t.table) for t in self.config.tables().values()}
        for name, source in self.sources.items():
            with self.database.reading() as conn:
                rows, _ = source.all(conn, "", 1)
            fields = {key: value for row in rows for key, value in row.items()}
            yield Found(name, fields, "_id", "_changed_at" if source.told.modified else "")
        with self.database.reading() as conn:
            seen = inspect(conn)
            names = [*seen.get_table_names(), *seen.get_view_names()]
        for name in names:
            if ("", name) not in told:
                yield self._found(name)

    def _found(self, name: str) -> Found:
        with self.database.reading() as conn:
            seen = inspect(conn)
            columns = {str(one["name"]): "" for one in seen.get_columns(name)}
            key = seen.get_pk_constraint(name)["constrained_columns"]
        return Found(name, columns, "_id" if key else "")

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        source, size = self.sources[stream.name], self.config.page_size

        def read(since: datetime | None, position: str) -> tuple[list[Raw], str | None]:
            with self.database.reading() as conn:
                return source.changed(conn, since, position, size)

        yield from scan(read, cursor, now=self.database.now, overlap_s=stream.overlap_s)

    def survey(self, stream: Stream, cursor: str | None) -> Iterator[Survey]:
        source, size = self.sources[stream.name], self.config.page_size * SURVEYED
        position: str | None = cursor or ""
        while position is not None:
            with self.database.reading() as conn:
                found, position = source.ids(conn, position, size)
            yield Survey([Sighting(*one) for one in found], position)

    def fetch(self, ref: RecordRef) -> Raw | None:
        with self.database.reading() as conn:
            return self.sources[ref.stream].one(conn, ref.id)

    def find(self, stream: Stream, values: Raw) -> list[Raw]:
        with self.database.reading() as conn:
            return self.sources[stream.name].having(conn, values, self.config.page_size)

    def push(self, stream: Stream, change: Change) -> Receipt:
        with self.database.writing() as conn:
            return push(conn, self.sources[stream.name], change)

    def close(self) -> None:
        if "database" in self.__dict__:
            self.database.close()
        super().close()
