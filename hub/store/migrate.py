"""Brings a database to the current schema; running it again changes nothing."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from hub.store.db import Database

_SCRIPTS = Path(__file__).with_name("migrations")
_HEAD = max(path.name for path in (_SCRIPTS / "versions").glob("[0-9]*.py"))[:4]
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
            _upgrade(conn)


def is_current(conn: Connection) -> bool:
    """Whether nothing is missing."""
    if not inspect(conn).has_table("alembic_version"):
        return False
    return conn.execute(text("SELECT version_num FROM alembic_version")).scalar() == _HEAD


def _upgrade(conn: Connection) -> None:
    # Every command asks whether the schema is current, few have something to do: Alembic takes long
    # to load.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = conn
    command.upgrade(config, "head")
