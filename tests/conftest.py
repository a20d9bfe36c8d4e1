"""Databases to test on: SQLite always, PostgreSQL where it answers; each test gets its own."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pymysql
import pytest

from demo.city import REGISTERED
from hub.registry import Hub, apply, open_hub
from hub.settings import Settings
from hub.store import db
from hub.store.crypto import new_key
from hub.store.db import Database
from hub.store.migrate import migrate
from hub.store.schema import metadata

POSTGRESQL = os.environ.get("HUB_TEST_POSTGRESQL", "postgresql://127.0.0.1:5432/postgres")
REQUIRED = [name for name in os.environ.get("HUB_TEST_REQUIRE", "").split(",") if name]
MARIADB = os.environ.get("HUB_TEST_MARIADB", "mysql://root@127.0.0.1:3306/test")
PORTS = {"postgresql": 5432, "rabbitmq": 5672, "redis": 6379, "mariadb": 3306}
KEY = new_key()
sys.path.append(str(REGISTERED))  # the vendors of demo/city are adapters like any other


def answers(service: str) -> bool:
    """Whether a service answers on its standard local port."""
    try:
        socket.create_connection(("127.0.0.1", PORTS[service]), 1).close()
        if service == "postgresql":
            psycopg.connect(POSTGRESQL, connect_timeout=3).close()
        if service == "mariadb":
            url = urlsplit(MARIADB)
            account = {"user": url.username or "", "password": url.password or ""}
            pymysql.connect(host=url.hostname, port=url.port or 3306, **account).close()
    except (OSError, psycopg.OperationalError, pymysql.MySQLError):
        return False
    return True


def need(service: str) -> None:
    """Skip the test without the service; fail where the environment promises it."""
    if answers(service):
        return
    if service in REQUIRED:
        pytest.fail(f"{service} is required and does not answer on port {PORTS[service]}")
    pytest.skip(f"{service} does not answer on port {PORTS[service]}")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "hub.db"
    database = Database(f"sqlite:///{path}")
    migrate(database)
    with database.engine.connect() as conn:
        conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return path


@pytest.fixture(scope="session")
def postgresql_template() -> Iterator[str]:
    need("postgresql")
    name = f"hub_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(POSTGRESQL, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}")
        database = Database(_beside(name))
        migrate(database)
        database.close()
        yield name
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _beside(name: str) -> str:
    return POSTGRESQL.rpartition("/")[0] + f"/{name}"


@pytest.fixture(scope="session")
def postgresql_pool(postgresql_template: str) -> Iterator[Pool]:
    pool = Pool(postgresql_template)
    yield pool
    pool.close()


class Pool:
    """Databases like the template: emptied and given out again, as making one takes long."""

    def __init__(self, template: str) -> None:
        self._template = template
        self._free: list[str] = []
        with psycopg.connect(_beside(template)) as conn:
            self._shape = conn.execute(_SHAPE).fetchall()

    def take(self) -> str:
        return self._free.pop() if self._free else self.made()

    def give_back(self, name: str) -> None:
        """Keep it for the next test, unless somebody still uses it or its tables were changed."""
        try:
            with psycopg.connect(_beside(name), options="-c lock_timeout=2s") as conn:
                is_used = conn.execute(_USERS).fetchone() != (0,)
                clean = not is_used and conn.execute(_SHAPE).fetchall() == self._shape
                if clean:
                    conn.execute(_EMPTY)
        except psycopg.Error:
            clean = False
        if clean:
            self._free.append(name)
        else:
            self.drop(name)

    def close(self) -> None:
        for name in self._free:
            self.drop(name)

    def made(self) -> str:
        name = f"{self._template}_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(POSTGRESQL, autocommit=True) as conn:
            conn.execute(f"CREATE DATABASE {name} TEMPLATE {self._template}")
            # Processes of ours end in tests, the server never does: nobody needs to wait for disks.
            conn.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
        return name

    @staticmethod
    def drop(name: str) -> None:
        with psycopg.connect(POSTGRESQL, autocommit=True) as conn:
            conn.execute(f"DROP DATABASE {name} WITH (FORCE)")


_USERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""
_SHAPE = """
    SELECT c.relname, c.relkind, count(a.attname) FROM pg_class c
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    WHERE c.relnamespace = 'public'::regnamespace GROUP BY 1, 2 ORDER BY 1"""
_EMPTY = ";".join(
    [f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)]
    + ["SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'"]
)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty, migrated database of each kind."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "hub.db")
        yield f"sqlite:///{tmp_path}/hub.db"
        return
    pool = request.getfixturevalue("postgresql_pool")
    if request.node.get_closest_marker("fresh_database"):
        name = pool.made()
        yield _beside(name)
        pool.drop(name)
        return
    name = pool.take()
    yield _beside(name)
    pool.give_back(name)


@pytest.fixture(scope="session", autouse=True)
def nobody_waits_for_disks() -> Iterator[None]:
    """Processes of ours end in tests, the machine never does."""
    prepare = db._prepare_sqlite

    def hurried(raw: Any, record: object) -> None:
        prepare(raw, record)
        raw.execute("PRAGMA synchronous=OFF")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(db, "_prepare_sqlite", hurried)
        yield


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty settings.toml of the test's own, so that nobody's real one is read."""
    path = tmp_path / "settings.toml"
    path.touch()
    monkeypatch.setenv("HUB_SETTINGS", str(path))
    return path


@pytest.fixture
def open_with(database_url: str, tmp_path: Path) -> Iterator[Callable[..., Hub]]:
    """Opens a hub with the given connections and rules, applied."""
    opened: list[Hub] = []

    def make(
        connections: dict[str, dict[str, Any]],
        rules: list[dict[str, Any]] | None = None,
        **more: Any,
    ) -> Hub:
        settings = Settings(
            state_dir=tmp_path,
            database_url=database_url,
            secret_keys=[KEY],
            connections=connections,
            rules=rules or [],
            **more,
        )
        hub = open_hub(settings)
        opened.append(hub)
        apply(hub.registry, settings)
        return hub

    yield make
    for hub in opened:
        hub.close()
