"""Intended writes: queued once, delivered in order per record, kept with every attempt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, and_, exists, func, select, update
from sqlalchemy.sql import ColumnElement

from hub.rules.decide import Intent
from hub.store import bulk, leases
from hub.store.schema import attempt, binding, delivery, outbox_pending


@dataclass(frozen=True, slots=True)
class Delivery:
    """One pending write."""

    id: int
    key: str
    connection: str
    stream: str
    subject: str
    order_key: str
    fields: Mapping[str, Any]
    attempts: int
    created_at: datetime


def enqueue(conn: Connection, intents: Sequence[Intent]) -> None:
    """Queue the intents that were not queued before: the same cause writes once."""
    now = leases.now()
    rows = [
        {
            "key": intent.key,
            "connection": intent.connection,
            "stream": intent.stream,
            "subject": intent.subject,
            "order_key": intent.subject,
            "lane": leases.lane_name("out", intent.connection, intent.subject),
            "fields": orjson.dumps(intent.fields).decode(),
            "cause": orjson.dumps(intent.cause).decode(),
            "state": "queued",
            "available_at": now,
            "created_at": now,
        }
        for intent in intents
    ]
    leases.ensure_lanes(conn, [leases.lane_name("out", i.connection, i.subject) for i in intents])
    bulk.insert_new(conn, delivery, rows)


def due(conn: Connection, lane: str, limit: int) -> list[Delivery]:
    """The next deliveries of a lane, oldest first.

    What follows a write that waits for its retry, or whose outcome is unknown, is passed over.
    """
    now = leases.now()
    earlier = delivery.alias("earlier")
    waits = (earlier.c.state == "retry") & (earlier.c.available_at > now)
    blocked = exists().where(
        earlier.c.subject == delivery.c.subject,
        earlier.c.lane == lane,
        earlier.c.id < delivery.c.id,
        waits | (earlier.c.state == "unknown"),
    )
    rows = conn.execute(
        select(
            delivery.c.id,
            delivery.c.key,
            delivery.c.connection,
            delivery.c.stream,
            delivery.c.subject,
            delivery.c.order_key,
            delivery.c.fields,
            delivery.c.attempts,
            delivery.c.created_at,
        )
        .where(delivery.c.lane == lane, outbox_pending, delivery.c.available_at <= now)
        .where(~blocked)
        .order_by(delivery.c.id)
        .limit(limit)
    )
    return [Delivery(*row[:6], orjson.loads(row.fields), *row[7:]) for row in rows]


def is_held_back(conn: Connection, lane: str) -> bool:
    """Whether a lane with nothing due has writes that wait behind an earlier one."""
    now = leases.now()
    ready = exists().where(delivery.c.lane == lane, outbox_pending, delivery.c.available_at <= now)
    return bool(conn.execute(select(ready)).scalar())


def confirm(
    conn: Connection, item: Delivery, external_id: str, took_ms: int, written: Mapping[str, Any]
) -> None:
    """The vendor has it: close the delivery and bind our record to its copy."""
    now = leases.now()
    done = {"state": "confirmed", "done_at": now, "external_id": external_id, "error": ""}
    _set(conn, [item.id], **done, attempts=delivery.c.attempts + 1)
    _note(conn, item, "confirmed", "", took_ms)
    if f"{item.connection}/{item.stream}/{external_id}" != item.subject:
        _bind(conn, item, external_id, written)


def _bind(conn: Connection, item: Delivery, external_id: str, written: Mapping[str, Any]) -> None:
    """Note the copy. One record per copy: what was bound to it first stays bound to it."""
    row = {
        "subject": item.subject,
        "connection": item.connection,
        "stream": item.stream,
        "external_id": external_id,
        "written": orjson.dumps(written).decode(),
        "written_at": leases.now(),
    }
    bulk.insert_new(conn, binding, [row])
    same = [binding.c[name] == row[name] for name in ("subject", "connection", "stream")]
    again = update(binding).where(*same, binding.c.external_id == external_id)
    conn.execute(again.values(written=row["written"], written_at=row["written_at"]))


def fail(
    conn: Connection,
    item: Delivery,
    state: str,
    exc: Exception,
    took_ms: int,
    *,
    retry_after_s: float = 0.0,
) -> None:
    """It was not written: ``retry`` later, or ``dead`` or ``unknown`` until a person looks."""
    hint = getattr(exc, "hint", "")
    _set(
        conn,
        [item.id],
        state=state,
        attempts=delivery.c.attempts + 1,
        available_at=leases.now() + timedelta(seconds=retry_after_s),
        error=str(exc)[:500],
        hint=hint[:500],
        done_at=None if state == "retry" else leases.now(),
    )
    _note(conn, item, type(exc).__name__, str(exc)[:500], took_ms)


def _note(conn: Connection, item: Delivery, outcome: str, error: str, took_ms: int) -> None:
    row = {
        "delivery_id": item.id,
        "at": leases.now(),
        "took_ms": took_ms,
        "outcome": outcome,
        "error": error,
    }
    bulk.insert(conn, attempt, [row])


def bound_id(conn: Connection, subject: str, connection: str, stream: str) -> str | None:
    """The id of our record's copy in another system."""
    return conn.execute(
        select(binding.c.external_id).where(
            binding.c.subject == subject,
            binding.c.connection == connection,
            binding.c.stream == stream,
        )
    ).scalar_one_or_none()


