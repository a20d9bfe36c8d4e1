"""The inbox as people look through it: by filter, a bounded piece at a time, newest first.

Connection, time, record and a state that few events are in go by an index. For the rest only the
newest rows are looked at, and a page says when there are more; so it is as quick for the millionth
event as for the first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from pydantic import Field
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    func,
    literal_column,
    or_,
    select,
    type_coerce,
)

from hub.errors import ConfigError
from hub.models import Instant as At
from hub.models import Model
from hub.store import bodies
from hub.store.schema import (
    Instant,
    from_us,
    inbox,
    inbox_aside,
    inbox_pending,
    lease,
    quarantine,
    to_us,
)
from hub.store.trace import events_of

STATES = ("received", "retry", "done", "quarantined", "skipped")
PENDING, ASIDE = ("received", "retry"), ("quarantined", "skipped")

SIEVED_MAX = 50_000
"""Rows of a page that are sieved by type, or for what is done."""

READ_MAX = 2_000
"""Bodies of a page that are searched for a text, each in its first ``READ_BYTES``."""

READ_BYTES = 64 * 1024
CHUNK = 100
ORDERED_MAX = 1_000
"""Events of one order key that are found, the newest."""

HELD_MAX = 20

Visible = Callable[[str], str]

Mark = tuple[int, int]
"""Where a page ends: microseconds and id of its last event, or of the last one looked at."""

_LISTED = tuple(c for c in inbox.c if c.name not in ("headers", "body", "lane"))
_NEWEST = inbox.c.received_at.desc(), inbox.c.id.desc()
# The same columns, in words that keep a database from reading every event of a connection, or of
# all time, to find few.
_CONNECTION = inbox.c.connection.concat(literal_column("''"))
_RECEIVED_AT = type_coerce(inbox.c.received_at + literal_column("0"), Instant())


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events; what is not said does not matter.

    Attributes:
        since, until: received at or after, and before.
        record: ``connection/stream/id`` of a record the events are about.
        text: somewhere in id, type, order key or body, in either case.
    """

    connection: str | None = None
    type: str | None = None
    state: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    record: str | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        if self.state and self.state not in STATES:
            known = ", ".join(STATES)
            raise ConfigError(f'no event is ever "{self.state}"', hint=f"Known: {known}")
        if self.record and len(self.record.split("/", 2)) < 3:
            raise ConfigError(
                f'"{self.record}" names no record', hint="Write connection/stream/id."
            )


class HeldRow(Model):
    """A row of an event that no mapping could use."""

    id: int
    stream: str
    path: str
    error: str
    mapping_version: str
    at: At


class Shown(Model):
    """One event as people read it, without secrets."""

    id: int
    connection: str
    event_id: str = Field(description="the vendor's name of it, else a hash of its body")
    type: str = Field(description="the vendor's word for what happened")
    order_key: str | None
    state: str = Field(description=", ".join(STATES))
    attempts: int
    received_at: At
    available_at: At = Field(description="when it is tried next, while it waits")
    done_at: At | None
    expired_at: At | None = Field(description="headers and body are gone; it cannot be replayed")
    error: str
    hint: str = Field(description="what to do about it")
    came_by: str = Field(
        description="webhook: its sender was proven before it was stored; line: it was read from"
        " its vendor over a line of our own; empty: no longer known"
    )
    headers: dict[str, str] = Field(description="secrets are hidden")
    body_format: str = Field(description="json, xml, form, text, binary, empty")
    body: str = Field(description="put in order, secrets are hidden; binary: hexadecimal")
    body_cut: bool = Field(description="there is more")
    size_bytes: int
    held: list[HeldRow] = Field(description="rows of it that no mapping could use")


class Page(NamedTuple):
    """Some events, newest first.

    Attributes:
        next: what to go on after, None when there is no more.
        looked_at: so many rows were looked at and there are more; None when all were.
    """

    items: list[dict[str, Any]]
    next: Mark | None
    looked_at: int | None


def page(
    conn: Connection,
    chosen: Filter,
    *,
    after: Mark | None = None,
    limit: int = 50,
    visible: Visible = str,
) -> Page:
    """Events without headers and bodies.

    Args:
        visible: what whoever asks may see of a text. Only in that is searched: else secrets could
            be found out letter by letter.
    """
    places, order = _places(conn, chosen)
    if after:
        places.append(_behind(after))
    sieves = _sieves(chosen)
    most = READ_MAX if chosen.text else SIEVED_MAX
    floor = _floor(conn, places, order, most) if sieves or chosen.text else None
    if floor:
        sieves.append(~_behind(floor))
    query = select(*_LISTED).where(*places, *sieves).order_by(*order)
    rows: Sequence[Any]
    if chosen.text:
        rows = _holding(conn, query, _Search(chosen.text, visible), limit + 1)
    else:
        rows = conn.execute(query.limit(limit + 1)).all()
    items = [{c.name: getattr(row, c.name) for c in _LISTED} for row in rows[:limit]]
    if len(rows) > limit:
        return Page(items, _mark(rows[limit - 1]), None)
    return Page(items, floor, most if floor else None)


def get(conn: Connection, id_: int) -> dict[str, Any] | None:
    """One event as it is stored."""
    row = conn.execute(select(inbox).where(inbox.c.id == id_)).mappings().first()
    return dict(row) if row else None


