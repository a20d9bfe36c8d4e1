"""Evidence, links and decisions: whose record is whose."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import orjson
from sqlalchemy import Connection, delete, select, text, update

from hub.identity.resolve import HOLDERS_MAX, Evidence, Key, Resolution, Verdict
from hub.models import Level
from hub.store import bulk, leases
from hub.store.schema import customer, decision, identifier, link

WAVES_MAX = 25
"""How often the circle of evidence is widened; a longer chain is cut and told in the log."""

# The first holders of each key by index, never all of a value that thousands share.
_HOLDERS = {
    "postgresql": """
        SELECT k.key ->> 0, k.key ->> 1, i.ref
        FROM json_array_elements(CAST(:keys AS json)) k(key)
        CROSS JOIN LATERAL (
            SELECT ref FROM identifier WHERE type = k.key ->> 0 AND value = k.key ->> 1
            ORDER BY ref LIMIT :most) i""",
    "sqlite": """
        SELECT i.type, i.value, i.ref FROM json_each(:keys) k
        CROSS JOIN identifier i ON i.rowid IN (
            SELECT rowid FROM identifier
            WHERE type = json_extract(k.value, '$[0]') AND value = json_extract(k.value, '$[1]')
            ORDER BY ref LIMIT :most)""",
}


def forget_evidence(conn: Connection, refs: Iterable[str]) -> set[Key]:
    """Delete what is stored of these party records; the keys they knew."""
    before: set[Key] = set()
    for chunk in bulk.chunks(sorted(refs)):
        old = delete(identifier).where(bulk.among(identifier.c.ref, chunk))
        returned = conn.execute(old.returning(identifier.c.type, identifier.c.value))
        before |= {(type_, value) for type_, value in returned}
    return before


def save_evidence(conn: Connection, items: Sequence[Evidence]) -> None:
    """Store what these party records know; nothing may be stored of them."""
    rows = [
        {
            "type": type_,
            "value": value,
            "ref": item.ref,
            "level": level.value,
            "kind": item.kind,
            "name_key": item.name_key,
        }
        for item in items
        for (type_, value), level in item.keys.items()
    ]
    bulk.insert(conn, identifier, rows)


def circle(
    conn: Connection,
    items: Sequence[Evidence],
    gone: Iterable[str],
    before: Iterable[Key],
    new: Collection[str] = (),
) -> dict[str, Evidence]:
    """Every party record whose customer the changed ones may change, with its evidence.

    Widened from key to holders to their keys until closed. A key with too many holders leads
    nowhere, except when the changed records are what made it too many: what is stored of them must
    have been forgotten, so that they are not among the holders.

    Args:
        before: the keys the changed records knew.
        new: those of them that nobody knew: they are of no customer yet.
    """
    found = {item.ref: item for item in items}
    changed = found.keys() | set(gone)
    keys = {key for item in items for key in item.keys} | set(before)
    refs = _companions(conn, changed.difference(new)) | _confirmed(conn, changed)
    refs -= changed
    asked: set[Key] = set()
    for _ in range(WAVES_MAX):
        holders = _holders(conn, keys - asked)
        asked |= keys
        refs |= holders - found.keys()
        if not refs:
            break
        new = evidence(conn, refs)
        found.update(new)
        keys = {key for item in new.values() for key in item.keys}
        refs = _companions(conn, refs) - found.keys() - set(gone)
    return found


def _companions(conn: Connection, refs: Iterable[str]) -> set[str]:
    """All party records of the customers these belong to."""
    found: set[str] = set()
    for chunk in bulk.chunks(refs):
        theirs = select(link.c.customer_id).where(bulk.among(link.c.ref, chunk))
        found.update(
            conn.execute(select(link.c.ref).where(link.c.customer_id.in_(theirs))).scalars()
        )
    return found


def _holders(conn: Connection, keys: Iterable[Key]) -> set[str]:
    wanted = sorted(keys)
    if not wanted:
        return set()
    by_key: dict[Key, list[str]] = defaultdict(list)
    values = {"keys": orjson.dumps(wanted).decode(), "most": HOLDERS_MAX + 1}
    for type_, value, ref in conn.execute(text(_HOLDERS[conn.dialect.name]), values):
        by_key[type_, value].append(ref)
    return {ref for refs in by_key.values() if len(refs) <= HOLDERS_MAX for ref in refs}


def evidence(conn: Connection, refs: Iterable[str]) -> dict[str, Evidence]:
    """What is stored of these party records; one without identifiers knows nothing."""
    found: dict[str, Evidence] = {}
    keys: dict[str, dict[Key, Level]] = defaultdict(dict)
    wanted = set(refs)
    for chunk in bulk.chunks(wanted):
        for row in conn.execute(select(identifier).where(bulk.among(identifier.c.ref, chunk))):
            keys[row.ref][row.type, row.value] = Level(row.level)
            found[row.ref] = Evidence(row.ref, row.kind, row.name_key, keys[row.ref])
    for ref in wanted - found.keys():  # linked, without any identifier
        found[ref] = Evidence(ref, "", "", {})
    return found


def links(conn: Connection, refs: Iterable[str]) -> dict[str, str]:
    """Party record → customer, where there is one."""
    found: dict[str, str] = {}
    for chunk in bulk.chunks(refs):
        rows = conn.execute(
            select(link.c.ref, link.c.customer_id).where(bulk.among(link.c.ref, chunk))
        )
        found.update((row.ref, row.customer_id) for row in rows)
    return found


def verdicts(conn: Connection, refs: Iterable[str]) -> list[Verdict]:
    """The newest word of a person on each pair of these records."""
    newest: dict[tuple[str, str], Verdict] = {}
    spoken = decision.c.verb.in_(("confirm", "reject"))
    for chunk in bulk.chunks(refs):
        rows = conn.execute(
            select(decision.c.verb, decision.c.a, decision.c.b)
            .where(spoken, bulk.among(decision.c.a, chunk))
            .order_by(decision.c.id)
        )
        newest.update({(a, b): Verdict(verb, a, b) for verb, a, b in rows})
    return list(newest.values())


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


def _confirmed(conn: Connection, refs: Iterable[str]) -> set[str]:
    """Party records somebody, or the hub that made one of them, said are of the same customers."""
    found: set[str] = set()
    for chunk in bulk.chunks(refs):
        for mine, other in ((decision.c.a, decision.c.b), (decision.c.b, decision.c.a)):
            said = select(other).where(bulk.among(mine, chunk), decision.c.verb == "confirm")
            found.update(conn.execute(said).scalars())
    return found


def apply(conn: Connection, found: Resolution, gone: Iterable[str], actor: str) -> None:
    """Write what was resolved; customers who lost a record are noted as touched."""
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
    rows = [
        {**d, "evidence": orjson.dumps(d["evidence"]).decode(), "actor": actor, "at": now}
        for d in found.decisions
    ]
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


def members(conn: Connection, id_: str) -> list[str]:
    """The party records of a customer, in order of their names."""
    rows = conn.execute(select(link.c.ref).where(link.c.customer_id == id_).order_by(link.c.ref))
    return list(rows.scalars())
