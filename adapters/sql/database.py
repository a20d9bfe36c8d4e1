"""Connections to one database: dialled where they may, read-only unless they are there to write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Protocol
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, select, text

from adapters.sql.config import SqlConfig
from adapters.sql.kinds import KINDS, asking, driver_of
from hub.sdk import connect_address, instant

POOL = 3


class Budget(Protocol):
    """How often the database may be asked."""

    def before(self) -> None:
        """Return when it may be asked once more."""


class Database:
    """One database and its account.

    Attributes:
        pace: asked before every transaction; the hub sets it.
    """

    def __init__(self, config: SqlConfig) -> None:
        self.config, self.pace = config, None
        self.url = make_url(config.url)
        self.kind = KINDS[self.url.drivername]

    pace: Budget | None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction in which nothing can be written, where the database knows such a thing."""
        with self._begun(self._reader) as conn:
            yield conn

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction; committed behind the block."""
        with self._begun(self.writer) as conn:
            yield conn

    @contextmanager
    def _begun(self, engine: Engine) -> Iterator[Connection]:
        if self.pace:
            self.pace.before()
        with asking(), engine.begin() as conn:
            yield conn

    def now(self) -> datetime:
        """The database's clock."""
        with self.reading() as conn:
            told = instant(conn.execute(select(text(self.kind.clock))).scalar_one())
        return told or datetime.now(UTC)

    @cached_property
    def _reader(self) -> Engine:
        engine = self._engine(read_only=True)
        statement = self.kind.read_only

        @event.listens_for(engine, "begin")
        def begin(conn: Connection) -> None:
            if statement:
                conn.exec_driver_sql(statement)

        return engine

    @cached_property
    def writer(self) -> Engine:
        """For writes alone."""
        return self._engine(read_only=False)

    def _engine(self, *, read_only: bool) -> Engine:
        driver_of(self.kind)
        if self.config.file is not None:
            mode = "ro" if read_only else "rw"
            path = f"file:{quote(str(self.config.file.resolve()))}?mode={mode}&uri=true"
            return create_engine(f"sqlite:///{path}")
        secret = self.config.password
        url = self.url.set(
            drivername=self.kind.driver, password=secret.get_secret_value() if secret else None
        )
        engine: Engine = create_engine(
            url, pool_size=POOL, pool_pre_ping=True, creator=lambda: self._dial(engine.dialect, url)
        )
        return engine

    def _dial(self, dialect: Any, url: URL) -> Any:
        port = url.port or self.kind.port
        address = connect_address(str(url.host), port, self.config.allow_networks)
        return self.kind.dial(dialect, url, address, self.config.timeout_s)

    def close(self) -> None:
        for name in ("_reader", "writer"):
            if name in self.__dict__:
                self.__dict__[name].dispose()
