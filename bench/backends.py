"""What PostgreSQL itself needs of the processors for one database, as far as it can be seen."""

from __future__ import annotations

import threading
from typing import Self

import psycopg

from bench.measuring import cpu_of

LOOK_S = 0.05


class Backends:
    """Watches the processes that serve a database while the block runs; SQLite has none.

    Attributes:
        cpu_s: what they used, up to the last look before each of them ended; None when PostgreSQL
            runs elsewhere.
    """

    def __init__(self, url: str) -> None:
        server, _, self._name = url.rpartition("/")
        self._server = f"{server}/postgres" if url.startswith("postgresql") else ""
        self._used: dict[int, float] = {}
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    @property
    def cpu_s(self) -> float | None:
        return sum(self._used.values()) if self._used else None

    def __enter__(self) -> Self:
        if self._server:
            self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._server:
            self._watch.join()

    def _look(self) -> None:
        mine = "SELECT pid FROM pg_stat_activity WHERE datname = %s"
        with psycopg.connect(self._server, autocommit=True) as conn:
            while not self._over.wait(LOOK_S):
                for (pid,) in conn.execute(mine, [self._name]).fetchall():
                    if (used := cpu_of(pid)) is not None:
                        self._used[pid] = used
