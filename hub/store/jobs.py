"""Long work that goes on beside everything else, a slice at a time, from where its row says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, func, select, update

from hub.store import bulk, leases
from hub.store.schema import STOPPED, connection, job

OPEN, DONE, FAILED, CANCELLED = "open", "done", "failed", "cancelled"
AT_HOME = ("align", "react", "remap", "rerun")
"""Kinds that ask no vendor for anything, so they go on whatever state a connection is in."""


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of long work.

    Attributes:
        kind: resync, reconcile, align, react, remap or rerun.
        argument: what exactly is to be done.
        cursor: where the next slice goes on; None = at the beginning.
        done, total: rows so far, and in all where that is known.
        result: what it has found out so far.
        failures: slices in a row that ended in an error.
        error: of the last of them.
    """

    id: int
    kind: str
    connection: str
    stream: str
    argument: Mapping[str, Any]
    state: str
    cursor: str | None
    done: int
    total: int | None
    result: Mapping[str, Any]
    failures: int
    error: str
    created_at: Any


def add(
    conn: Connection,
    kind: str,
    connection: str,
    stream: str,
    argument: Mapping[str, Any] | None = None,
    *,
    actor: str = "hub",
) -> int:
    """The id of the job; the one that is under way when the same was asked for before."""
    now = leases.now()
    row = {
        "kind": kind,
        "connection": connection,
        "stream": stream,
        "argument": orjson.dumps(argument or {}, option=orjson.OPT_SORT_KEYS).decode(),
        "state": OPEN,
        "actor": actor,
        "due_at": now,
        "created_at": now,
    }
    same = [job.c[name] == row[name] for name in ("kind", "connection", "stream", "argument")]
    found = None
    while found is None:  # the one under way may end before we see it
        bulk.insert_new(conn, job, [row])
        found = conn.execute(select(job.c.id).where(*same, job.c.state == OPEN)).scalar()
    return int(found)


def newest(conn: Connection, kind: str, connection: str, stream: str) -> Job | None:
    """The last one of its kind for a stream."""
    same = job.c.kind == kind, job.c.connection == connection, job.c.stream == stream
    id_ = conn.execute(select(func.max(job.c.id)).where(*same)).scalar()
    return get(conn, id_) if id_ else None


def due(conn: Connection) -> list[int]:
    """Jobs with a slice to be done now that need no vendor, or one that may be asked."""
    stopped = select(connection.c.name).where(connection.c.state.in_(STOPPED))
    may_run = job.c.kind.in_(AT_HOME) | job.c.connection.not_in(stopped)
    chosen = select(job.c.id).where(job.c.state == OPEN, job.c.due_at <= leases.now())
    return list(conn.execute(chosen.where(may_run)).scalars())


def get(conn: Connection, id_: int) -> Job | None:
    """One job."""
    row = conn.execute(select(job).where(job.c.id == id_)).mappings().first()
    if row is None:
        return None
    told = {name: row[name] for name in Job.__dataclass_fields__ if name in row}
    opened = {name: orjson.loads(row[name]) for name in ("argument", "result")}
    return Job(**{**told, **opened})


def page(conn: Connection, *, state: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
    """Jobs, the newest first."""
    query = select(job).order_by(job.c.id.desc()).limit(limit)
    if state:
        query = query.where(job.c.state == state)
    return [dict(row) for row in conn.execute(query).mappings()]


def advance(
    conn: Connection,
    id_: int,
    cursor: str | None,
    rows: int = 0,
    *,
    total: int | None = None,
    result: Mapping[str, Any] | None = None,
) -> None:
    """Note how far it came, in the transaction that stores what it did."""
    values: dict[str, Any] = {"cursor": cursor, "done": job.c.done + rows, "failures": 0}
    if total is not None:
        values["total"] = total
    if result is not None:
        values["result"] = orjson.dumps(result).decode()
    _set(conn, id_, **values, error="")


def end(conn: Connection, id_: int, state: str = DONE, error: str = "") -> None:
    """It is over: done, failed for good, or cancelled."""
    _set(conn, id_, state=state, error=error[:500], ended_at=leases.now())


def postpone(
    conn: Connection, id_: int, after_s: float, error: str, *, failed: bool = True
) -> None:
    """A slice ended early; the job goes on from its cursor after ``after_s``.

    Args:
        failed: False when it was only not time yet.
    """
    due_at = leases.now() + timedelta(seconds=after_s)
    _set(conn, id_, due_at=due_at, failures=job.c.failures + int(failed), error=error[:500])


def hasten(conn: Connection, kind: str | None, connection: str) -> None:
    """What these jobs waited for may have happened; None = those of every kind."""
    mine = update(job).where(job.c.connection == connection)
    if kind:
        mine = mine.where(job.c.kind == kind)
    later = job.c.due_at > leases.now()
    conn.execute(mine.where(job.c.state == OPEN, later).values(due_at=leases.now()))


def _set(conn: Connection, id_: int, **values: Any) -> None:
    conn.execute(update(job).where(job.c.id == id_, job.c.state == OPEN).values(**values))
