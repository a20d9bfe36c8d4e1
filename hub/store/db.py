"""One way to open the database, and the two ways to use it: ``read`` and ``write``."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DatabaseError, DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import QueuePool

from hub.errors import ConfigError, ContentionError, StoreError

log = logging.getLogger(__name__)

T = TypeVar("T")
BUSY_TIMEOUT_MS = 5_000
CONNECT_TIMEOUT_S = 5
POOL_TIMEOUT_S = 30.0
RERUNS = 6
_NO_SCHEMA = ("42P01", "42703")  # no such table, no such column: hub apply did not run yet
_RERUN_CODES = ("40001", "40P01", "55P03", "23505")  # serialisation, deadlock, lock, unique race


class Database:
    """An engine and its manners; make one per process.

    Args:
        url: ``sqlite:///path`` or ``postgresql://user@host/name``.
        pool_size: connections kept open.
        patience_s: how long to wait for PostgreSQL's answer, or for a connection to be free, where
            somebody waits for ours; by default as long as it takes.
    """

    def __init__(self, url: str, *, pool_size: int = 8, patience_s: float | None = None) -> None:
        self.url = url
        self.engine = _engine(url, pool_size, patience_s)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._users: list[Callable[[], None]] = []

    @property
    def folder(self) -> Path | None:
        """Where SQLite keeps the file; None on PostgreSQL."""
        return Path(self.url.removeprefix("sqlite:///")).parent if self.is_sqlite else None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection whose reads see one state of the database.

        Raises:
            StoreError: the database cannot be reached.
        """
        with _translated(), self.engine.connect() as conn:
            if self.is_sqlite:
                conn.exec_driver_sql("BEGIN")
            else:
                conn.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield conn

    @contextmanager
    def glance(self) -> Iterator[Connection]:
        """A connection for statements each of which sees a state of the database of its own.

        For one statement that is two messages to PostgreSQL instead of four: no BEGIN and no end.

        Raises:
            StoreError: the database cannot be reached.
        """
        with _translated(), self.engine.connect() as conn:
            if not self.is_sqlite:
                conn.execution_options(isolation_level="AUTOCOMMIT")
            yield conn

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction, committed at the end of the block.

        On SQLite it holds the one write lock from its first line, so nothing read in it can change
        before it commits.

        Raises:
            StoreError: the database is locked, full or gone; nothing was written.
        """
        with _translated(), self.engine.connect() as conn:
            if self.is_sqlite:
                conn.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield conn
                conn.commit()
            except BaseException:
                conn.rollback()
                raise

    def run(self, story: Callable[[Connection], T]) -> T:
        """The result of ``story`` in a transaction, run again when another one was in its way.

        Raises:
            ContentionError: others were in the way every time.
            StoreError: as for ``write``.
        """
        for rerun in range(RERUNS):
            try:
                with self.write() as conn:
                    return story(conn)
            except StoreError as exc:
                if not _worth_a_rerun(exc.__cause__):
                    raise
                if rerun == RERUNS - 1:
                    raise ContentionError(str(exc), hint=exc.hint) from exc
                log.debug("transaction runs again", extra={"rerun": rerun + 1})
                time.sleep(random.uniform(0, 0.02 * 2**rerun))  # noqa: S311 - jitter, not a secret
        raise AssertionError("unreachable")

    def before_close(self, end: Callable[[], None]) -> None:
        """Have this called first by ``close``: for what writes by itself in the background."""
        self._users.append(end)

    def close(self) -> None:
        """Close every pooled connection."""
        for end in self._users:
            end()
        self.engine.dispose()


def _engine(url: str, pool_size: int, patience_s: float | None) -> Engine:
    if url.startswith("sqlite:///"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(
            url,
            poolclass=QueuePool,
            pool_size=pool_size,
            max_overflow=pool_size,
            connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False},
        )
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    if url.startswith(("postgresql://", "postgresql+psycopg://")):
        plain = url.replace("postgresql://", "postgresql+psycopg://", 1)
        engine = create_engine(
            plain,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=patience_s or POOL_TIMEOUT_S,
            pool_pre_ping=True,
            connect_args=given_up(patience_s)
            if patience_s
            else {"connect_timeout": CONNECT_TIMEOUT_S},
        )
        event.listen(engine, "connect", _prepare_postgresql)
        if patience_s:
            event.listen(engine, "connect", _limit(patience_s))
        return engine
    raise ConfigError(
        "the database address is neither sqlite:/// nor postgresql://",
        hint="Set database_url in settings.toml, such as sqlite:///.hub/hub.db",
    )


def given_up(patience_s: float) -> dict[str, int]:
    """How to dial PostgreSQL so that a server whose network is cut is given up in seconds.

    By itself the system takes hours.
    """
    return {
        "connect_timeout": 2,
        "tcp_user_timeout": int(1000 * patience_s),
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
    }


def _prepare_sqlite(raw: Any, _record: object) -> None:
    raw.isolation_level = None  # we say BEGIN ourselves
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",  # an acknowledged event survives a power cut
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "foreign_keys=ON",
        "secure_delete=ON",  # erased bytes are gone
        "cache_size=-32000",
        "journal_size_limit=67108864",
    ):
        raw.execute(f"PRAGMA {pragma}")


def _prepare_postgresql(raw: Any, _record: object) -> None:
    raw.autocommit = True
    raw.execute("SET jit = off")  # compiling one of our statements takes longer than running it
    raw.autocommit = False


def _limit(patience_s: float) -> Callable[[Any, object], None]:
    def limit(raw: Any, _record: object) -> None:
        raw.execute(f"SET statement_timeout = {int(patience_s * 1000)}")
        raw.commit()

    return limit


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OperationalError, IntegrityError) as exc:
        raise _store_error(exc) from exc
    except PoolTimeoutError as exc:
        raise StoreError("no connection to the database is free") from exc
    except DBAPIError as exc:
        damaged = type(exc) is DatabaseError  # SQLite: the file is something else, or broken
        behind = _code(exc) in _NO_SCHEMA  # SQLite calls it operational anyway
        if damaged or behind or exc.connection_invalidated or _worth_a_rerun(exc):
            raise _store_error(exc) from exc
        raise


def _store_error(exc: DBAPIError) -> StoreError:
    first = str(exc.orig).partition("\n")[0]
    return StoreError(
        f"the database cannot do that now: {first[:200]}",
        hint="Check that the database runs, has disk space, and that hub doctor is content.",
    )


def _worth_a_rerun(cause: BaseException | None) -> bool:
    if isinstance(cause, IntegrityError):
        return True  # two transactions inserted the same new row; the second now finds it
    return _code(cause) in _RERUN_CODES


def _code(cause: BaseException | None) -> str | None:
    code: str | None = getattr(getattr(cause, "orig", None), "sqlstate", None)
    return code


def identity_lock(conn: Connection) -> None:
    """Wait for, and hold to commit, the one lock under which customers are decided."""
    if conn.dialect.name == "postgresql":
        conn.execute(text("SELECT pg_advisory_xact_lock(360)"))
