"""How a verified item reaches the disk before it is acknowledged, and when none is taken.

SQLite has one writer at a time and pays a flush per commit, so whoever's turn it is commits
whatever waits. PostgreSQL groups commits by itself, so each request inserts on its own.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path

from hub.errors import HubError, StoreError
from hub.store import connections
from hub.store.db import Database
from hub.store.door import Rows, door
from webhooks import pressure
from webhooks.pressure import Busy

log = logging.getLogger(__name__)

TIMEOUT_S = 5.0
LOOK_S = 1.0
"""How long what was seen of the disk is believed."""

Waiting = tuple[Rows, Future[list[int]]]


class Writer:
    """Stores the rows of one webhook and says which were new.

    Args:
        reserve_bytes: of the disk SQLite is on, left to the work on what was taken already.
    """

    def __init__(self, database: Database, *, reserve_bytes: int = 0) -> None:
        self._database = database
        self._door = door(database)
        self._disk = Disk(database.folder, reserve_bytes) if database.folder else None
        self._slots = threading.BoundedSemaphore(pressure.SLOTS)
        self._since: dict[int, float] = {}
        self._lock = threading.Lock()
        self._buckets: dict[str, pressure.Bucket] = {}
        self._refuses = False
        self._waiting: deque[Waiting] = deque()
        self._turn = threading.Lock()

    def busy(self) -> Busy | None:
        """Why nothing can be taken now; said once in the log, and once that it is over."""
        since = list(self._since.values())
        oldest_s = time.monotonic() - min(since) if since else 0.0
        found = pressure.busy(len(since), oldest_s)
        if found is None and self._disk and self._disk.is_short():
            found = Busy("the disk is nearly full", pressure.FULL_RETRY_S)
        if found and not self._refuses:
            log.error("webhooks are refused", extra={"reason": found.reason})
        elif self._refuses and not found:
            log.info("webhooks are taken again")
        self._refuses = found is not None
        return found

    def save(self, rows: Rows) -> list[int]:
        """The ids of the rows that were new, once they are on disk.

        Raises:
            StoreError: they are not, or not in time; the sender must try again.
        """
        with self.slot():
            if not self._database.is_sqlite:
                return self._door.put([rows])[0]
            stored: Future[list[int]] = Future()
            self._waiting.append((rows, stored))
            if not self._turn.acquire(timeout=TIMEOUT_S):
                stored.cancel()  # the sender is told to come again: need not be tried any more
                raise StoreError("the database did not take it in time")
            try:
                if not stored.done():
                    self._commit_waiting()
            finally:
                self._turn.release()
            return stored.result(0)

    def knock(self) -> None:
        """Return when the database would take an event; nothing is written.

        Raises:
            StoreError: it would not, or not in time.
        """
        self._door.knock()

    def learn(self, connection: str, learned: Mapping[str, str]) -> None:
        """Keep what a request taught about its sender; the next one teaches it again otherwise."""
        with suppress(StoreError), self._database.write() as conn:
            connections.learn(conn, connection, learned)

    def wait_s(self, connection: str, per_s: float) -> int:
        """0 when it may send one more, else how long it must wait; for this process alone."""
        now = time.monotonic()
        with self._lock:
            bucket = self._buckets.get(connection)
            if bucket is None or bucket.per_s != per_s:
                bucket = self._buckets[connection] = pressure.Bucket(per_s, now)
            return bucket.take(now)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Within the block the database is waited for, and ``busy`` knows of it.

        Raises:
            StoreError: so many wait already that this one would only wait in vain.
        """
        if not self._slots.acquire(timeout=pressure.SLOT_S):
            raise StoreError("too much waits for the database")
        me = threading.get_ident()
        self._since[me] = time.monotonic()
        try:
            yield
        finally:
            del self._since[me]
            self._slots.release()

    def _commit_waiting(self) -> None:
        """For all whose turn has not come yet as well: they find it done."""
        group = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not self._commit(group):
            for one in group:  # a faulty row must not take its neighbours along
                self._commit([one])

    def _commit(self, group: Sequence[Waiting]) -> bool:
        """Whether each of them has its answer; not when a row among several is at fault."""
        group = [(rows, stored) for rows, stored in group if not stored.done()]  # who still waits
        if not group:
            return True
        try:
            ids = self._door.put([rows for rows, _ in group])
        except Exception as exc:  # noqa: BLE001 - it is handed to the requests that wait for it
            if len(group) > 1 and not isinstance(exc, StoreError):
                return False
            for _, stored in group:  # the database itself: trying each would take as long again
                if stored.set_running_or_notify_cancel():
                    stored.set_exception(_as_store_error(exc))
            return True
        for (_, stored), new in zip(group, ids, strict=True):
            if stored.set_running_or_notify_cancel():
                stored.set_result(new)
        return True


class Disk:
    """The disk a folder is on, looked at once in a while."""

    def __init__(self, folder: Path, reserve_bytes: int) -> None:
        self._folder, self._reserve_bytes = folder, reserve_bytes
        self._looked_at, self._short = float("-inf"), False

    def is_short(self) -> bool:
        """Whether the reserve is reached; a disk that cannot be asked is left to the database."""
        if time.monotonic() - self._looked_at > LOOK_S:
            self._looked_at = time.monotonic()
            with suppress(OSError):
                seen = shutil.disk_usage(self._folder)
                self._short = pressure.is_short(seen.free, seen.total, self._reserve_bytes)
        return self._short


def _as_store_error(exc: Exception) -> StoreError:
    if isinstance(exc, StoreError):
        return exc
    return StoreError(str(exc) if isinstance(exc, HubError) else type(exc).__name__)
