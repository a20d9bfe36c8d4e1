"""What a profile is built from, and the built document."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

import orjson
from sqlalchemy import Connection, delete, text

from hub.models import KINDS, PARTY_KINDS, Record
from hub.models.normalise import search_keys
from hub.profiles.build import SHOWN, Document, Held, Material
from hub.profiles.document import Source
from hub.store import bulk, earlier, news, pins, tallies
from hub.store.schema import from_us, profile

FACT_KINDS = tuple(kind for kind in KINDS if kind not in PARTY_KINDS)

# PostgreSQL would read whole tables as long as it has no statistics of them, that is during the
# first load: OFFSET 0 makes it go by index, row by row, and a list it has to unpack looks short.
_ASKED = "l.customer_id = ANY(ARRAY(SELECT json_array_elements_text(CAST(:ids AS json))))"
_COLUMNS = "l.customer_id, r.ref, r.kind, r.document, r.mapping_version, raw.seen_at"

# The newest facts of each kind by index, never the whole history: each database has its own words
# for "at most so many per group". Who has no facts at all is not asked kind by kind.
# The order makes PostgreSQL use the index, whatever it knows of the table.
_ANY_FACT = f"""
            SELECT 1 FROM record WHERE party = l.ref AND kind NOT IN {PARTY_KINDS}
            ORDER BY kind LIMIT 1"""
_NEWEST = {
    "postgresql": f"""
        SELECT {_COLUMNS} FROM link l
        CROSS JOIN LATERAL ({_ANY_FACT}) any_fact
        CROSS JOIN json_array_elements_text(CAST(:kinds AS json)) k(kind)
        CROSS JOIN LATERAL (
            SELECT * FROM record WHERE party = l.ref AND kind = k.kind AND deleted_at IS NULL
            ORDER BY occurred_at DESC LIMIT :shown) r
        CROSS JOIN LATERAL (SELECT seen_at FROM raw WHERE ref = r.parent OFFSET 0) raw
        WHERE {_ASKED}""",
    "sqlite": f"""
        SELECT {_COLUMNS} FROM json_each(:ids) i
        CROSS JOIN link l ON l.customer_id = i.value
        CROSS JOIN json_each(:kinds) k
        CROSS JOIN record r ON r.rowid IN (
            SELECT rowid FROM record WHERE party = l.ref AND kind = k.value AND deleted_at IS NULL
            ORDER BY occurred_at DESC LIMIT :shown)
        CROSS JOIN raw ON raw.ref = r.parent
        WHERE EXISTS ({_ANY_FACT})""",
}
_OPEN = {
    "postgresql": f"""
        SELECT {_COLUMNS} FROM link l
        CROSS JOIN LATERAL (SELECT * FROM record WHERE party = l.ref AND is_open OFFSET 0) r
        CROSS JOIN LATERAL (SELECT seen_at FROM raw WHERE ref = r.parent OFFSET 0) raw
        WHERE {_ASKED}""",
    "sqlite": f"""
        SELECT {_COLUMNS} FROM json_each(:ids) i
        CROSS JOIN link l ON l.customer_id = i.value
        CROSS JOIN record r ON r.party = l.ref AND r.is_open
        CROSS JOIN raw ON raw.ref = r.parent""",
}
_MEMBERS = {
    "postgresql": f"""
        SELECT {_COLUMNS} FROM link l
        CROSS JOIN LATERAL (
            SELECT * FROM record WHERE ref = l.ref AND deleted_at IS NULL OFFSET 0) r
        CROSS JOIN LATERAL (SELECT seen_at FROM raw WHERE ref = r.parent OFFSET 0) raw
        WHERE {_ASKED}""",
    "sqlite": f"""
        SELECT {_COLUMNS} FROM json_each(:ids) i
        CROSS JOIN link l ON l.customer_id = i.value
        CROSS JOIN record r ON r.ref = l.ref AND r.deleted_at IS NULL
        CROSS JOIN raw ON raw.ref = r.parent""",
}


def material(conn: Connection, ids: Iterable[str], since: int) -> dict[str, Material]:
    """What the profiles of these customers are built from, by customer.

    Args:
        since: the first day whose sums are told by themselves.
    """
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    found: dict[str, dict[str, Held]] = {id_: {} for id_ in wanted}
    for query in (_MEMBERS, _OPEN, _NEWEST):
        for row in _rows(conn, query, wanted):
            if row.ref not in found[row.customer_id]:
                found[row.customer_id][row.ref] = _held(row)
    sums, pinned = tallies.of_customers(conn, wanted, since), pins.of_customers(conn, wanted)
    return {
        id_: Material(list(held.values()), sums[id_], pinned.get(id_, ()))
        for id_, held in found.items()
    }


def _rows(conn: Connection, query: dict[str, str], ids: Sequence[str]) -> Any:
    values: dict[str, Any] = {"ids": orjson.dumps(ids).decode()}
    if query is _NEWEST:
        values |= {"kinds": orjson.dumps(FACT_KINDS).decode(), "shown": SHOWN}
    return conn.execute(text(query[conn.dialect.name]), values)


def _held(row: Any) -> Held:
    record = KINDS[row.kind].model_validate_json(row.document)
    return held(record, row.mapping_version, from_us(row.seen_at))


def held(record: Record, mapping_version: str, seen_at: datetime) -> Held:
    """A record with where it came from."""
    ref = str(record.ref)
    source = Source(
        ref=ref,
        connection=record.ref.connection,
        mapping_version=mapping_version,
        seen_at=seen_at,
    )
    return Held(record, source)


def save(
    conn: Connection,
    documents: Sequence[Document],
    gone: Collection[str],
    *,
    new: Collection[str] = (),
    cause: str = "",
    told: bool = True,
    loading: bool = False,
) -> None:
    """Store the built documents that say something new; customers without records lose theirs.

    What is replaced is kept for a while: see ``earlier``.

    Args:
        new: customers who had no profile.
        cause: the connection whose records led to it.
        told: whether subscribers hear of it.
        loading: a first load is under way.
    """
    before = earlier.stored(conn, ({p["id"] for p in documents} | {*gone}).difference(new))
    rows = [
        row
        for p in sorted(documents, key=itemgetter("id"))
        if (row := _row(p))
        and (p["id"] not in before or before[p["id"]].differs_from(row["document"]))
    ]
    made = {row["customer_id"]: row["document"] for row in rows} if told else {}
    texts = {id_: one.document for id_, one in before.items()}
    news.of_profiles(conn, made, gone, cause, texts)
    earlier.keep(conn, before, [*(row["customer_id"] for row in rows), *gone], loading=loading)
    bulk.upsert(conn, profile, rows)
    for chunk in bulk.chunks(gone):
        conn.execute(delete(profile).where(bulk.among(profile.c.customer_id, chunk)))


def _row(p: Document) -> dict[str, Any]:
    return {
        "customer_id": p["id"],
        "name": p["name"]["value"] if "name" in p else "",
        "search": _search(p),
        "document": orjson.dumps(p, option=orjson.OPT_UTC_Z).decode(),
        "built_at": p["built_at"],
    }


def _search(p: Document) -> str:
    names = dict.fromkeys(member["name"] for member in p["members"] if member["name"])
    return "\n".join(search_keys(name) for name in names)


def documents(conn: Connection, ids: Iterable[str]) -> dict[str, Document]:
    """The profiles of these customers as they are stored, by id."""
    stored = earlier.stored(conn, set(ids))
    return {id_: orjson.loads(one.document) for id_, one in stored.items()}
