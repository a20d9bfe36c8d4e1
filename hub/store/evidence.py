"""What party records are matched by, and who is found under which key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from hashlib import blake2b

import orjson
from sqlalchemy import (
    Connection,
    Text,
    and_,
    bindparam,
    delete,
    func,
    literal,
    select,
    text,
    union_all,
)

from hub.identity.cluster import Verdict
from hub.identity.keys import CONTACT_HOLDERS_MAX, holders_max, recent_keys
from hub.identity.matching import NOBODY, Beside, Change
from hub.identity.resolve import Evidence, evidence_of
from hub.identity.traits import Ref, Traits, dumps, loads, name_of, ref_of
from hub.models import Level, Party
from hub.store import bulk, customers, records
from hub.store.schema import connection, decision, evidence, holder, identifier, link

REGION = "CN"  # of a connection that does not say
_SURE = Traits(NOBODY, "", None, None, (), (), (), None, "", "", "", "", (), 0)
_CLAIM = _SURE._replace(is_claim=True)

# The first holders of each key by index, the sure ones first; never all of a key thousands share.
_HOLDERS = {
    "postgresql": text("""
        SELECT k.key, h.claimed, h.ref FROM unnest(CAST(:keys AS bigint[])) k(key)
        CROSS JOIN LATERAL (
            SELECT claimed, ref FROM holder WHERE key = k.key
            ORDER BY claimed, ref LIMIT :most) h"""),
    "sqlite": text("""
        SELECT h.key, h.claimed, h.ref FROM json_each(:keys) k
        CROSS JOIN holder h ON h.key = k.value AND (h.claimed, h.ref) IN (
            SELECT claimed, ref FROM holder WHERE key = k.value
            ORDER BY claimed, ref LIMIT :most)"""),
}

_mine, _theirs = link.alias("mine"), link.alias("theirs")
_spoken = select(decision.c.verb, decision.c.a, decision.c.b, decision.c.id).where(
    decision.c.verb.in_(("confirm", "reject"))
)
# Whoever is of the same customers, as (of, record, customer, 0), whose those are who stand alone,
# likewise, and what people said of anybody.
_BESIDE = union_all(
    select(literal("of"), _theirs.c.ref, _theirs.c.customer_id, literal(0))
    .join(_mine, _mine.c.customer_id == _theirs.c.customer_id)
    .where(bulk.among(_mine.c.ref, bindparam("owned", type_=Text())))
    .distinct(),
    select(literal("alone"), link.c.ref, link.c.customer_id, literal(0)).where(
        bulk.among(link.c.ref, bindparam("alone", type_=Text()))
    ),
    _spoken.where(bulk.among(decision.c.a, bindparam("named", type_=Text()))),
    _spoken.where(bulk.among(decision.c.b, bindparam("named", type_=Text()))),
)
_CLAIMS = select(holder.c.key, holder.c.ref).where(holder.c.key == bindparam("k"), holder.c.claimed)
_TRAITS = select(evidence).where(bulk.among(evidence.c.ref, bindparam("refs", type_=Text())))


def key_hash(key: str) -> int:
    """What a key is stored as: short, and nothing of it can be read."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), signed=True)


def load(conn: Connection, refs: Iterable[str]) -> dict[str, Traits]:
    """The traits of these party records; what was never stored is read from the record itself."""
    wanted = set(refs)
    found = stored(conn, wanted)
    if missing := wanted - found.keys():
        found |= {name: item.traits for name, item in read(conn, missing).items()}
    return found


def stored(conn: Connection, refs: Iterable[str]) -> dict[str, Traits]:
    """The traits that are stored of these party records."""
    found: dict[str, Traits] = {}
    for chunk in bulk.chunks(refs):
        rows = conn.execute(_TRAITS, {"refs": bulk.told(chunk)})
        found.update((ref, loads(ref_of(ref), told)) for ref, told in rows)
    return found


def read(conn: Connection, refs: Iterable[str]) -> dict[str, Evidence]:
    """The evidence in party records as they are, whatever is stored of it."""
    parties = [r for r in records.load(conn, refs).values() if isinstance(r, Party)]
    if not parties:
        return {}
    rows = conn.execute(select(connection.c.name, connection.c.config))
    region = {row.name: orjson.loads(row.config).get("region", REGION) for row in rows}
    told = (evidence_of(p, region.get(p.ref.connection, REGION)) for p in parties)
    return {item.ref: item for item in told}


