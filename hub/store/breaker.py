"""When most writes to a vendor fail, it is left alone for a moment instead of being knocked at."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from hub.store import bulk, leases
from hub.store.schema import EPOCH, breaker

WINDOW = timedelta(minutes=5)
CALLS_MIN = 10
FAILED_SHARE = 0.7
REST = timedelta(seconds=30)


def note(conn: Connection, connection: str, *, failed: bool) -> bool:
    """Count one call; whether that opened the breaker.

    The first call after a rest decides: it ends the rest, or begins another.
    """
    now = leases.now()
    mine = select(breaker).where(breaker.c.connection == connection)
    row = conn.execute(mine.with_for_update()).first()  # many lanes count at once
    if row is None and not failed:
        return False
    window_at, calls, errors, open_until = now, 0, 0, EPOCH
    if row is not None:
        open_until = row.open_until
        if now - row.window_at < WINDOW:
            window_at, calls, errors = row.window_at, row.calls, row.failed
    half_open = EPOCH < open_until <= now
    calls, errors = calls + 1, errors + failed
    opens = failed and (half_open or (calls >= CALLS_MIN and errors >= calls * FAILED_SHARE))
    if half_open and not failed:
        calls, errors, open_until = 0, 0, EPOCH
    told = {
        "connection": connection,
        "window_at": window_at,
        "calls": calls,
        "failed": errors,
        "open_until": now + REST if opens else open_until,
    }
    bulk.upsert(conn, breaker, [told])
    return bool(opens)


def open_until(conn: Connection, connection: str) -> datetime | None:
    """Until when nothing is to be tried; None when it may be."""
    query = select(breaker.c.open_until).where(
        breaker.c.connection == connection, breaker.c.open_until > leases.now()
    )
    return conn.execute(query).scalar_one_or_none()
