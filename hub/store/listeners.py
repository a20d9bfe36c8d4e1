"""How far each listening connection has received, and when its line last stood."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select, update

from hub.store import bulk, leases
from hub.store.schema import listener


def ensure(conn: Connection, connection: str) -> None:
    """Make a row for this connection where there is none."""
    bulk.insert_new(conn, listener, [{"connection": connection}])


def cursor(conn: Connection, connection: str) -> str | None:
    """Where to go on, as the adapter said last; None = from the beginning."""
    query = select(listener.c.cursor).where(listener.c.connection == connection)
    return conn.execute(query).scalar()


def hear(conn: Connection, connection: str, events: int, cursor: str | None) -> None:
    """The line stands; so many events came, and the cursor moves behind them if there is one."""
    now = leases.now()
    values: dict[str, Any] = {"heard_at": now, "events": listener.c.events + events}
    if events:
        values["received_at"] = now
    if cursor is not None:
        values["cursor"] = cursor
    _set(conn, connection, **values)


def forget(conn: Connection, connection: str) -> bool:
    """Begin anew; whether there was a cursor to forget."""
    had = cursor(conn, connection) is not None
    _set(conn, connection, cursor=None)
    return had


def every(conn: Connection) -> list[dict[str, Any]]:
    """All listening connections that ever were."""
    query = select(*(c for c in listener.c if c.name != "cursor")).order_by(listener.c.connection)
    return [dict(row) for row in conn.execute(query).mappings()]


def _set(conn: Connection, connection: str, **values: Any) -> None:
    conn.execute(update(listener).where(listener.c.connection == connection).values(**values))