def known(conn: Connection, refs: Iterable[str]) -> dict[str, Evidence]:
    """What is stored of these party records."""
    wanted = set(refs)
    keys: dict[str, dict[tuple[str, str], Level]] = {ref: {} for ref in wanted}
    for chunk in bulk.chunks(wanted):
        for row in conn.execute(select(identifier).where(bulk.among(identifier.c.ref, chunk))):
            keys[row.ref][row.type, row.value] = Level(row.level)
    return {ref: Evidence(ref, keys[ref], t) for ref, t in stored(conn, wanted).items()}


def save(
    conn: Connection,
    items: Sequence[Evidence],
    changes: Sequence[Change],
    new: Collection[str] = (),
) -> None:
    """Store what these records know now, and under which keys they are found.

    Args:
        changes: of the same records, and of those that are gone.
        new: those of them of which nothing is stored.
    """
    old = {name_of(change.ref) for change in changes}.difference(new)
    for chunk in bulk.chunks(sorted(old)):
        conn.execute(delete(identifier).where(bulk.among(identifier.c.ref, chunk)))
    gone = [name_of(change.ref) for change in changes if change.after is None]
    for chunk in bulk.chunks(gone):
        conn.execute(delete(evidence).where(bulk.among(evidence.c.ref, chunk)))
    rows = [
        {"type": type_, "value": value, "ref": item.ref, "level": level.value}
        for item in items
        for (type_, value), level in item.keys.items()
    ]
    bulk.insert(conn, identifier, rows)
    traits = [{"ref": item.ref, "traits": dumps(item.traits)} for item in items]
    (bulk.upsert if old else bulk.insert)(conn, evidence, traits)
    _save_keys(conn, changes)


def _save_keys(conn: Connection, changes: Sequence[Change]) -> None:
    left, come = [], []
    for ref, before, after in changes:
        name = name_of(ref)
        was, now = placed(before), placed(after)
        left += [{"k": key, "c": claimed, "r": name} for key, claimed in was - now]
        come += [{"key": key, "claimed": claimed, "ref": name} for key, claimed in now - was]
    if left:
        same = and_(*(holder.c[n] == bindparam(n[0]) for n in ("key", "claimed", "ref")))
        conn.execute(delete(holder).where(same), left)
    bulk.insert_new(conn, holder, come)


def placed(t: Traits | None) -> set[tuple[int, bool]]:
    return {(key_hash(key), t.is_claim) for key in recent_keys(t)} if t else set()


