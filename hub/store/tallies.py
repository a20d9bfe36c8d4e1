"""Sums over the facts of each party record, kept in the transaction that changes a fact.

So a profile tells of the whole history without reading it. ``count_again`` is what they must equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, delete, literal_column, select, text

from hub.models import KINDS, Record
from hub.profiles.tally import MEASURES, Tally, shares
from hub.store import bulk
from hub.store.schema import record, tally

Key = tuple[str, str, str, int, str, str]
"""Party, kind, field, day, status, unit: what a sum is kept by."""

Sums = dict[Key, tuple[int, int]]
"""Count and total, by key."""

_KEYS = ("party", "kind", "field", "day", "status", "unit")
_AT_ONCE = 1000

# Days before the first one asked for are taken together: what is read does not grow with them.
_SUMS = """
    t.kind, t.field, t.status, t.unit, t.day >= :since AS is_recent,
    CASE WHEN t.day >= :since THEN t.day ELSE 0 END AS day,
    CAST(sum(t.count) AS BIGINT) AS count, CAST(sum(t.total) AS BIGINT) AS total,
    max(t.day) AS last"""
_OF_CUSTOMERS = {
    "postgresql": f"""
        SELECT l.customer_id, {_SUMS} FROM link l
        CROSS JOIN LATERAL (SELECT * FROM tally WHERE party = l.ref OFFSET 0) t
        WHERE l.customer_id = ANY(ARRAY(SELECT json_array_elements_text(CAST(:ids AS json))))
        GROUP BY 1, 2, 3, 4, 5, 6, 7""",
    "sqlite": f"""
        SELECT l.customer_id, {_SUMS} FROM json_each(:ids) i
        CROSS JOIN link l ON l.customer_id = i.value
        CROSS JOIN tally t ON t.party = l.ref
        GROUP BY 1, 2, 3, 4, 5, 6, 7""",
}


class Changes:
    """What a transaction adds to sums, and takes from them; written once, in order of the keys."""

    def __init__(self) -> None:
        self._sums: dict[Key, list[int]] = {}

    def add(self, party: str | None, r: Record, sign: int = 1) -> None:
        """A fact belongs to a party now; with ``sign`` -1, it no longer does."""
        if party is None:
            return
        for s in shares(r):
            sums = self._sums.setdefault((party, s.kind, s.field, s.day, s.status, s.unit), [0, 0])
            sums[0] += sign
            sums[1] += sign * s.total

    def move(self, before: str | None, after: str | None, r: Record) -> None:
        """A fact goes from one party to another."""
        self.add(before, r, -1)
        self.add(after, r)

    def sums(self) -> Sums:
        """What there is to add, without what comes to nothing."""
        return {key: (count, total) for key, (count, total) in self._sums.items() if count or total}

    def save(self, conn: Connection) -> None:
        """Let the database add up."""
        rows = _rows(self.sums())
        bulk.add(conn, tally, rows)
        lessened = {row["party"] for row in rows if row["count"] < 0}
        for chunk in bulk.chunks(sorted(lessened)):
            empty = tally.c.count == literal_column("0")
            conn.execute(delete(tally).where(empty, bulk.among(tally.c.party, chunk)))


def of_customers(conn: Connection, ids: Sequence[str], since: int) -> dict[str, list[Tally]]:
    """The sums of these customers, the days from ``since`` on one by one."""
    values = {"ids": orjson.dumps(ids).decode(), "since": since}
    found: dict[str, list[Tally]] = {id_: [] for id_ in ids}
    for id_, kind, field, status, unit, is_recent, day, *sums in conn.execute(
        text(_OF_CUSTOMERS[conn.dialect.name]), values
    ):
        one = Tally(kind, field, status, unit, day if is_recent else None, *sums)
        found[id_].append(one)
    return found


def stored(conn: Connection, parties: Iterable[str]) -> Sums:
    """The sums that are kept of these parties, held to the end of the transaction."""
    found: Sums = {}
    for chunk in bulk.chunks(parties):
        chosen = select(tally).where(bulk.among(tally.c.party, chunk))
        held = chosen.order_by(*tally.primary_key.columns).with_for_update()
        for *key, count, total in conn.execute(held):
            found[tuple(key)] = (count, total)
    return found


def count_again(conn: Connection, parties: Iterable[str]) -> Sums:
    """The sums of these parties as a reading of all their records gives them."""
    found = Changes()
    for party, r in _facts(conn, parties):
        found.add(party, r)
    return found.sums()


def mend(conn: Connection, parties: Sequence[str]) -> set[str]:
    """Keep what the records of these parties give; the parties of whom that was not so."""
    kept = stored(conn, parties)  # first: what is added meanwhile waits for us
    true = count_again(conn, parties)
    wrong = {key[0] for key, _ in kept.items() ^ true.items()}
    for chunk in bulk.chunks(sorted(wrong)):
        conn.execute(delete(tally).where(bulk.among(tally.c.party, chunk)))
    bulk.insert(conn, tally, _rows({key: sums for key, sums in true.items() if key[0] in wrong}))
    return wrong


def _rows(sums: Sums) -> list[dict[str, Any]]:
    return [
        {**dict(zip(_KEYS, key, strict=True)), "count": count, "total": total}
        for key, (count, total) in sorted(sums.items())
    ]


def _facts(conn: Connection, parties: Iterable[str]) -> Iterator[tuple[str, Record]]:
    r = record.c
    query = select(r.party, r.kind, r.document).where(
        r.kind.in_(list(MEASURES)), r.deleted_at.is_(None)
    )
    for chunk in bulk.chunks(parties):
        chosen = query.where(bulk.among(r.party, chunk))
        for row in conn.execute(chosen, execution_options={"yield_per": _AT_ONCE}):
            yield row.party, KINDS[row.kind].model_validate_json(row.document)
