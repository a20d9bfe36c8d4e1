"""The hub's own events: appended with what they tell, given a place after it, read by place.

An id is taken before its transaction commits, so whoever reads by id passes over one that commits
late. Places are given to what is committed, in the order of ids, under one lock: they have no gaps,
and nothing ever appears before a place that was read.

An event holds ids and names of fields, no values: who may see those asks for them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, delete, exists, func, select, text

from hub.models import Record
from hub.store import bulk, customers, leases, records
from hub.store.records import Saved
from hub.store.schema import customer, event, to_us

WORDS = {"Ticket": "request"}
"""Kinds of records whose changes are told, and what they are called."""

LOADED = "stream.loaded"
TYPES = (
    *(f"customer.{verb}" for verb in ("created", "updated", "merged", "deleted")),
    *(f"{word}.{verb}" for word in WORDS.values() for verb in ("created", "updated", "deleted")),
    LOADED,
)

NUMBERED_MAX = 10_000
_LOCK = 362
_WORKED_OUT = frozenset({"built_at", "bases", "due"})
"""Parts of a profile that say nothing by themselves: they move on with the days."""

_UNSAID = frozenset({"ref", "version", "extra"})
_NUMBER = """
    UPDATE event SET position = fresh.place
    FROM (
        SELECT id, (SELECT coalesce(max(position), 0) FROM event) + row_number() OVER (ORDER BY id)
            AS place
        FROM event WHERE position IS NULL ORDER BY id LIMIT :most) AS fresh
    WHERE event.id = fresh.id"""


@dataclass(frozen=True, slots=True)
class News:
    """One event.

    Attributes:
        position: its place in what is told.
        subject: the customer, record or stream it is about.
        cause: the connection whose record led to it; "" = the hub itself.
    """

    id: int
    position: int
    type: str
    subject: str
    cause: str
    data: Mapping[str, Any]
    at: datetime

    @property
    def name(self) -> str:
        """What receivers know it by: the same each time it is told, and never used again."""
        return f"evt_{self.id}_{to_us(self.at):x}"


def of_profiles(
    conn: Connection,
    documents: Mapping[str, str],
    gone: Collection[str],
    cause: str,
    before: Mapping[str, str],
) -> None:
    """Tell of profiles that are about to be replaced or removed, when they change.

    Args:
        documents: the new ones as JSON, by customer; none where they are history. That an id has
            ended is told even then: somebody may hold it.
        before: those there were, as JSON, by customer.
    """
    rows = []
    for id_, document in documents.items():
        if id_ not in before:
            rows.append(_row("customer.created", id_, cause))
        elif changed := changed_parts(before[id_], document):
            rows.append(_row("customer.updated", id_, cause, changed=changed))
    ended = sorted(before.keys() & set(gone))
    into = _merged_into(conn, ended)
    for id_ in ended:
        more = {"into": into[id_]} if id_ in into else {}
        rows.append(_row("customer.merged" if more else "customer.deleted", id_, cause, **more))
    bulk.insert(conn, event, rows)


def of_records(conn: Connection, saved: Saved, cause: str) -> None:
    """Tell of records that are new, different or gone, of the kinds that are told."""
    kinds = {n: r.kind for n, r in saved.records.items() if r.kind in WORDS} | {
        name: kind for name, kind in saved.lost.items() if kind in WORDS
    }
    if not kinds:
        return
    parties = records.parties_of(conn, kinds)
    owners = customers.links(conn, parties.values())
    rows = []
    for name, kind in sorted(kinds.items()):
        verb, more = _of_record(saved, name)
        if verb == "updated" and not more["changed"]:
            continue
        if owner := owners.get(parties.get(name, "")):
            more["customer_id"] = owner
        rows.append(_row(f"{WORDS[kind]}.{verb}", name, cause, kind=kind, **more))
    bulk.insert(conn, event, rows)


def of_first_load(conn: Connection, connection: str, stream: str) -> None:
    """Tell that the history of a stream is known, of which nothing was told while it came."""
    bulk.insert(conn, event, [_row(LOADED, f"{connection}/{stream}", connection)])


def number(conn: Connection) -> int:
    """Give a place to what was committed since, in the order of ids; how many there were.

    Whoever waits for the lock sees all places given before, and a kill gives it back.
    """
    if conn.dialect.name == "postgresql":
        conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    return conn.execute(text(_NUMBER), {"most": NUMBERED_MAX}).rowcount


def number_all(conn: Connection) -> None:
    """Give a place to everything committed so far, so that ``last`` is up to date."""
    while number(conn) == NUMBERED_MAX:
        pass


def has_new(conn: Connection) -> bool:
    """Whether something has no place yet."""
    return bool(conn.execute(select(exists().where(event.c.position.is_(None)))).scalar())


def after(conn: Connection, position: int, limit: int) -> list[News]:
    """What follows a place, in order."""
    query = select(event).where(event.c.position > position).order_by(event.c.position)
    return [_news(row) for row in conn.execute(query.limit(limit)).mappings()]


def last(conn: Connection) -> int:
    """The newest place; 0 when there is none."""
    return conn.execute(select(func.max(event.c.position))).scalar() or 0


def first(conn: Connection) -> int:
    """The oldest place that is kept; 1 when there is none."""
    return conn.execute(select(func.min(event.c.position))).scalar() or 1


def before_instant(conn: Connection, at: datetime) -> int:
    """The place behind which lies everything that happened at or after an instant."""
    query = select(event.c.position).where(event.c.position.is_not(None), event.c.at >= at)
    found = conn.execute(query.order_by(event.c.position).limit(1)).scalar()
    return last(conn) if found is None else found - 1


def drop_old(conn: Connection, before: datetime, limit: int = 10_000) -> int:
    """Forget events from before an instant, the oldest first; how many went.

    The newest stays: ids and places go on from it.
    """
    placed = event.c.position.is_not(None)
    young = select(event.c.position).where(placed, event.c.at >= before).order_by(event.c.position)
    first_young = conn.execute(young.limit(1)).scalar()
    end = last(conn) if first_young is None else first_young
    newest = select(func.max(event.c.id)).scalar_subquery()
    old = select(event.c.id).where(placed, event.c.position < end, event.c.id < newest)
    chosen = old.order_by(event.c.position).limit(limit)
    return conn.execute(delete(event).where(event.c.id.in_(chosen))).rowcount


def changed_parts(before: str, after: str) -> list[str]:
    """The parts of a profile that say something else, whoever says it."""
    if before == after:
        return []
    old, new = orjson.loads(before), orjson.loads(after)
    names = (old.keys() | new.keys()) - _WORKED_OUT
    return sorted(n for n in names if _said(old.get(n)) != _said(new.get(n)))


def _said(part: Any) -> Any:
    """A part of a profile without its provenance, lists in one order."""
    if isinstance(part, dict):
        return part.get("value")
    if isinstance(part, list):
        return sorted(orjson.dumps(_item(i), option=orjson.OPT_SORT_KEYS) for i in part)
    return part


def _item(item: Any) -> Any:
    """What an item says; one that is a record is known by its name."""
    if not isinstance(item, dict):
        return item
    kept = {name: v for name, v in item.items() if name not in ("source", "sources")}
    return {"ref": item["source"]["ref"], **kept} if "source" in item else kept


def _of_record(saved: Saved, name: str) -> tuple[str, dict[str, Any]]:
    """What happened to a record, and what is told of it."""
    if name in saved.lost:
        return "deleted", {}
    found: Record = saved.records[name]
    status = getattr(found, "status", "")
    more: dict[str, Any] = {"status": str(status)} if status else {}
    if name not in saved.before:
        return "created", more
    old, new = saved.before[name], found.model_dump(mode="json", exclude_defaults=True)
    names = (old.keys() | new.keys()) - _UNSAID
    return "updated", {**more, "changed": sorted(n for n in names if old.get(n) != new.get(n))}


def _row(type_: str, subject: str, cause: str, **data: Any) -> dict[str, Any]:
    told = orjson.dumps({"id": subject, **data}).decode()
    names = {"type": type_, "subject": subject, "cause": cause}
    return {**names, "data": told, "at": leases.now()}


def _news(row: Any) -> News:
    told = {name: row[name] for name in News.__dataclass_fields__}
    return News(**{**told, "data": orjson.loads(row["data"])})


def _merged_into(conn: Connection, ids: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for chunk in bulk.chunks(ids):
        query = select(customer.c.id, customer.c.merged_into).where(
            bulk.among(customer.c.id, chunk), customer.c.merged_into.is_not(None)
        )
        found.update((row.id, row.merged_into) for row in conn.execute(query))
    return found
