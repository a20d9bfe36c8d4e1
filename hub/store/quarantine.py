"""Rows that could not be used, with their bytes and the path of the fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, func, select, update

from hub.store import bulk, leases
from hub.store.schema import quarantine


@dataclass(frozen=True, slots=True)
class Fault:
    """One unusable row."""

    connection: str
    stream: str
    body: bytes
    path: str
    error: str
    mapping_version: str = ""
    inbox_id: int | None = None


def save(conn: Connection, faults: Sequence[Fault]) -> None:
    """Keep these rows; the same row with the same fault is kept once."""
    now = leases.now()
    rows = {
        (f.connection, f.stream, digest): {
            "connection": f.connection,
            "stream": f.stream,
            "inbox_id": f.inbox_id,
            "digest": digest,
            "path": f.path,
            "error": f.error[:500],
            "body": f.body,
            "mapping_version": f.mapping_version,
            "at": now,
            "state": "held",
        }
        for f in faults
        for digest in [blake2b(f.body + f.path.encode(), digest_size=16).hexdigest()]
    }
    known = (quarantine.c.connection, quarantine.c.stream, quarantine.c.digest)
    for connection, stream, digest in rows:  # it keeps its id and the instant it came
        same = [column == v for column, v in zip(known, (connection, stream, digest), strict=True)]
        conn.execute(update(quarantine).where(*same).values(state="held"))
    bulk.insert_new(conn, quarantine, list(rows.values()))


def held(
    conn: Connection,
    connection: str | None = None,
    limit: int = 500,
    after: int = 0,
    *,
    stream: str | None = None,
) -> list[dict[str, Any]]:
    """Rows still held, oldest first, with ids above ``after``."""
    query = select(quarantine).where(quarantine.c.state == "held", quarantine.c.id > after)
    if connection:
        query = query.where(quarantine.c.connection == connection)
    if stream:
        query = query.where(quarantine.c.stream == stream)
    rows = conn.execute(query.order_by(quarantine.c.id).limit(limit))
    return [dict(row) for row in rows.mappings()]


def mark(conn: Connection, ids: Sequence[int], state: str) -> None:
    """These rows were replayed or skipped."""
    conn.execute(update(quarantine).where(quarantine.c.id.in_(ids)).values(state=state))


def count(conn: Connection) -> dict[str, int]:
    """How many rows are held, by connection."""
    query = select(quarantine.c.connection, func.count().label("n")).where(
        quarantine.c.state == "held"
    )
    rows = conn.execute(query.group_by(quarantine.c.connection))
    return {row.connection: row.n for row in rows}
