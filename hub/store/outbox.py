"""Intended writes: queued once, delivered in order per record, kept with every attempt."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, and_, case, exists, func, select, true, update
from sqlalchemy.sql import ColumnElement

from hub.models import BY_HAND
from hub.rules.decide import Intent
from hub.store import bulk, leases
from hub.store.schema import (
    attempt,
    binding,
    delivery,
    link,
    outbox_by_hand,
    outbox_open,
    outbox_pending,
    outbox_waiting,
)

STUCK = ("unknown", "looping")
"""States in which a delivery waits for a person, and later ones of its record behind it."""

CREATING = ("create", "tried")
"""What is noted of a creation that may have been done already."""

SOON = 4
"""A write that failed more often may fail for a day: nobody waits for its outcome."""

LATELY = timedelta(days=1)
"""How long what a person had written is told of once it is over."""

LOOP_WRITES = 10
LOOP_WINDOW = timedelta(minutes=10)
_OPEN = delivery.c.state.not_in(("confirmed", "skipped"))

BACKLOG_MAX = 200
"""So many deliveries waiting behind one another are told to the administrator."""


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
    state: str = "queued"
    sync: str | None = None
    under_way: str | None = None
    cause_ref: str | None = None

    @property
    def origin(self) -> str:
        """Whose customer the copy belongs to: what it is a copy of, or whom a person meant."""
        is_by_hand = self.subject.startswith(f"{BY_HAND}/")
        return self.cause_ref or self.subject if is_by_hand else self.subject


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
            "cause_ref": intent.cause.get("record"),
            "sync": intent.sync,
            "state": "queued",
            "available_at": now,
            "created_at": now,
        }
        for intent in intents
    ]
    leases.ensure_lanes(conn, [leases.lane_name("out", i.connection, i.subject) for i in intents])
    bulk.insert_new(conn, delivery, rows)


def id_of(conn: Connection, key: str) -> int | None:
    """The delivery of an intent, by its key."""
    return conn.execute(select(delivery.c.id).where(delivery.c.key == key)).scalar()


@dataclass(frozen=True, slots=True)
class Made:
    """What a person had written for a customer, and what became of it.

    Attributes:
        subject: of the request or message; text: its words.
        copy_ref: the record it became.
    """

    id: int
    verb: str
    actor: str
    connection: str
    stream: str
    subject: str
    text: str
    state: str
    copy_ref: str | None
    hint: str
    created_at: datetime
    done_at: datetime | None


def made_by_hand(conn: Connection, customer_id: str, limit: int = 20) -> list[Made]:
    """What people had written for a customer lately, or is not over; the newest first."""
    d = delivery.c
    query = (
        select(delivery)
        .join(link, link.c.ref == d.cause_ref)
        .where(link.c.customer_id == customer_id, *_lately_by_hand())
        .order_by(d.id.desc())
        .limit(limit)
    )
    return [_made(row) for row in conn.execute(query)]


def hand_states(conn: Connection, customer_ids: Sequence[str]) -> list[tuple[str, int, str]]:
    """(customer, delivery, state) of what ``made_by_hand`` tells of these customers."""
    d = delivery.c
    query = (
        select(link.c.customer_id, d.id, d.state)
        .join(link, link.c.ref == d.cause_ref)
        .where(bulk.among(link.c.customer_id, customer_ids), *_lately_by_hand())
        .order_by(d.id)
    )
    return [(row.customer_id, row.id, row.state) for row in conn.execute(query)]


def _lately_by_hand() -> tuple[ColumnElement[bool], ...]:
    lately = delivery.c.created_at > leases.now() - LATELY
    return outbox_by_hand, lately | outbox_open()


def _made(row: Any) -> Made:
    fields, cause = orjson.loads(row.fields), orjson.loads(row.cause)
    copy = f"{row.connection}/{row.stream}/{row.external_id}" if row.external_id else None
    return Made(
        id=row.id,
        verb=cause.get("verb", ""),
        actor=cause.get("actor", ""),
        connection=row.connection,
        stream=row.stream,
        subject=fields.get("subject") or "",
        text=fields.get("description") or fields.get("text") or "",
        state=row.state,
        copy_ref=copy,
        hint=row.hint if row.state in ("dead", *STUCK) else "",
        created_at=row.created_at,
        done_at=row.done_at,
    )


def queued_since(conn: Connection, subjects: Iterable[str], at: datetime) -> list[int]:
    """Deliveries about these records that wait and were queued at an instant or later."""
    found: list[int] = []
    for chunk in bulk.chunks(subjects):
        query = select(delivery.c.id).where(
            bulk.among(delivery.c.subject, chunk),
            outbox_open(),  # names the index
            delivery.c.created_at >= at,
        )
        found += conn.execute(query).scalars()
    return sorted(found)


def due(conn: Connection, lane: str, limit: int) -> list[Delivery]:
    """The next deliveries of a lane, oldest first.

    What follows a write that waits for its retry, or whose outcome is unknown, is passed over.
    """
    now = leases.now()
    earlier = delivery.alias("earlier")
    waits = (earlier.c.state == "retry") & (earlier.c.available_at > now)
    blocked = exists().where(
        earlier.c.subject == delivery.c.subject,
        outbox_open(earlier),  # names the index
        earlier.c.lane == lane,
        earlier.c.id < delivery.c.id,
        waits | earlier.c.state.in_(STUCK),
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
            delivery.c.state,
            delivery.c.sync,
            delivery.c.under_way,
            delivery.c.cause_ref,
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


def begin(conn: Connection, item: Delivery, what: str, fields: Mapping[str, Any]) -> bool:
    """Note that the vendor is about to be told, before it is; not when a person was quicker.

    Args:
        what: ``create`` or ``update``.
        fields: what will be written, by canonical path.
    """
    told = orjson.dumps(fields).decode()
    return _set(conn, [item.id], _OPEN, state="sending", under_way=what, fields=told) == 1


def confirm(
    conn: Connection, item: Delivery, external_id: str, took_ms: int, written: Mapping[str, Any]
) -> None:
    """The vendor has it: close the delivery and bind our record to its copy."""
    close(conn, item, "confirmed", external_id, took_ms)
    if f"{item.connection}/{item.stream}/{external_id}" != item.subject:
        bind(conn, item, external_id, written)


def close(
    conn: Connection, item: Delivery, outcome: str, external_id: str | None, took_ms: int = 0
) -> None:
    """The delivery is done; ``outcome`` says whether by a write, or by there being no need."""
    done = {"state": "confirmed", "done_at": leases.now(), "external_id": external_id, "error": ""}
    _set(conn, [item.id], **done, under_way=None, hint="", attempts=delivery.c.attempts + 1)
    _note(conn, item, outcome, "", took_ms)


def stop(conn: Connection, item: Delivery, why: str) -> None:
    """Writes to this record stop until a person has looked."""
    _set(conn, [item.id], _OPEN, state="looping", error=why[:500], done_at=leases.now())


def wait(conn: Connection, item: Delivery, after_s: float, why: str) -> None:
    """It cannot be tried yet; that is no failure of its own, and nothing more is under way."""
    again = {"state": "retry", "available_at": leases.now() + timedelta(seconds=after_s)}
    _set(conn, [item.id], _OPEN, **again, under_way=item.under_way, error=why[:500])


def bind(conn: Connection, item: Any, external_id: str, written: Mapping[str, Any]) -> None:
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
    leaves: str | None = None,
) -> None:
    """It was not written: ``retry`` later, or ``dead`` or ``unknown`` until a person looks.

    Args:
        leaves: what may be there all the same: ``written`` when nobody knows, ``tried`` when a
            creation was most likely not done. What appears at the vendor meanwhile may be our copy.
    """
    hint = getattr(exc, "hint", "")
    values: dict[str, Any] = {} if leaves == "written" else {"under_way": None}
    if leaves == "tried":
        began = delivery.c.under_way.in_(CREATING)
        values = {"under_way": case((began, "tried"), else_=None)}
    _set(
        conn,
        [item.id],
        _OPEN,
        **values,
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


def is_looping(conn: Connection, item: Delivery, external_id: str) -> bool:
    """Whether that copy was written so often lately that systems seem to answer each other."""
    query = select(delivery.c.id).where(
        delivery.c.external_id == external_id,
        delivery.c.done_at > leases.now() - LOOP_WINDOW,
        delivery.c.connection == item.connection,
        delivery.c.stream == item.stream,
        exists().where(attempt.c.delivery_id == delivery.c.id, attempt.c.outcome == "confirmed"),
    )
    return len(conn.execute(query.limit(LOOP_WRITES)).all()) >= LOOP_WRITES


@dataclass(frozen=True, slots=True)
class Creation:
    """A copy of ours that is being made, or may have been.

    Attributes:
        is_soon: its outcome will be known in a moment.
        fields: canonical path → value that was written.
    """

    is_soon: bool
    fields: Mapping[str, Any]


def creating(conn: Connection, places: Iterable[Sequence[str]]) -> dict[str, list[Creation]]:
    """Copies that may be appearing now, by connection/stream, in these (connection, stream)."""
    found: dict[str, list[Creation]] = {}
    for connection, stream in sorted({(place[0], place[1]) for place in places}):
        query = select(delivery.c.state, delivery.c.attempts, delivery.c.fields).where(
            delivery.c.under_way.is_not(None),
            delivery.c.under_way.in_(CREATING),
            delivery.c.connection == connection,
            delivery.c.stream == stream,
        )
        for row in conn.execute(query):
            soon = row.state == "sending" or (row.state == "retry" and row.attempts <= SOON)
            creation = Creation(soon, orjson.loads(row.fields))
            found.setdefault(f"{connection}/{stream}", []).append(creation)
    return found


def awaited(conn: Connection, item: Delivery, names: Sequence[str]) -> str | None:
    """One of these records whose copy in the same connection another delivery is still to make."""
    for chunk in bulk.chunks(names):
        query = select(delivery.c.subject).where(
            bulk.among(delivery.c.subject, chunk),
            delivery.c.connection == item.connection,
            delivery.c.id != item.id,
            outbox_open(),  # names the index
            outbox_pending | (delivery.c.state == "unknown"),
            ~delivery.c.subject.startswith(f"{item.connection}/", autoescape=True),
        )
        if found := conn.execute(query.limit(1)).scalar():
            return str(found)
    return None


def being_made(conn: Connection, item: Delivery, names: Sequence[str]) -> str | None:
    """One of these records of which another delivery may be making the same copy now.

    Of two that have both tried, each waits only while the other is at it.
    """
    in_the_way = delivery.c.state == "sending" if item.under_way else true()
    for chunk in bulk.chunks(names):
        query = select(delivery.c.subject).where(
            bulk.among(delivery.c.subject, chunk),
            delivery.c.under_way.is_not(None),  # names the index
            delivery.c.under_way.in_(CREATING),
            delivery.c.connection == item.connection,
            delivery.c.stream == item.stream,
            delivery.c.id != item.id,
            in_the_way,
        )
        if found := conn.execute(query.limit(1)).scalar():
            return str(found)
    return None


def awaiting(name: str) -> str:
    """What is noted of a delivery that waits for a copy of that record."""
    return f"waits for the copy of {name}"[:500]


def hasten(conn: Connection, connection: str, why: str = "") -> int:
    """What waits for its next try is due now, all of it or what waits for this; how many."""
    waiting = update(delivery).where(
        delivery.c.connection == connection,
        outbox_waiting,  # names the index
        delivery.c.available_at > leases.now(),
    )
    if why:
        waiting = waiting.where(delivery.c.error == why)
    return conn.execute(waiting.values(available_at=leases.now())).rowcount


def waiting_behind(conn: Connection, item: Delivery) -> int:
    """How many writes of the same record wait behind this one; counted no further than needed."""
    later = select(delivery.c.id).where(
        delivery.c.subject == item.subject,
        delivery.c.connection == item.connection,
        outbox_open(),  # names the index
        outbox_pending,
        delivery.c.id > item.id,
    )
    return len(conn.execute(later.limit(BACKLOG_MAX + 1)).all())


def close_moot(
    conn: Connection, sync: str, streams: Mapping[str, Collection[str]], gone: Collection[str]
) -> None:
    """End writes that gave up making a copy where there is one by now, or writing to a deleted one.

    Args:
        streams: of each record, the connection/stream in which the thing has a copy.
        gone: those of the records that were deleted.
    """

    def is_moot(row: Any) -> bool:
        place = f"{row.connection}/{row.stream}"
        is_update = row.subject.startswith(f"{place}/")
        return row.subject in gone if is_update else place in streams[row.subject]

    for chunk in bulk.chunks(streams):
        query = select(delivery.c.id, delivery.c.subject, delivery.c.connection, delivery.c.stream)
        gave_up = query.where(
            bulk.among(delivery.c.subject, chunk),
            outbox_open(),  # names the index
            delivery.c.state == "dead",
            delivery.c.sync == sync,
        )
        moot = [row.id for row in conn.execute(gave_up) if is_moot(row)]
        if moot:
            _set(conn, moot, state="skipped", done_at=leases.now(), under_way=None)


def replay(conn: Connection, ids: Sequence[int]) -> int:
    """Queue again what is dead, unknown, looping or skipped; how many there were."""
    ended = delivery.c.state.in_(("dead", *STUCK, "skipped", "retry"))
    now = leases.now()
    again = {"state": "queued", "available_at": now, "done_at": None, "attempts": 0}
    return _set(conn, ids, ended, **again, created_at=now, under_way=None)


def adopt(conn: Connection, id_: int, external_id: str) -> bool:
    """This record over there is the copy: bind it and queue the delivery again as its update."""
    row = conn.execute(select(delivery).where(delivery.c.id == id_)).first()
    if row is None or row.state in ("sending", "confirmed"):
        return False
    bind(conn, row, external_id, {})
    if bound_id(conn, row.subject, row.connection, row.stream) != external_id:
        return False  # it is the copy of another record, or this one has a copy
    return replay(conn, [id_]) == 1 or bool(row.state == "queued")


def skip(conn: Connection, ids: Sequence[int]) -> int:
    """Leave these aside for good; how many there were."""
    return _set(conn, ids, _OPEN, state="skipped", done_at=leases.now(), under_way=None)


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
