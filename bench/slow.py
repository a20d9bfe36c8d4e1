"""SQLite where a flush costs exactly 2 ms, for ours and for the bare handler alike.

How long a disk takes to flush differs from machine to machine by a factor of a hundred, and that
decides what a group commit is worth. So the disk is not asked at all (``synchronous=OFF``), and
SQLite's trace hook waits in its place: when the COMMIT is about to run, with the write lock held.
"""

from __future__ import annotations

import sqlite3
import time

from flask import Flask
from sqlalchemy import event

from bench import bare
from webhooks import app

FLUSH_S = 0.002


def hooks() -> Flask:
    """The receiver."""
    made = app.create_app()
    engine = made.extensions["hub.database"].engine
    event.listen(engine, "connect", lambda raw, _: slow(raw))
    engine.dispose()  # whatever was opened before
    return made


def insert() -> Flask:
    """One INSERT and one commit per request."""
    return bare.create_app(slow)


def slow(conn: sqlite3.Connection) -> None:
    """Have every commit of this connection cost the flush."""

    def wait(statement: str) -> None:
        if statement == "COMMIT":
            time.sleep(FLUSH_S)

    conn.execute("PRAGMA synchronous=OFF")
    conn.set_trace_callback(wait)
