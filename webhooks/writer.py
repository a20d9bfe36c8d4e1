"""How a verified item reaches the disk before it is acknowledged.

SQLite has one writer at a time and pays a flush per commit, so one thread commits whatever waits.
PostgreSQL groups commits by itself, so each request inserts on its own.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from hub.errors import HubError, StoreError
from hub.store import inbox, leases
from hub.store.db import Database
from hub.store.schema import inbox as table

BATCH_MAX = 200
TIMEOUT_S = 5.0

Rows = Sequence[dict[str, Any]]


class Writer:
    """Stores the rows of one webhook and says which were new."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lanes: set[str] = set()
        self._queue: queue.SimpleQueue[tuple[Rows, Future[list[int]]]] = queue.SimpleQueue()
        if database.is_sqlite:
            threading.Thread(target=self._run, name="inbox-writer", daemon=True).start()

    def save(self, rows: Rows) -> list[int]:
        """The ids of the rows that were new, once they are on disk.

        Raises:
            StoreError: they are not, or not in time; the sender must try again.
        """
        if not self._database.is_sqlite:
            with self._database.write() as conn:
                ids = self._insert(conn, rows)
            self._lanes.update(row["lane"] for row in rows)
            return ids
        stored: Future[list[int]] = Future()
        self._queue.put((rows, stored))
        try:
            return stored.result(TIMEOUT_S)
        except TimeoutError as exc:
            stored.cancel()  # the sender is told to come again: need not be tried any more
            raise StoreError("the database did not take it in time") from exc

    def _run(self) -> None:
        while True:
            group = [self._queue.get()]
            while len(group) < BATCH_MAX and not self._queue.empty():
                group.append(self._queue.get())
            if not self._commit(group) and len(group) > 1:
                for one in group:  # a faulty row must not take its neighbours along
                    self._commit([one])

    def _commit(self, group: Sequence[tuple[Rows, Future[list[int]]]]) -> bool:
        group = [(rows, stored) for rows, stored in group if not stored.done()]  # who still waits
        if not group:
            return True
        try:
            with self._database.write() as conn:
                ids = [self._insert(conn, rows) for rows, _ in group]
        except Exception as exc:  # noqa: BLE001 - it is handed to the request that waits for it
            if len(group) == 1 and group[0][1].set_running_or_notify_cancel():
                group[0][1].set_exception(_as_store_error(exc))
            return False
        for (rows, stored), new in zip(group, ids, strict=True):
            self._lanes.update(row["lane"] for row in rows)
            if stored.set_running_or_notify_cancel():
                stored.set_result(new)
        return True

    def _insert(self, conn: Connection, rows: Rows) -> list[int]:
        unknown = {row["lane"] for row in rows} - self._lanes
        if unknown:
            leases.ensure_lanes(conn, unknown)
        dialect = sqlite if self._database.is_sqlite else postgresql
        insert = dialect.insert(table).on_conflict_do_nothing().returning(table.c.id)
        ids = [
            conn.execute(insert, row).scalar_one_or_none() or inbox.reopen(conn, row)
            for row in rows
        ]
        return [id_ for id_ in ids if id_ is not None]


def _as_store_error(exc: Exception) -> StoreError:
    if isinstance(exc, StoreError):
        return exc
    return StoreError(str(exc) if isinstance(exc, HubError) else type(exc).__name__)
