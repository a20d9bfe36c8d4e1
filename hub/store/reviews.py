"""Pairs of records that may be one customer, for a person to decide."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, Text, and_, bindparam, delete, func, or_, select

from hub.identity.matching import Pair
from hub.identity.traits import name_of
from hub.store import bulk, leases
from hub.store.schema import link, review


class Review(NamedTuple):
    """Two records, and the customers they are of now."""

    a: str
    b: str
    bits: float
    weights: str
    at: datetime
    customer_a: str
    customer_b: str


def save(
    conn: Connection, looked_at: Collection[str], doubts: Iterable[Pair], version: str
) -> None:
    """These are the doubts about the records looked at; any other there were are over.

    Args:
        looked_at: records that were there before, and those that are gone.
    """
    wanted = {_ordered(name_of(pair.a), name_of(pair.b)): round(pair.bits, 1) for pair in doubts}
    stored = _about(conn, looked_at)
    over = [{"x": a, "y": b} for a, b in stored.keys() - wanted.keys()]
    if over:
        named = and_(review.c.a == bindparam("x"), review.c.b == bindparam("y"))
        conn.execute(delete(review).where(named), over)
    now = leases.now()
    rows = [
        {"a": a, "b": b, "bits": bits, "weights": version, "at": now}
        for (a, b), bits in sorted(wanted.items())
        if stored.get((a, b)) != bits
    ]
    bulk.upsert(conn, review, rows)


_refs = bindparam("refs", type_=Text())
_ABOUT = select(review.c.a, review.c.b, review.c.bits).where(
    or_(bulk.among(review.c.a, _refs), bulk.among(review.c.b, _refs))
)


def _ordered(a: str, b: str) -> tuple[str, str]:
    return (a, b) if a < b else (b, a)


def _about(conn: Connection, refs: Collection[str]) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for chunk in bulk.chunks(refs):
        rows = conn.execute(_ABOUT, {"refs": bulk.told(chunk)})
        found.update(((row.a, row.b), row.bits) for row in rows)
    return found


def page(conn: Connection, limit: int = 50) -> list[Review]:
    """Open doubts, those nearest to a match first."""
    mine, theirs = link.alias("mine"), link.alias("theirs")
    query = (
        select(review, mine.c.customer_id.label("x"), theirs.c.customer_id.label("y"))
        .join(mine, mine.c.ref == review.c.a)
        .join(theirs, theirs.c.ref == review.c.b)
        .order_by(review.c.bits.desc(), review.c.a.desc(), review.c.b.desc())
        .limit(limit)
    )
    return [Review(*row) for row in conn.execute(query)]


def count(conn: Connection) -> int:
    """How many doubts are open."""
    return int(conn.execute(select(func.count()).select_from(review)).scalar_one())
