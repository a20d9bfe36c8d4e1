"""Requests the receiver refused: a bounded sample, so that a sender can be debugged.

Similar ones are one row with a count, and only the newest rows of each connection are kept; of
names nobody configured, the newest of all together. However many come, the table stays small.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, or_, select, update

from hub.store import bulk
from hub.store.events import Mark
from hub.store.schema import EPOCH, from_us, refusal, to_us
from hub.store.schema import connection as connections

KNOWN_MAX, UNKNOWN_MAX = 100, 200
"""Rows of one connection, and of all unknown names."""

SIMILAR_FOR = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Similar requests that were refused; what is said of one is said of the first.

    Attributes:
        connection: or the name somebody asked for.
        headers, path, body_start: scrubbed.
        body_sha256: empty when the body was not read.
    """

    connection: str
    status: int
    reason: str
    hint: str
    remote: str
    method: str
    path: str
    headers: dict[str, str]
    size_bytes: int
    body_sha256: str
    body_start: str
    first_at: datetime
    at: datetime
    count: int = 1

    def again(self, at: datetime) -> Refusal:
        """This one and another like it."""
        return replace(self, count=self.count + 1, at=at)


def save(conn: Connection, found: Collection[Refusal]) -> None:
    """Add these to what is kept, and let go of the oldest; quick, for the receiver writes too."""
    known = set(conn.execute(select(connections.c.name)).scalars())
    named = {one.connection for one in found}
    rows = _recent(conn, named)
    new, more = [], []
    for one in found:
        id_, first_at = rows.get((one.connection, one.reason, one.remote), (0, EPOCH))
        if first_at > one.at - SIMILAR_FOR:
            more.append({"row": id_, "more": one.count, "last": one.at})
        else:
            headers = orjson.dumps(one.headers).decode()
            new.append({**asdict(one), "headers": headers, "known": one.connection in known})
    bulk.insert(conn, refusal, new)
    if more:
        conn.execute(_FOLD, sorted(more, key=itemgetter("row")))
    for name in sorted(named & known):
        _trim(conn, refusal.c.connection == name, KNOWN_MAX)
    if named - known:
        _trim(conn, ~refusal.c.known, UNKNOWN_MAX)


def page(
    conn: Connection, connection: str | None = None, *, after: Mark | None = None, limit: int = 50
) -> tuple[list[dict[str, Any]], Mark | None]:
    """Refused requests, the newest first, and what to go on after."""
    r = refusal.c
    query = select(refusal).order_by(r.at.desc(), r.id.desc()).limit(limit + 1)
    if connection:
        query = query.where(r.connection == connection)
    if after:
        at = from_us(after[0])
        query = query.where(r.at <= at, or_(r.at < at, r.id < after[1]))
    rows = [dict(row) for row in conn.execute(query).mappings()]
    last = rows[limit - 1] if len(rows) > limit else None
    items = [{**row, "headers": orjson.loads(row["headers"])} for row in rows[:limit]]
    return items, (to_us(last["at"]), last["id"]) if last else None


def drop_old(conn: Connection, before: datetime) -> None:
    """Forget refusals that were last repeated before."""
    conn.execute(delete(refusal).where(refusal.c.at < before))


_FOLD = (
    update(refusal)
    .where(refusal.c.id == bindparam("row"))
    .values(count=refusal.c.count + bindparam("more"), at=bindparam("last"))
)


def _recent(conn: Connection, named: Collection[str]) -> dict[tuple[str, ...], tuple[int, Any]]:
    """The newest rows of these names by what makes others similar; their bounds keep them few."""
    r = refusal.c
    columns = (r.connection, r.reason, r.remote, r.id, r.first_at)
    rows = conn.execute(select(*columns).where(r.connection.in_(sorted(named))).order_by(r.id))
    return {(row.connection, row.reason, row.remote): (row.id, row.first_at) for row in rows}


def _trim(conn: Connection, which: ColumnElement[bool], most: int) -> None:
    r = refusal.c
    kept = select(r.at, r.id).where(which).order_by(r.at.desc(), r.id.desc())
    last = conn.execute(kept.limit(1).offset(most - 1)).first()
    if last:
        older = and_(r.at <= last.at, or_(r.at < last.at, r.id < last.id))
        conn.execute(delete(refusal).where(which, older))
