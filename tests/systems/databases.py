"""Servers of SQL on their standard local ports: a database of the test's own in each."""

from __future__ import annotations

import getpass
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Engine, create_engine, text

from tests.conftest import MARIADB, POSTGRESQL, need


@dataclass(frozen=True)
class Server:
    """A database; ``url`` as a connection of the hub names it."""

    url: str
    password: str
    engine: Engine

    def run(self, *statements: str) -> None:
        with self.engine.begin() as conn:
            for statement in statements:
                conn.execute(text(statement.replace(":", "\\:")))

    def rows(self, query: str) -> list[Any]:
        with self.engine.begin() as conn:
            return [tuple(row) for row in conn.execute(text(query))]

    @property
    def config(self) -> dict[str, Any]:
        secret = {"password": self.password} if self.password else {}
        networks = {"allow_networks": ["127.0.0.0/8", "::1/128"]}
        return {"adapter": "sql", "url": self.url, **secret, **networks}


@contextmanager
def mariadb() -> Iterator[Server]:
    need("mariadb")
    yield from _server(MARIADB, "mysql", "mysql+pymysql", "CHARACTER SET utf8mb4")


@contextmanager
def postgresql() -> Iterator[Server]:
    need("postgresql")
    yield from _server(POSTGRESQL, "postgresql", "postgresql+psycopg", "")


def _server(admin: str, kind: str, driver: str, more: str) -> Iterator[Server]:
    """A new database, dropped afterwards."""
    name, url = f"hub_shop_{uuid.uuid4().hex[:12]}", urlsplit(admin)
    user = url.username or getpass.getuser()
    secret = f":{url.password}" if url.password else ""
    place = f"{user}{secret}@{url.hostname}:{url.port}"
    root = create_engine(f"{driver}://{place}{url.path}", isolation_level="AUTOCOMMIT")
    with root.connect() as conn:
        conn.execute(text(f"CREATE DATABASE {name} {more}"))
    engine = create_engine(f"{driver}://{place}/{name}")
    try:
        yield Server(
            f"{kind}://{user}@{url.hostname}:{url.port}/{name}", url.password or "", engine
        )
    finally:
        engine.dispose()
        force = " WITH (FORCE)" if kind == "postgresql" else ""
        with root.connect() as conn:
            conn.execute(text(f"DROP DATABASE {name}{force}"))
        root.dispose()
