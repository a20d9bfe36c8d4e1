"""Where a draft decides without anybody noticing: what is stored, and a private copy of who is who.

The copy is a nameless SQLite file that ends with this process, however it ends.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson
import zstandard
from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    StaticPool,
    Table,
    Text,
    create_engine,
    select,
    text,
)

from hub.store import bulk
from hub.store.db import Database
from hub.store.schema import (
    connection,
    customer,
    decision,
    evidence,
    history,
    holder,
    identifier,
    link,
    raw,
    record,
    review,
    weights,
)

_AT_ONCE = 5000

_own = MetaData()
_was = Table("was", _own, Column("ref", Text, primary_key=True), Column("customer_id", Text))
_touched = Table("touched", _own, Column("customer_id", Text, primary_key=True))
_moved = Table(
    "moved",
    _own,
    Column("ref", Text, primary_key=True),
    Column("parent", Text, nullable=False),
    Column("party", Text, index=True),
)

# Customers who become one, and one who becomes several; names are compared, not counted steps.
_MERGED = """
    SELECT l.customer_id, json_group_array(DISTINCT w.customer_id)
    FROM link l JOIN was w ON w.ref = l.ref
    GROUP BY l.customer_id HAVING count(DISTINCT w.customer_id) > 1"""
_SPLIT = """
    SELECT w.customer_id, json_group_array(DISTINCT l.customer_id)
    FROM link l JOIN was w ON w.ref = l.ref
    GROUP BY w.customer_id HAVING count(DISTINCT l.customer_id) > 1"""


class Payload(NamedTuple):
    """A raw row."""

    ref: str
    payload: str


class Stored(NamedTuple):
    """A record as it is stored."""

    ref: str
    parent: str
    kind: str
    document: str
    party: str | None


class Earlier(NamedTuple):
    """A copy that a newer one replaced."""

    id: int
    ref: str
    payload: bytes
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Moved:
    """A fact that would belong to another party, or to one at all."""

    ref: str
    parent: str
    party: str | None


def rows(conn: Connection, place: str, after: str, limit: int) -> list[Payload]:
    """Raw rows of a ``connection/stream`` that are there at the source, by ref."""
    query = (
        select(raw.c.ref, raw.c.payload)
        .where(raw.c.ref >= f"{place}/", raw.c.ref < f"{place}0", raw.c.ref > after)
        .where(raw.c.deleted_at.is_(None))
        .order_by(raw.c.ref)
        .limit(limit)
    )
    return [Payload(*row) for row in conn.execute(query)]


def payloads(conn: Connection, refs: Iterable[str]) -> list[Payload]:
    """These raw rows."""
    found: list[Payload] = []
    for chunk in bulk.chunks(sorted(set(refs))):
        query = select(raw.c.ref, raw.c.payload).where(bulk.among(raw.c.ref, chunk))
        found += [Payload(*row) for row in conn.execute(query.where(raw.c.deleted_at.is_(None)))]
    return found


def earlier(
    conn: Connection, place: str, since: datetime, after: tuple[str, int], limit: int
) -> list[Earlier]:
    """Copies of a ``connection/stream`` replaced since an instant, by ref."""
    h = history.c
    later = (h.ref > after[0]) | ((h.ref == after[0]) & (h.id > after[1]))
    query = (
        select(h.id, h.ref, h.payload, h.seen_at)
        .where(h.ref >= f"{place}/", h.ref < f"{place}0", h.ref >= after[0], later)
        .where(h.replaced_at >= since)
        .order_by(h.ref, h.id)
        .limit(limit)
    )
    unpack = zstandard.ZstdDecompressor().decompress
    return [Earlier(r.id, r.ref, unpack(r.payload), r.seen_at) for r in conn.execute(query)]


def members(conn: Connection, customer_ids: Iterable[str]) -> dict[str, set[str]]:
    """The party records of each of these customers."""
    found: dict[str, set[str]] = {id_: set() for id_ in customer_ids}
    for chunk in bulk.chunks(found):
        query = select(link.c.customer_id, link.c.ref)
        for id_, ref in conn.execute(query.where(bulk.among(link.c.customer_id, chunk))):
            found[id_].add(ref)
    return found


def cut_from(conn: Connection, parents: Iterable[str]) -> dict[str, Stored]:
    """The records cut from these raw rows, by ref."""
    return {row.ref: row for row in _stored(conn, record.c.parent, parents)}


def stored(conn: Connection, refs: Iterable[str]) -> dict[str, Stored]:
    """These records, by ref."""
    return {row.ref: row for row in _stored(conn, record.c.ref, refs)}


def _stored(conn: Connection, column: Any, values: Iterable[str]) -> Iterator[Stored]:
    columns = (record.c[name] for name in Stored._fields)
    query = select(*columns).where(record.c.deleted_at.is_(None))
    for chunk in bulk.chunks(values):
        for row in conn.execute(query.where(bulk.among(column, chunk))):
            yield Stored(*row)


class Shadow:
    """A private copy of evidence and links; who is who is copied when a draft first changes it.

    Attributes:
        conn: to the copy; what decides about customers runs on it as on the real one.
    """

    def __init__(self, real: Database) -> None:
        self._real = real
        # An empty name is a file without one: it is spilled to when memory is short.
        engine = create_engine(
            "sqlite://", creator=lambda: sqlite3.connect(""), poolclass=StaticPool
        )
        self._engine = engine
        self.conn = engine.connect()
        _own.create_all(self.conn)
        self._has_copy = False

    def close(self) -> None:
        """The copy is gone."""
        self.conn.close()
        self._engine.dispose()

    def deciding(self) -> Connection:
        """A connection to the copy of who is who."""
        if not self._has_copy:
            self._copy()
            self._has_copy = True
        return self.conn

    def touch(self, customer_ids: Iterable[str]) -> None:
        """Note customers whose profiles may change."""
        notes = [{"customer_id": id_} for id_ in customer_ids]
        bulk.insert_new(self.conn, _touched, notes)

    def move(self, facts: Sequence[Moved]) -> None:
        """Note facts that would go to another party."""
        notes = [{"ref": f.ref, "parent": f.parent, "party": f.party} for f in facts]
        bulk.insert_new(self.conn, _moved, notes)

    def touched(self, after: str, limit: int) -> list[str]:
        """Customers noted, by id."""
        c = _touched.c.customer_id
        return list(
            self.conn.execute(select(c).where(c > after).order_by(c).limit(limit)).scalars()
        )

    def moved(self, refs: Iterable[str], parties: Iterable[str]) -> list[Moved]:
        """The facts noted among these, and those that would come to these parties."""
        found: dict[str, Moved] = {}
        for column, values in ((_moved.c.ref, refs), (_moved.c.party, parties)):
            for chunk in bulk.chunks(values):
                for row in self.conn.execute(select(_moved).where(bulk.among(column, chunk))):
                    found[row.ref] = Moved(*row)
        return list(found.values())

    def merged(self, limit: int) -> tuple[int, list[tuple[str, list[str]]]]:
        """How many customers would take others in, and the first with those who become one."""
        return self._compared(_MERGED, limit)

    def split(self, limit: int) -> tuple[int, list[tuple[str, list[str]]]]:
        """How many customers would be parted, and the first with what they become."""
        return self._compared(_SPLIT, limit)

    def _compared(self, query: str, limit: int) -> tuple[int, list[tuple[str, list[str]]]]:
        if not self._has_copy:
            return 0, []
        n = self.conn.execute(text(f"SELECT count(*) FROM ({query})")).scalar_one()
        first = self.conn.execute(text(f"{query} ORDER BY 1 LIMIT :limit"), {"limit": limit})
        return n, [(row[0], sorted(orjson.loads(row[1]))) for row in first]

    def _copy(self) -> None:
        tables = [identifier, customer, link, decision, evidence, holder, review, weights]
        tables += [record, connection]  # of which nothing is asked: all evidence is stored
        identifier.metadata.create_all(self.conn, tables=tables)
        spoken = decision.c.verb.in_(("confirm", "reject"))
        with self._real.read() as conn:
            for query, table in (
                (select(identifier), identifier),
                (select(evidence), evidence),
                (select(holder), holder),
                (select(weights), weights),
                (select(link), link),
                (select(decision).where(spoken), decision),
            ):
                rows = conn.execution_options(yield_per=_AT_ONCE).execute(query).mappings()
                for some in rows.partitions():
                    bulk.insert(self.conn, table, [dict(row) for row in some])
        self.conn.execute(text("INSERT INTO was SELECT ref, customer_id FROM link"))
