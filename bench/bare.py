"""What the receiver is compared with: the least a Flask application can do, and nothing at all."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, Response, request

from hub.settings import settings

TABLE = "CREATE TABLE IF NOT EXISTS bare (id {serial}, body {bytes} NOT NULL)"


def create_app() -> Flask:
    """Flask and one INSERT with its own commit; no signature, no receipt, no lane."""
    url = settings().database
    is_sqlite = url.startswith("sqlite:///")
    insert = _sqlite(url.removeprefix("sqlite:///")) if is_sqlite else _postgresql(url)
    app = Flask("bare", static_folder=None)

    @app.post("/hooks/<name>")
    def hooks(name: str) -> Response:
        insert(request.get_data(cache=False))
        return Response(f'{{"event": "{name}"}}\n', 202, mimetype="application/json")

    return app


def nothing(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """A WSGI application that reads the request and does nothing: what the server itself costs."""
    environ["wsgi.input"].read()
    start_response("202 Accepted", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return [b"ok\n"]


def _sqlite(path: str) -> Callable[[bytes], None]:
    mine = threading.local()

    def connection() -> sqlite3.Connection:
        if not hasattr(mine, "conn"):
            mine.conn = sqlite3.connect(path, isolation_level=None, timeout=30)
            mine.conn.execute("PRAGMA synchronous=FULL")  # as durable as the hub's
        found: sqlite3.Connection = mine.conn
        return found

    def insert(body: bytes) -> None:
        connection().execute("INSERT INTO bare (body) VALUES (?)", (body,))

    connection().execute(TABLE.format(serial="INTEGER PRIMARY KEY", bytes="BLOB"))
    return insert


def _postgresql(url: str) -> Callable[[bytes], None]:
    from psycopg_pool import ConnectionPool

    pool = ConnectionPool(url, min_size=16, max_size=16, open=True)
    with pool.connection() as conn:
        conn.execute(TABLE.format(serial="bigserial PRIMARY KEY", bytes="bytea"))

    def insert(body: bytes) -> None:
        with pool.connection() as conn:
            conn.execute("INSERT INTO bare (body) VALUES (%s)", (body,))

    return insert
