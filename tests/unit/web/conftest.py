"""A web application on each kind of database, filled with a small company's customers."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient

from hub.settings import Settings
from hub.store import accounts
from hub.store.db import Database
from hub.web import create_app
from tests.unit.web import world
from tests.unit.web.world import KEY

PASSWORD = "correct horse battery"
HERE = {"Origin": "http://localhost"}

ClientOf = Callable[[str], FlaskClient]


def filled(url: str) -> Database:
    database = Database(url)
    with database.write() as conn:
        world.fill(conn)
        for role in accounts.ROLES:
            secret = accounts.create_token(conn, f"{role}'s program", role)
            TOKENS[url, role] = secret
    return database


TOKENS: dict[tuple[str, str], str] = {}


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2id with next to no memory: the tests are about who gets in, not about its price."""
    hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(accounts, "_hasher", hasher)
    monkeypatch.setattr(accounts, "_NOBODY", hasher.hash("nobody's"))


@pytest.fixture
def everywhere(database_url: str) -> Iterator[Database]:
    """The filled database, on SQLite and on PostgreSQL."""
    database = filled(database_url)
    yield database
    database.close()


@pytest.fixture
def database(sqlite_template: Path, tmp_path: Path) -> Iterator[Database]:
    """The filled database, on SQLite alone, for what has nothing to do with the database."""
    shutil.copy(sqlite_template, tmp_path / "hub.db")
    database = filled(f"sqlite:///{tmp_path}/hub.db")
    yield database
    database.close()


def app_on(database: Database, **more: object) -> Flask:
    settings = Settings.model_validate({"secret_keys": [KEY], "database_url": database.url, **more})
    app = create_app(settings, database)
    app.testing = True
    return app


@pytest.fixture
def app(database: Database) -> Flask:
    return app_on(database)


@pytest.fixture
def client_of(app: Flask, database: Database) -> ClientOf:
    """A client that sends the token of a role; "" sends none."""
    return lambda role: client_with(app, database, role)


def client_with(app: Flask, database: Database, role: str) -> FlaskClient:
    client = app.test_client()
    if role:
        token = TOKENS[database.url, role]
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


@pytest.fixture
def agent(client_of: ClientOf) -> FlaskClient:
    return client_of("agent")


@pytest.fixture
def auditor(client_of: ClientOf) -> FlaskClient:
    return client_of("auditor")


@pytest.fixture
def stranger(client_of: ClientOf) -> FlaskClient:
    return client_of("")
