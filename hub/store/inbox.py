"""Verified webhook items: stored once, drained in order per record, kept as receipts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, and_, delete, exists, func, literal_column, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import ColumnElement

from hub.sdk import Item
from hub.sdk.signing import body_hash
from hub.store import bodies, leases
from hub.store.schema import inbox, inbox_over, inbox_pending

UNNAMED = "sha256:"
"""Begins the id of an event its vendor gave no name: the same words may be news another day."""

NAME_MAX = 500
OPEN = ("received", "retry", "quarantined")
"""States of events that are not over."""

_QUEUED: dict[str, Any] = {
    "state": "received",
    "attempts": 0,
    "done_at": None,
    "error": "",
    "hint": "",
}


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
    connection: str,
    items: Sequence[Item],
    headers: Mapping[str, str],
    received_at: datetime,
    secrets: Collection[str] = (),
) -> list[dict[str, Any]]:
    """The rows to insert for one webhook; its headers are kept without these secrets."""
    kept = orjson.dumps(bodies.scrubbed(headers, secrets)).decode()
    return [
        {
            "connection": connection,
            "event_id": _plain(item.event_id) if item.event_id else UNNAMED + body_hash(item.body),
            "type": _plain(item.type),
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
    """What both databases can hold, whatever a sender puts into a name; other names stay others."""
    kept = text.replace("\x00", "").encode("utf-8", "replace").decode()
    if kept == text and len(kept) <= NAME_MAX:
        return kept
    return f"{kept[:100]}…{body_hash(text.encode('utf-8', 'surrogatepass'))}"


def save(conn: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Store the rows that are not there yet, and make sure their lanes exist."""
    if rows:
        leases.ensure_lanes(conn, [row["lane"] for row in rows])
        conn.execute(STORE[conn.dialect.name], rows)


def _store(new: sqlite.Insert | postgresql.Insert) -> sqlite.Insert | postgresql.Insert:
    brought = {c.name: c for c in new.excluded if c.name not in ("id", "connection", "event_id")}
    unnamed = inbox.c.event_id.like(literal_column(f"'{UNNAMED}%'"))
    return new.on_conflict_do_update(
        index_elements=["connection", "event_id"],
        set_=brought,
        where=unnamed & (inbox.c.state == literal_column("'done'")),
    )


STORE = {"sqlite": _store(sqlite.insert(inbox)), "postgresql": _store(postgresql.insert(inbox))}
"""Inserts a row unless its event is there, by dialect.

An event without a name of its own is queued again if it was applied before: "ticket 7 changed"
comes in the same bytes each time. A complete record that comes again changes nothing anyway; one
still waiting is the repetition of a sender who did not hear us.
"""


def due(conn: Connection, lanes: Sequence[str], limit: int) -> list[Event]:
    """The next events of some lanes, oldest first; a key that waits for a retry is passed over."""
    now = leases.now()
    waiting = select(inbox.c.order_key).where(
        inbox.c.lane.in_(lanes),
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
            inbox.c.lane.in_(lanes),
            inbox_pending,
            inbox.c.available_at <= now,
            or_(inbox.c.order_key.is_(None), inbox.c.order_key.not_in(waiting)),
        )
        .order_by(inbox.c.id)
        .limit(limit)
    )
    return [Event(*row) for row in rows]


def is_held_back(conn: Connection, lanes: Sequence[str]) -> bool:
    """Whether lanes with nothing due have events that wait behind a retry of their key."""
    ready = exists().where(
        inbox.c.lane.in_(lanes), inbox_pending, inbox.c.available_at <= leases.now()
    )
    return bool(conn.execute(select(ready)).scalar())


def finish(conn: Connection, ids: Sequence[int]) -> None:
    """These events are applied."""
    _set(conn, ids, state="done", done_at=leases.now(), error="", hint="")


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


def quarantine(conn: Connection, ids: Sequence[int], error: str, hint: str = "") -> None:
    """These events could not be read; their bytes stay."""
    _set(conn, ids, state="quarantined", done_at=leases.now(), error=error, hint=hint)


def replay(conn: Connection, ids: Sequence[int]) -> int:
    """Queue these events again, whatever became of them; how many still had their bytes."""
    return _set(conn, ids, inbox.c.expired_at.is_(None), **_QUEUED, available_at=leases.now())


def skip(conn: Connection, ids: Sequence[int]) -> int:
    """Leave these pending or quarantined events aside; how many there were."""
    return _set(conn, ids, inbox.c.state.in_(OPEN), state="skipped", done_at=leases.now())


def expire(conn: Connection, connection: str, before: datetime, limit: int) -> int:
    """Drop headers and bytes of events that were over before; how many. Their receipts remain."""
    i = inbox.c
    over = inbox_over, i.connection == connection, i.expired_at.is_(None), i.done_at < before
    query = select(i.id).where(*over).order_by(i.expired_at, i.done_at)  # as the index is
    ids = conn.execute(query.limit(limit)).scalars().all()
    return _set(conn, ids, *over, headers="{}", body=b"", expired_at=leases.now())


def forget(
    conn: Connection, connection: str, before: datetime, expired_before: datetime, limit: int
) -> int:
    """Drop receipts of what was over before; how many. A repetition is news from then on.

    Args:
        expired_before: when those were due at the latest; by this they are found.
    """
    i = inbox.c
    over = inbox_over, i.connection == connection, i.expired_at < expired_before
    query = select(i.id).where(*over, i.done_at < before).order_by(i.expired_at).limit(limit)
    ids = conn.execute(query).scalars().all()
    gone = delete(inbox).where(i.id.in_(sorted(ids)), *over)
    return conn.execute(gone).rowcount


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