def shown(conn: Connection, id_: int) -> Shown | None:
    """One event to be read."""
    row = get(conn, id_)
    if row is None:
        return None
    headers = bodies.scrubbed(orjson.loads(row["headers"]))
    body = bodies.readable(row["body"], headers.get("content-type", ""))
    told = {
        "headers": headers,
        "came_by": "" if row["expired_at"] else "webhook" if headers else "line",
        "body_format": body.format,
        "body": body.text,
        "body_cut": body.cut,
        "size_bytes": len(row["body"]),
        "held": _held(conn, id_),
    }
    return Shown(**{name: row[name] for name in Shown.model_fields if name in row} | told)


def _held(conn: Connection, id_: int) -> list[HeldRow]:
    q = quarantine.c
    columns = (q[name] for name in HeldRow.model_fields)
    mine = select(*columns).where(q.inbox_id == id_, q.state == "held").order_by(q.id)
    return [HeldRow(**row) for row in conn.execute(mine.limit(HELD_MAX)).mappings()]


def newest_since(conn: Connection, connection: str, since: datetime) -> int | None:
    """The id of the newest event of a connection that was received then or later."""
    i = inbox.c
    mine = select(i.id).where(i.connection == connection, i.received_at >= since)
    return conn.execute(mine.order_by(*_NEWEST).limit(1)).scalar()


def _places(conn: Connection, chosen: Filter) -> tuple[list[ColumnElement[bool]], Any]:
    """What an index finds, and the order to read it in."""
    i, places = inbox.c, list[ColumnElement[bool]]()
    owner: ColumnElement[str] = i.connection
    at: ColumnElement[Any] = i.received_at
    if chosen.state in ASIDE:
        places += [inbox_aside, i.state == chosen.state]
        owner = _CONNECTION
    if chosen.state in PENDING:
        lanes = select(lease.c.name).where(lease.c.lane == "in")
        places += [i.lane.in_(lanes), inbox_pending, i.state == chosen.state]
        owner, at = _CONNECTION, _RECEIVED_AT
    if chosen.record:
        places.append(_about(conn, chosen.record))
        owner, at = _CONNECTION, _RECEIVED_AT
    if chosen.connection:
        places.append(owner == chosen.connection)
    if chosen.since:
        places.append(at >= chosen.since)
    if chosen.until:
        places.append(at < chosen.until)
    return places, (at.desc(), i.id.desc())


def _sieves(chosen: Filter) -> list[ColumnElement[bool]]:
    """What is looked at row by row."""
    sieves: list[ColumnElement[bool]] = []
    if chosen.type:
        sieves.append(inbox.c.type == chosen.type)
    if chosen.state == "done":
        sieves.append(inbox.c.state == "done")
    return sieves


def _about(conn: Connection, record: str) -> ColumnElement[bool]:
    """Events about a record: those it came with, and those in its order."""
    owner, stream, id_ = record.split("/", 2)
    one = stream[:-3] + "y" if stream.endswith("ies") else stream.removesuffix("s")
    keys = [id_, *(f"{word}{between}{id_}" for word in (stream, one) for between in "/:")]
    ordered = select(inbox.c.id).where(inbox.c.connection == owner, inbox.c.order_key.in_(keys))
    newest = ordered.order_by((inbox.c.id + 0).desc()).limit(ORDERED_MAX)
    ids = {*events_of(conn, record), *conn.execute(newest).scalars()}
    return inbox.c.id.in_(sorted(ids))


def _behind(mark: Mark) -> ColumnElement[bool]:
    at, id_ = from_us(mark[0]), mark[1]
    received_at = inbox.c.received_at
    return and_(received_at <= at, or_(received_at < at, inbox.c.id < id_))


def _floor(
    conn: Connection, places: Sequence[ColumnElement[bool]], order: Any, most: int
) -> Mark | None:
    """The last row that is looked at, None when there are not so many."""
    query = select(inbox.c.received_at, inbox.c.id).where(*places).order_by(*order)
    row = conn.execute(query.limit(1).offset(most - 1)).first()
    return _mark(row) if row else None


def _mark(row: Any) -> Mark:
    return to_us(row.received_at), row.id


class _Search:
    """Looks for a text in events, in either case, written out or as JSON escapes it."""

    def __init__(self, text: str, visible: Visible) -> None:
        self._needles = {_folded(text), _folded(json.dumps(text)[1:-1])}
        self._visible = visible

    def finds(self, row: Any) -> bool:
        """Whether it stands in what may be seen of an event."""
        names, body = f"{row.event_id}\n{row.type}\n{row.order_key or ''}\n", row.start or b""
        if not self._is_in(names + body.decode("utf-8", "replace")):
            return False  # as nearly always, and quickly told
        return self._is_in(self._visible(names + bodies.readable(body).text))

    def _is_in(self, text: str) -> bool:
        folded = _folded(text)
        return any(needle in folded for needle in self._needles)


def _folded(text: str) -> str:
    """Without case and white space, which putting a body in order changes."""
    return "".join(text.casefold().split())


def _holding(conn: Connection, query: Any, search: _Search, most: int) -> list[Any]:
    """Rows that hold a text, read a few at a time: a body may be large."""
    start = func.substr(inbox.c.body, 1, READ_BYTES).label("start")
    query = query.add_columns(start)
    found: list[Any] = []
    rows: Sequence[Any] = conn.execute(query.limit(CHUNK)).all()
    while rows:
        found += [row for row in rows if search.finds(row)]
        if len(found) >= most or len(rows) < CHUNK:
            break
        rows = conn.execute(query.where(_behind(_mark(rows[-1]))).limit(CHUNK)).all()
    return found[:most]