class Holders:
    """The index of the hub: what is stored, with changes that are not stored yet laid over it.

    Attributes:
        links: party record → customer as of now, of all that were asked about and theirs.
    """

    def __init__(
        self, conn: Connection, changes: Sequence[Change], new: Collection[str] = ()
    ) -> None:
        self._conn, self._new = conn, set(new)
        self.links: dict[str, str] = {}
        self._whole: set[str] = set()
        self._changed = {change.ref: change.after for change in changes}
        self._seen: dict[str, Traits] = {}
        self._over: dict[str, list[Traits]] = {}
        hidden: Counter[str] = Counter()
        for _, before, after in changes:
            for key in recent_keys(after) if after else ():
                self._over.setdefault(key, []).append(after)  # type: ignore[arg-type]
            hidden.update(recent_keys(before) if before else ())
        self._most = CONTACT_HOLDERS_MAX + 1 + max(hidden.values(), default=0)

    def holders(self, keys: Sequence[str]) -> dict[str, Sequence[Traits]]:
        stored = self._names(keys)
        self._see({name for key, held in stored.items() for name in _few(key, held)})
        found: dict[str, Sequence[Traits]] = {key: self._over.get(key, ()) for key in keys}
        for key, held in stored.items():
            found[key] = [*self._met(key, held), *found[key]]
        return found

    def _names(self, keys: Sequence[str]) -> dict[str, list[tuple[bool, str]]]:
        """(claimed, name) of the first stored holders of keys, but for those that have changed."""
        by_hash = {key_hash(key): key for key in keys}
        is_sqlite = self._conn.dialect.name == "sqlite"
        told = orjson.dumps(list(by_hash)).decode() if is_sqlite else bulk.integers(by_hash)
        query = _HOLDERS[self._conn.dialect.name]
        found: dict[str, list[tuple[bool, str]]] = {}
        for hash_, claimed, name in self._conn.execute(query, {"keys": told, "most": self._most}):
            if ref_of(name) not in self._changed:
                found.setdefault(by_hash[hash_], []).append((bool(claimed), name))
        return found

    def claims(self, keys: Sequence[str]) -> dict[str, Sequence[Traits]]:
        told = {
            key: [
                row.ref
                for row in self._conn.execute(_CLAIMS, {"k": key_hash(key)})
                if ref_of(row.ref) not in self._changed
            ]
            for key in keys
        }
        self._see({name for names in told.values() for name in names})
        return {
            key: [
                *(self._seen[name] for name in names if name in self._seen),
                *(t for t in self._over.get(key, ()) if t.is_claim),
            ]
            for key, names in told.items()
        }

    def _met(self, key: str, held: Sequence[tuple[bool, str]]) -> list[Traits]:
        few = _few(key, held)
        return [
            self._seen[name] if name in few else _CLAIM if claimed else _SURE
            for claimed, name in held
            if name in self._seen or name not in few  # older code may have left keys of one gone
        ]

    def _see(self, names: Collection[str]) -> None:
        self._seen |= load(self._conn, set(names) - self._seen.keys())

    def records(self, refs: Sequence[Ref]) -> dict[Ref, Traits]:
        stored = {name_of(ref) for ref in refs if ref not in self._changed}
        self._see(stored)
        found = {ref: t for ref in refs if (t := self._changed.get(ref)) is not None}
        return found | {ref_of(name): self._seen[name] for name in stored & self._seen.keys()}

    def beside(self, refs: Sequence[Ref], alone: Collection[Ref]) -> Beside:
        names = {name_of(ref) for ref in refs}
        by_themselves = {name_of(ref) for ref in alone} & names
        asked = {
            "owned": bulk.told(names - self._new - by_themselves),
            "alone": bulk.told(by_themselves - self._new),
            "named": bulk.told(names),
        }
        newest: dict[frozenset[str], Verdict] = {}
        found: list[str] = []
        for verb, a, b, number in self._conn.execute(_BESIDE, asked):
            if verb in ("of", "alone"):
                self.links[a] = b
                if verb == "of":
                    self._whole.add(b)
                    found.append(a)
            elif (said := newest.get(frozenset((a, b)))) is None or said.number < number:
                newest[frozenset((a, b))] = Verdict(verb, ref_of(a), ref_of(b), number)
        return Beside([ref_of(name) for name in found], list(newest.values()))

    def crowded(self) -> set[str]:
        """The customers of whose records some were not looked at."""
        known = Counter(self.links.values())
        sizes = customers.sizes(self._conn, known.keys() - self._whole)
        return {id_ for id_, size in sizes.items() if size > known[id_]}


def _few(key: str, held: Sequence[tuple[bool, str]]) -> set[str]:
    """Those of the holders who are not too many to be compared."""
    most = holders_max(key)
    sure = {name for claimed, name in held if not claimed}
    if len(held) <= most:
        return sure | {name for _, name in held}
    return sure if len(sure) <= most else set()


def page(conn: Connection, after: str, limit: int) -> list[Traits]:
    """Stored traits in order of their records, behind one of them: for those who read all."""
    query = select(evidence).where(evidence.c.ref > after).order_by(evidence.c.ref).limit(limit)
    return [loads(ref_of(row.ref), row.traits) for row in conn.execute(query)]


def parties(conn: Connection, after: str, limit: int) -> list[str]:
    """Party records that are of a customer, in order of their names, behind one of them."""
    query = select(link.c.ref).where(link.c.ref > after).order_by(link.c.ref).limit(limit)
    return list(conn.execute(query).scalars())


def count(conn: Connection) -> int:
    """How many party records are of a customer."""
    return int(conn.execute(select(func.count()).select_from(link)).scalar_one())
