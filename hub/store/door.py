"""The receiver's way into the inbox: one prepared statement per event, no layer above the driver.

Through SQLAlchemy an event costs several times the processor time, and on PostgreSQL three round
trips instead of one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, TypeVar

import psycopg
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import psycopg as postgresql
from sqlalchemy.engine.interfaces import Dialect

from hub.errors import StoreError
from hub.store import inbox, leases, schema
from hub.store.db import Database, given_up

T = TypeVar("T")
Rows = Sequence[Mapping[str, Any]]
"""What one webhook brought, as ``inbox.rows_for`` gives it."""

BROUGHT = (
    "connection",
    "event_id",
    "type",
    "order_key",
    "lane",
    "state",
    "available_at",
    "received_at",
    "headers",
    "body",
)
ANSWER_S = 3


_NOTHING = "INSERT INTO inbox SELECT * FROM inbox WHERE 1 = 0"
"""Needs the same lock and the same rights as a webhook."""


class Door(Protocol):
    """Where webhooks are put down."""

    def put(self, webhooks: Sequence[Rows]) -> list[list[int]]:
        """For each webhook the ids of its rows that were new, once all are on disk.

        Raises:
            StoreError: none of them is.
        """

    def knock(self) -> None:
        """Return when it would take something; nothing is written.

        Raises:
            StoreError: it would not.
        """


def door(database: Database) -> Door:
    """The one of this database."""
    return _Sqlite(database) if database.is_sqlite else _Postgresql(database)


class _Sqlite:
    """For one thread at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._store = _statement(sqlite.dialect(paramstyle="named"))
        self._lanes: set[str] = set()

    def put(self, webhooks: Sequence[Rows]) -> list[list[int]]:
        lanes = _lanes(webhooks)
        with self._database.write() as conn:
            if not lanes <= self._lanes:
                leases.ensure_lanes(conn, lanes - self._lanes)
            raw = conn.connection.driver_connection
            assert raw is not None  # noqa: S101 - the connection is open
            found = [
                [id_ for row in rows for (id_,) in raw.execute(self._store, _bound(row))]
                for rows in webhooks
            ]
        self._lanes |= lanes
        return found

    def knock(self) -> None:
        with self._database.write() as conn:
            conn.exec_driver_sql(_NOTHING)


class _Postgresql:
    """For any number of threads; each webhook is a transaction of its own.

    There are as many connections as were ever needed at once, each with its one cursor.
    SQLAlchemy's pool and a new cursor each time would double what the insert costs this process.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._store = _statement(postgresql.dialect())  # type: ignore[no-untyped-call]
        self._idle: deque[psycopg.Cursor] = deque()
        self._lanes: set[str] = set()
        database.before_close(self._hang_up)

    def put(self, webhooks: Sequence[Rows]) -> list[list[int]]:
        lanes = _lanes(webhooks)
        if not lanes <= self._lanes:
            with self._database.write() as conn:
                leases.ensure_lanes(conn, lanes - self._lanes)
            self._lanes |= lanes
        return [self._ask(partial(self._insert, rows)) for rows in webhooks]

    def knock(self) -> None:
        self._ask(lambda cursor: cursor.execute(_NOTHING))

    def _ask(self, question: Callable[[psycopg.Cursor], T]) -> T:
        try:
            return self._try(question)
        except psycopg.Error as exc:
            first = str(exc).partition("\n")[0]  # the lines behind it may quote the row
            raise StoreError(f"the database cannot take it now: {first[:200]}") from exc

    def _try(self, question: Callable[[psycopg.Cursor], T], *, again: bool = True) -> T:
        cursor = self._take()
        try:
            return question(cursor)
        except psycopg.Error:
            if not (cursor.connection.broken and again):
                raise
            self._hang_up()  # the server has started anew: what else is open is dead too
            return self._try(question, again=False)
        finally:
            if not cursor.connection.closed:
                self._idle.append(cursor)

    def _insert(self, rows: Rows, cursor: psycopg.Cursor) -> list[int]:
        if len(rows) == 1:
            cursor.execute(self._store, _bound(rows[0]))
            return [id_ for (id_,) in cursor]
        with cursor.connection.transaction():
            cursor.executemany(self._store, list(map(_bound, rows)), returning=True)
            found = cursor.fetchall()
            while cursor.nextset():
                found += cursor.fetchall()
        return [id_ for (id_,) in found]

    def _take(self) -> psycopg.Cursor:
        try:
            return self._idle.pop()
        except IndexError:
            return self._dial()

    def _dial(self) -> psycopg.Cursor:
        engine = self._database.engine
        words, named = engine.dialect.create_connect_args(engine.url)
        named = {**named, **given_up(ANSWER_S)}
        conn = psycopg.connect(*words, **named, autocommit=True, prepare_threshold=0)
        conn.execute(f"SET statement_timeout = {1000 * ANSWER_S}")
        return conn.cursor()

    def _hang_up(self) -> None:
        while self._idle:
            with suppress(IndexError):  # another thread took the last one
                self._idle.pop().connection.close()


def _statement(dialect: Dialect) -> str:
    """The insert in the words of the driver, every value named as in a row."""
    store = inbox.STORE[dialect.name].returning(schema.inbox.c.id)
    return str(store.compile(dialect=dialect, column_keys=BROUGHT))


def _bound(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "available_at": schema.to_us(row["available_at"]),
        "received_at": schema.to_us(row["received_at"]),
    }


def _lanes(webhooks: Sequence[Rows]) -> set[str]:
    return {row["lane"] for rows in webhooks for row in rows}
