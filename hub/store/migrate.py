"""Brings a database to the current schema; running it again changes nothing."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from hub.store.db import Database

_SCRIPTS = Path(__file__).with_name("migrations")
_LOCK = 361


def migrate(database: Database) -> None:
    """Apply the missing migrations, one process at a time.

    Raises:
        StoreError: the database cannot be reached or is locked.
    """
    with database.write() as conn:
        if not database.is_sqlite:
            conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if not is_current(conn):
            command.upgrade(_config(conn), "head")


def is_current(conn: Connection) -> bool:
    """Whether nothing is missing."""
    head = ScriptDirectory(str(_SCRIPTS)).get_current_head()
    return MigrationContext.configure(conn).get_current_revision() == head


def _config(conn: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = conn
    return config
