"""One schema, two databases, and migrations that lead to it."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from hub.store.db import Database
from hub.store.migrate import is_current, migrate
from hub.store.schema import metadata


def test_migrations_lead_to_the_schema_and_running_them_again_changes_nothing(
    database_url: str,
) -> None:
    database = Database(database_url)
    migrate(database)
    with database.read() as conn:
        assert is_current(conn)
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    database.close()
