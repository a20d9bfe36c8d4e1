"""What the receiver is compared with: the least a Flask application can do, and nothing at all."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable

from flask import Flask, Response, request
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, Table

from hub.settings import settings

TABLE = Table(
    "bare",
    MetaData(),
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)
"""What every handler but ours keeps; made before any of them starts."""


def create_app(prepare: Callable[[sqlite3.Connection], None] | None = None) -> Flask:
    """Flask and one INSERT with its own commit; no signature, no receipt, no lane.

    Args:
        prepare: is given every new connection to SQLite.
    """
    url = settings().database
    is_sqlite = url.startswith("sqlite:///")
    insert = _sqlite(url.removeprefix("sqlite:///"), prepare) if is_sqlite else _postgresql(url)
    return _app(insert)


def nothing() -> Flask:
    """Flask that reads the request and keeps nothing."""
    return _app(lambda body: None)


def _app(insert: Callable[[bytes], None]) -> Flask:
    app = Flask("bare", static_folder=None)

    @app.post("/hooks/<name>")
    def hooks(name: str) -> Response:
        insert(request.get_data(cache=False))
        return Response(f'{{"event": "{name}"}}\n', 202, mimetype="application/json")

    return app


def _sqlite(
    path: str, prepare: Callable[[sqlite3.Connection], None] | None
) -> Callable[[bytes], None]:
    mine = threading.local()

    def connection() -> sqlite3.Connection:
        if not hasattr(mine, "conn"):
            mine.conn = sqlite3.connect(path, timeout=30)
            mine.conn.execute("PRAGMA synchronous=FULL")  # as durable as the hub's
            if prepare:
                prepare(mine.conn)
        found: sqlite3.Connection = mine.conn
        return found

    def insert(body: bytes) -> None:
        with connection() as conn:
            conn.execute("INSERT INTO bare (body) VALUES (?)", (body,))

    return insert


def _postgresql(url: str) -> Callable[[bytes], None]:
    from psycopg_pool import ConnectionPool

    pool = ConnectionPool(url, min_size=16, max_size=16, open=True)

    def insert(body: bytes) -> None:
        with pool.connection() as conn:
            conn.execute("INSERT INTO bare (body) VALUES (%s)", (body,))

    return insert
