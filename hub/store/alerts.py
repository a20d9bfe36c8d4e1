"""What a person must know of: said once when it begins, and once when it is over."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.sql import ColumnElement

from hub.store import bulk, leases
from hub.store.schema import alert


def open_(
    conn: Connection, kind: str, connection: str, subject: str, message: str, hint: str = ""
) -> bool:
    """Tell of it, unless that was done and it is not over yet; whether it is news."""
    if _is_open(conn, kind, connection, subject):
        return False
    row = {
        "kind": kind,
        "connection": connection,
        "subject": subject,
        "message": message[:500],
        "hint": hint[:500],
        "opened_at": leases.now(),
    }
    bulk.insert_new(conn, alert, [row])
    return True


def close(conn: Connection, kind: str, connection: str, subject: str = "") -> bool:
    """It is over; whether there was something to end."""
    if not _is_open(conn, kind, connection, subject):  # a read costs less than a write of nothing
        return False
    ended = update(alert).where(*_same(kind, connection, subject)).values(closed_at=leases.now())
    return conn.execute(ended).rowcount > 0


def every(conn: Connection, connection: str | None = None) -> list[dict[str, Any]]:
    """Alerts that are not over, the oldest first."""
    query = select(alert).where(alert.c.closed_at.is_(None)).order_by(alert.c.id)
    if connection:
        query = query.where(alert.c.connection == connection)
    return [dict(row) for row in conn.execute(query).mappings()]


def _is_open(conn: Connection, kind: str, connection: str, subject: str) -> bool:
    query = select(alert.c.id).where(*_same(kind, connection, subject)).limit(1)
    return conn.execute(query).first() is not None


def _same(kind: str, connection: str, subject: str) -> tuple[ColumnElement[bool], ...]:
    same = alert.c.kind == kind, alert.c.connection == connection, alert.c.subject == subject
    return (*same, alert.c.closed_at.is_(None))
