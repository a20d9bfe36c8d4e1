"""What a profile is built from, and the built document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

import orjson
from sqlalchemy import Connection, delete, select, text

from hub.models import KINDS, PARTY_KINDS, Record
from hub.models.normalise import search_keys
from hub.profiles.build import SHOWN, Document, Held
from hub.profiles.document import Source
from hub.store import bulk
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


def material(conn: Connection, ids: Iterable[str]) -> dict[str, list[Held]]:
    """What the profiles of these customers are built from, by customer."""
    wanted = sorted(set(ids))
    found: dict[str, dict[str, Held]] = {id_: {} for id_ in wanted}
    for query in (_MEMBERS, _OPEN, _NEWEST):
        for row in _rows(conn, query, wanted):
            if row.ref not in found[row.customer_id]:
                found[row.customer_id][row.ref] = _held(row)
    return {id_: list(held.values()) for id_, held in found.items()}


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


def save(conn: Connection, documents: Sequence[Document], gone: Iterable[str]) -> None:
    """Store the built documents; customers without records lose theirs."""
    rows = [
        {
            "customer_id": p["id"],
            "name": p["name"]["value"] if "name" in p else "",
            "search": _search(p),
            "document": orjson.dumps(p, option=orjson.OPT_UTC_Z).decode(),
            "built_at": p["built_at"],
        }
        for p in sorted(documents, key=itemgetter("id"))
    ]
    bulk.upsert(conn, profile, rows)
    for chunk in bulk.chunks(gone):
        conn.execute(delete(profile).where(bulk.among(profile.c.customer_id, chunk)))


def _search(p: Document) -> str:
    names = dict.fromkeys(member["name"] for member in p["members"] if member["name"])
    return "\n".join(search_keys(name) for name in names)


def brief(conn: Connection, ids: Iterable[str]) -> dict[str, dict[str, str]]:
    """Id, name, first e-mail and first phone of these customers, by id."""
    found: dict[str, dict[str, str]] = {}
    for chunk in bulk.chunks(set(ids)):
        query = select(profile.c.customer_id, profile.c.name, profile.c.document)
        for row in conn.execute(query.where(bulk.among(profile.c.customer_id, chunk))):
            contacts = orjson.loads(row.document).get("contacts", [])
            first = {c["type"]: c["value"] for c in reversed(contacts)}
            found[row.customer_id] = {
                "id": row.customer_id,
                "name": row.name,
                "email": first.get("email", ""),
                "phone": first.get("phone", ""),
            }
    return found
