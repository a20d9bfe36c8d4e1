"""Links and decisions: whose record is whose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, and_, delete, func, or_, select, update

from hub.identity.resolve import Resolution
from hub.store import bulk, leases
from hub.store.schema import customer, decision, link


def links(conn: Connection, refs: Iterable[str]) -> dict[str, str]:
    """Party record → customer, where there is one."""
    found: dict[str, str] = {}
    for chunk in bulk.chunks(refs):
        rows = conn.execute(
            select(link.c.ref, link.c.customer_id).where(bulk.among(link.c.ref, chunk))
        )
        found.update((row.ref, row.customer_id) for row in rows)
    return found


def note_copies(conn: Connection, originals: Mapping[str, str]) -> None:
    """Each of these party records, copy → original, is of its original's customer from now on.

    They are kept alike, so neither a new name nor a new number of one parts them; a person's word
    that came first or comes later does.
    """
    mine = links(conn, originals.values())
    known: set[str | None] = set()
    for chunk in bulk.chunks(originals):
        said = select(decision.c.b).where(
            bulk.among(decision.c.b, chunk), decision.c.verb.in_(("confirm", "reject"))
        )
        known.update(conn.execute(said).scalars())
    rows = [
        {
            "verb": "confirm",
            "customer_id": mine[original],
            "a": original,
            "b": copy,
            "evidence": orjson.dumps([{"rule": "copy"}]).decode(),
            "actor": "hub",
            "at": leases.now(),
        }
        for copy, original in sorted(originals.items())
        if original in mine and copy not in known
    ]
    bulk.insert(conn, decision, rows)


def say(
    conn: Connection, verb: str, pairs: Sequence[tuple[str, str]], *, actor: str, why: str
) -> None:
    """Note what a person said of pairs of party records."""
    whose = links(conn, {ref for pair in pairs for ref in pair})
    now = leases.now()
    rows = [
        {
            "verb": verb,
            "customer_id": whose[a],
            "other_id": whose[b] if whose[b] != whose[a] else None,
            "a": a,
            "b": b,
            "evidence": "[]",
            "why": why,
            "actor": actor,
            "at": now,
        }
        for a, b in pairs
    ]
    bulk.insert(conn, decision, rows)


def about(conn: Connection, a: str, b: str) -> list[dict[str, Any]]:
    """Every decision that names these two records, or the customers they are of, oldest first."""
    d = decision.c
    whose = set(links(conn, (a, b)).values())
    pair = or_(and_(d.a == a, d.b == b), and_(d.a == b, d.b == a))
    theirs = d.customer_id.in_(whose) & d.verb.in_(("merge", "split", "match"))
    columns = (d.id, d.verb, d.customer_id, d.other_id, d.a, d.b, d.evidence, d.why, d.weights)
    query = select(*columns, d.actor, d.at).where(or_(pair, theirs)).order_by(d.id)
    rows = (
        {**row, "evidence": orjson.loads(row["evidence"])} for row in conn.execute(query).mappings()
    )
    return [row for row in rows if row["a"] or _names(row["evidence"], a, b)]


def _names(told: Iterable[Mapping[str, Any]], a: str, b: str) -> bool:
    return any({a, b} & {e.get("a"), e.get("b")} for e in told)


def apply(
    conn: Connection, found: Resolution, gone: Iterable[str], actor: str, weights: str = ""
) -> None:
    """Write what was resolved; customers who lost a record are noted as touched.

    Args:
        weights: the version it was resolved under.
    """
    now = leases.now()
    bulk.insert(
        conn,
        customer,
        [{"id": id_, "merged_into": None, "created_at": now} for id_ in found.created],
    )
    lost = links(conn, gone)
    for chunk in bulk.chunks(lost):
        conn.execute(delete(link).where(bulk.among(link.c.ref, chunk)))
    bulk.upsert(
        conn, link, [{"ref": ref, "customer_id": id_} for ref, id_ in sorted(found.links.items())]
    )
    for id_, into in found.merged.items():
        conn.execute(update(customer).where(customer.c.merged_into == id_).values(merged_into=into))
        conn.execute(update(customer).where(customer.c.id == id_).values(merged_into=into))
    by = {"actor": actor, "at": now, "weights": weights}
    rows = [{**d, "evidence": orjson.dumps(d["evidence"]).decode(), **by} for d in found.decisions]
    bulk.insert(conn, decision, rows)
    found.touched.update(lost.values())


def lock(conn: Connection, ids: Iterable[str]) -> None:
    """Hold these customers to the end of the transaction, taken in order of their ids."""
    if conn.dialect.name == "sqlite":
        return  # the transaction holds everything
    for chunk in bulk.chunks(sorted(ids)):
        chosen = (
            select(customer.c.id).where(bulk.among(customer.c.id, chunk)).order_by(customer.c.id)
        )
        conn.execute(chosen.with_for_update())


def customers_of(conn: Connection, parties: Iterable[str]) -> set[str]:
    """The customers of these party records."""
    return set(links(conn, parties).values())


def companions(conn: Connection, parties: Iterable[str]) -> set[str]:
    """All party records of the customers these are of."""
    found: set[str] = set()
    for chunk in bulk.chunks(parties):
        theirs = select(link.c.customer_id).where(bulk.among(link.c.ref, chunk))
        found.update(
            conn.execute(select(link.c.ref).where(link.c.customer_id.in_(theirs))).scalars()
        )
    return found


def members(conn: Connection, id_: str) -> list[str]:
    """The party records of a customer, in order of their names."""
    rows = conn.execute(select(link.c.ref).where(link.c.customer_id == id_).order_by(link.c.ref))
    return list(rows.scalars())


def sizes(conn: Connection, ids: Iterable[str]) -> dict[str, int]:
    """How many party records each of these customers has."""
    found: dict[str, int] = {}
    for chunk in bulk.chunks(ids):
        query = select(link.c.customer_id, func.count()).where(
            bulk.among(link.c.customer_id, chunk)
        )
        found.update((id_, n) for id_, n in conn.execute(query.group_by(link.c.customer_id)))
    return found


def after(conn: Connection, id_: str, limit: int) -> list[str]:
    """Customers who have records and come after one of them, in order of their ids."""
    query = select(link.c.customer_id).distinct().where(link.c.customer_id > id_)
    return list(conn.execute(query.order_by(link.c.customer_id).limit(limit)).scalars())