def copies(conn: Connection, refs: Sequence[str]) -> dict[str, str]:
    """Which of these records are copies the hub made: copy → what it was made from."""
    found: dict[str, str] = {}
    by_place: dict[tuple[str, str], list[str]] = {}
    for name in refs:
        connection, stream, id_ = name.split("/", 2)
        by_place.setdefault((connection, stream), []).append(id_)
    for (connection, stream), ids in by_place.items():
        for chunk in bulk.chunks(ids):
            rows = conn.execute(
                select(binding.c.external_id, binding.c.subject).where(
                    binding.c.connection == connection,
                    binding.c.stream == stream,
                    bulk.among(binding.c.external_id, chunk),
                )
            )
            found.update((f"{connection}/{stream}/{row[0]}", row[1]) for row in rows)
    return found


def replay(conn: Connection, ids: Sequence[int]) -> int:
    """Queue again what is dead, unknown or skipped; how many there were."""
    ended = delivery.c.state.in_(("dead", "unknown", "skipped", "retry"))
    now = leases.now()
    return _set(conn, ids, ended, state="queued", available_at=now, done_at=None, attempts=0)


def skip(conn: Connection, ids: Sequence[int]) -> int:
    """Leave these aside for good; how many there were."""
    open_ = delivery.c.state.not_in(("confirmed", "skipped"))
    return _set(conn, ids, open_, state="skipped", done_at=leases.now())


def page(
    conn: Connection,
    *,
    connection: str | None = None,
    state: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """Deliveries newest first, without what they write."""
    query = select(*(c for c in delivery.c if c.name != "fields"))
    if connection:
        query = query.where(delivery.c.connection == connection)
    if state:
        query = query.where(delivery.c.state == state)
    if before:
        query = query.where(delivery.c.id < before)
    rows = conn.execute(query.order_by(delivery.c.id.desc()).limit(limit))
    return [dict(row) for row in rows.mappings()]


def get(conn: Connection, id_: int) -> dict[str, Any] | None:
    """One delivery with its attempts."""
    row = conn.execute(select(delivery).where(delivery.c.id == id_)).mappings().first()
    if row is None:
        return None
    tries = conn.execute(select(attempt).where(attempt.c.delivery_id == id_).order_by(attempt.c.id))
    return {**row, "tries": [dict(t) for t in tries.mappings()]}


def counts(conn: Connection) -> dict[tuple[str, str], int]:
    """How many deliveries by (connection, state)."""
    query = select(delivery.c.connection, delivery.c.state, func.count())
    rows = conn.execute(query.group_by(delivery.c.connection, delivery.c.state))
    return {(connection, state): n for connection, state, n in rows}


def _set(conn: Connection, ids: Sequence[int], *where: ColumnElement[bool], **values: Any) -> int:
    chosen = and_(delivery.c.id.in_(sorted(ids)), *where)
    return conn.execute(update(delivery).where(chosen).values(**values)).rowcount
