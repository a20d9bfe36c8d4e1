"""Verified webhook items: stored once, drained in order per record, kept as receipts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, and_, exists, func, or_, select, update
from sqlalchemy.sql import ColumnElement

from hub.sdk import Item
from hub.sdk.signing import body_hash
from hub.store import bulk, leases
from hub.store.schema import inbox, inbox_pending

_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})


UNNAMED = "sha256:"
"""Begins the id of an event its vendor gave no name: the same words may be news another day."""

NAME_MAX = 500


@dataclass(frozen=True, slots=True)
class Event:
    """One pending inbox row."""

    id: int
    connection: str
    order_key: str | None
    body: bytes
    received_at: datetime
    attempts: int


def rows_for(
    connection: str, items: Sequence[Item], headers: Mapping[str, str], received_at: datetime
) -> list[dict[str, Any]]:
    """The rows to insert for one webhook."""
    kept = orjson.dumps(_scrubbed(headers)).decode()
    return [
        {
            "connection": connection,
            "event_id": _plain(item.event_id) if item.event_id else UNNAMED + body_hash(item.body),
            "order_key": _plain(item.order_key) if item.order_key else None,
            "lane": leases.lane_name("in", connection, item.order_key and _plain(item.order_key)),
            "state": "received",
            "available_at": received_at,
            "received_at": received_at,
            "headers": kept,
            "body": item.body,
        }
        for item in items
    ]


def _plain(text: str) -> str:
    """What both databases can hold, whatever a sender puts into a name."""
    kept = text.replace("\x00", "").encode("utf-8", "replace").decode()
    return kept if len(kept) <= NAME_MAX else f"{kept[:100]}…{body_hash(kept.encode())}"


def save(conn: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Store the rows that are not there yet, and make sure their lanes exist."""
    leases.ensure_lanes(conn, [row["lane"] for row in rows])
    bulk.insert_new(conn, inbox, rows)


def reopen(conn: Connection, row: Mapping[str, Any]) -> int | None:
    """Queue an event without a name of its own again, if it was applied before; its id.

    "Ticket 7 changed" comes in the same bytes each time. A complete record that comes again changes
    nothing anyway; one still waiting is the repetition of a sender who did not hear us.
    """
    if not row["event_id"].startswith(UNNAMED):
        return None
    done = (inbox.c.connection == row["connection"], inbox.c.event_id == row["event_id"])
    again = update(inbox).where(*done, inbox.c.state == "done").returning(inbox.c.id)
    at = row["received_at"]
    values = {"state": "received", "received_at": at, "available_at": at, "done_at": None}
    return conn.execute(again.values(**values, attempts=0)).scalar_one_or_none()


def due(conn: Connection, lane: str, limit: int) -> list[Event]:
    """The next events of a lane, oldest first; a key that waits for a retry is passed over."""
    now = leases.now()
    waiting = select(inbox.c.order_key).where(
        inbox.c.lane == lane,
        inbox_pending,  # names the index
        inbox.c.state == "retry",
        inbox.c.available_at > now,
        inbox.c.order_key.is_not(None),
    )
    rows = conn.execute(
        select(
            inbox.c.id,
            inbox.c.connection,
            inbox.c.order_key,
            inbox.c.body,
            inbox.c.received_at,
            inbox.c.attempts,
        )
        .where(
            inbox.c.lane == lane,
            inbox_pending,
            inbox.c.available_at <= now,
            or_(inbox.c.order_key.is_(None), inbox.c.order_key.not_in(waiting)),
        )
        .order_by(inbox.c.id)
        .limit(limit)
    )
    return [Event(*row) for row in rows]


def is_held_back(conn: Connection, lane: str) -> bool:
    """Whether a lane with nothing due has events that wait behind a retry of their key."""
    ready = exists().where(
        inbox.c.lane == lane, inbox_pending, inbox.c.available_at <= leases.now()
    )
    return bool(conn.execute(select(ready)).scalar())


def finish(conn: Connection, ids: Sequence[int]) -> None:
    """These events are applied."""
    _set(conn, ids, state="done", done_at=leases.now(), error="")


def retry(conn: Connection, ids: Sequence[int], after_s: float, error: str) -> None:
    """Try these events again later; later ones of the same key wait behind them."""
    _set(
        conn,
        ids,
        state="retry",
        attempts=inbox.c.attempts + 1,
        available_at=leases.now() + timedelta(seconds=after_s),
        error=error,
    )


def hasten(conn: Connection, connection: str) -> None:
    """The vendor is back: what waits for its next try is due now."""
    mine = inbox.c.lane.in_(leases.lanes("in", connection)), inbox_pending  # names the index
    later = inbox.c.state == "retry", inbox.c.available_at > leases.now()
    conn.execute(update(inbox).where(*mine, *later).values(available_at=leases.now()))


def quarantine(conn: Connection, ids: Sequence[int], error: str) -> None:
    """These events could not be read; their bytes stay."""
    _set(conn, ids, state="quarantined", done_at=leases.now(), error=error)


def replay(conn: Connection, ids: Sequence[int]) -> int:
    """Queue these events again, whatever became of them; how many there were."""
    return _set(conn, ids, state="received", available_at=leases.now(), done_at=None, attempts=0)


def skip(conn: Connection, ids: Sequence[int]) -> int:
    """Leave these pending or quarantined events aside; how many there were."""
    still = inbox.c.state.in_(("received", "retry", "quarantined"))
    return _set(conn, ids, still, state="skipped", done_at=leases.now())


def page(
    conn: Connection,
    *,
    connection: str | None = None,
    state: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """Events newest first, without their bodies."""
    query = select(*(c for c in inbox.c if c.name not in ("body", "headers")))
    if connection:
        query = query.where(inbox.c.connection == connection)
    if state:
        query = query.where(inbox.c.state == state)
    if before:
        query = query.where(inbox.c.id < before)
    rows = conn.execute(query.order_by(inbox.c.id.desc()).limit(limit))
    return [dict(row) for row in rows.mappings()]


def get(conn: Connection, id_: int) -> dict[str, Any] | None:
    """One event with headers and body."""
    row = conn.execute(select(inbox).where(inbox.c.id == id_)).mappings().first()
    return dict(row) if row else None


def counts(conn: Connection) -> dict[tuple[str, str], int]:
    """How many events by (connection, state)."""
    query = select(inbox.c.connection, inbox.c.state, func.count())
    rows = conn.execute(query.group_by(inbox.c.connection, inbox.c.state))
    return {(connection, state): n for connection, state, n in rows}


def _set(conn: Connection, ids: Sequence[int], *where: ColumnElement[bool], **values: Any) -> int:
    if not ids:
        return 0
    chosen = and_(inbox.c.id.in_(sorted(ids)), *where)
    return conn.execute(update(inbox).where(chosen).values(**values)).rowcount


def _scrubbed(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: "***" if name in _SECRET_HEADERS or "signature" in name or "token" in name else value
        for name, value in headers.items()
    }
