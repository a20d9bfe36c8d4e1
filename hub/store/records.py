"""Raw rows and the canonical records cut from them, kept consistent in one transaction.

A newer copy replaces an older one and the older one goes to history; an equal or older copy changes
nothing. A record's party follows its references, whichever arrives first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson
import zstandard
from sqlalchemy import Connection, bindparam, delete, exists, func, select, update
from sqlalchemy.sql import ColumnElement

from hub.models import KINDS, OPEN_STATUSES, PARTY_KINDS, Record, Ticket
from hub.profiles.tally import MEASURES
from hub.store import bulk, leases, tallies
from hub.store.schema import EPOCH, history, mapping, raw, record, ref, seen

HOPS_MAX = 6
"""How far a party is handed on along references: message → ticket → origin → sender, and spare."""

ORIGIN = "origin"
"""The reference of a copy the hub made to what it was made from."""

Payload = dict[str, Any]

Place = tuple[str | None, str]
"""The party a record belongs to, if known, and the raw row it was cut from."""


class Incoming(NamedTuple):
    """One raw row on its way in.

    Attributes:
        ref: ``connection/stream/id``.
        payload: the row as JSON bytes; None says it is gone at the source.
        version: as the mapping reads it; "" when the source has none.
        seen_at: when it was received, or when fetching it began.
        inbox_id: the event it came with; None for a pull.
    """

    ref: str
    payload: bytes | None
    version: str
    seen_at: datetime
    inbox_id: int | None = None

    @property
    def hash(self) -> bytes:
        """Equal for equal content."""
        return raw_hash(self.payload or b"")


def raw_hash(payload: bytes) -> bytes:
    """The hash a payload is recognised by."""
    return blake2b(payload, digest_size=16).digest()


class Known(NamedTuple):
    """What is stored of a raw row."""

    hash: bytes
    version: str
    seen_at: datetime
    gone: bool

    def yields_to(self, row: Incoming) -> bool:
        """Whether ``row`` is news: different content, and not older."""
        if (row.payload is None) == self.gone and row.hash == self.hash:
            return False
        if row.version and self.version and row.version != self.version:
            return row.version > self.version
        return row.seen_at >= self.seen_at


class Cut(NamedTuple):
    """Records cut from one raw row under one version of a mapping.

    Attributes:
        seen_at: of the raw row, where it is at hand.
    """

    parent: str
    mapping_version: str
    records: Sequence[Record]
    seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """What a batch changed.

    Attributes:
        records: every record written, by ref.
        before: the documents they replaced, by ref; a new record has none.
        parties: party records that are new, changed or gone.
        touched: party records some of whose facts are new, changed, gone or moved.
        cuts: what each of the records was cut from.
        new: those of them that were never held before.
        owning: party records that some fact among the touched belongs to.
        lost: records that are gone, and the kind of each.
    """

    records: Mapping[str, Record]
    before: Mapping[str, Payload]
    parties: frozenset[str]
    touched: frozenset[str]
    cuts: Mapping[str, Cut] = field(default_factory=dict)
    new: frozenset[str] = frozenset()
    owning: frozenset[str] = frozenset()
    lost: Mapping[str, str] = field(default_factory=dict)


def known(conn: Connection, refs: Iterable[str], *, lock: bool = False) -> dict[str, Known]:
    """What is stored of these raw rows; locked in order of their names when asked."""
    query = select(raw.c.ref, raw.c.hash, raw.c.version, raw.c.seen_at, raw.c.deleted_at)
    found: dict[str, Known] = {}
    for chunk in bulk.chunks(sorted(set(refs))):
        chosen = query.where(bulk.among(raw.c.ref, chunk)).order_by(raw.c.ref)
        for row in conn.execute(chosen.with_for_update() if lock else chosen):
            found[row.ref] = Known(row.hash, row.version, row.seen_at, row.deleted_at is not None)
    return found


def payloads(conn: Connection, refs: Iterable[str]) -> dict[str, str]:
    """These raw rows as they are stored, as JSON; ``null`` for one that is gone."""
    found: dict[str, str] = {}
    for chunk in bulk.chunks(sorted(set(refs))):
        query = select(raw.c.ref, raw.c.payload).where(bulk.among(raw.c.ref, chunk))
        found.update((row.ref, row.payload) for row in conn.execute(query))
    return found


def save_raw(conn: Connection, rows: Sequence[Incoming], stored: Mapping[str, Known]) -> None:
    """Write the raw rows, their replaced copies into history. All must be news."""
    now = leases.now()
    _keep_history(conn, [row.ref for row in rows if row.ref in stored], now)
    written = [
        {
            "ref": row.ref,
            "payload": (row.payload or b"null").decode(),
            "hash": row.hash,
            "version": row.version,
            "seen_at": row.seen_at,
            "deleted_at": None if row.payload is not None else now,
            "inbox_id": row.inbox_id,
        }
        for row in rows
    ]
    bulk.insert(conn, raw, [w for w in written if w["ref"] not in stored])
    bulk.upsert(conn, raw, [w for w in written if w["ref"] in stored])


def _keep_history(conn: Connection, refs: Sequence[str], now: datetime) -> None:
    pack = zstandard.ZstdCompressor(level=3).compress
    for chunk in bulk.chunks(refs):
        old = conn.execute(
            select(raw.c.ref, raw.c.version, raw.c.seen_at, raw.c.payload, raw.c.inbox_id).where(
                bulk.among(raw.c.ref, chunk)
            )
        )
        rows = [
            {
                "ref": row.ref,
                "version": row.version,
                "seen_at": row.seen_at,
                "replaced_at": now,
                "payload": pack(row.payload.encode()),
                "inbox_id": row.inbox_id,
            }
            for row in old
        ]
        bulk.insert(conn, history, rows)


def _of_stream(connection: str, stream: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """A range of the primary key; "0" is the character after "/"."""
    return raw.c.ref >= f"{connection}/{stream}/", raw.c.ref < f"{connection}/{stream}0"


def count(conn: Connection, connection: str, stream: str) -> int:
    """How many raw rows of a stream there are at the source, as far as the hub knows."""
    query = select(func.count()).select_from(raw).where(*_of_stream(connection, stream))
    query = query.where(raw.c.deleted_at.is_(None))
    return conn.execute(query).scalar_one()


def mapped_otherwise(
    conn: Connection, connection: str, stream: str, version: str, after: str, limit: int
) -> list[tuple[str, str]]:
    """Raw rows (ref, payload) whose records another version of the mapping made, by ref."""
    query = select(raw.c.ref, raw.c.payload).where(*_otherwise(connection, stream, version))
    rows = conn.execute(query.where(raw.c.ref > after).order_by(raw.c.ref).limit(limit))
    return [(row.ref, row.payload) for row in rows]


def count_mapped_otherwise(conn: Connection, connection: str, stream: str, version: str) -> int:
    """How many rows ``mapped_otherwise`` gives in all."""
    query = select(func.count()).select_from(raw).where(*_otherwise(connection, stream, version))
    return conn.execute(query).scalar_one()


def _otherwise(connection: str, stream: str, version: str) -> tuple[ColumnElement[bool], ...]:
    current = exists().where(record.c.parent == raw.c.ref, record.c.mapping_version == version)
    return (*_of_stream(connection, stream), raw.c.deleted_at.is_(None), ~current)


def earlier(conn: Connection, name: str, limit: int = 20) -> list[bytes]:
    """Payloads of one record that newer ones replaced, newest first."""
    own = select(record.c.parent).where(record.c.ref == name).scalar_subquery()
    query = select(history.c.payload).where(history.c.ref == own).order_by(history.c.id.desc())
    unpack = zstandard.ZstdDecompressor().decompress
    return [unpack(payload) for payload in conn.execute(query.limit(limit)).scalars()]


def drop_history(conn: Connection, before: datetime, limit: int = 10_000) -> int:
    """Forget copies replaced before an instant, the oldest first; how many went."""
    # Ids rise with time: look no further than the first copy that is young enough.
    young = select(history.c.id).where(history.c.replaced_at >= before).order_by(history.c.id)
    first = conn.execute(young.limit(1)).scalar_one_or_none()
    old = select(history.c.id).order_by(history.c.id).limit(limit)
    if first is not None:
        old = old.where(history.c.id < first)
    return conn.execute(delete(history).where(history.c.id.in_(old))).rowcount


def save(conn: Connection, cuts: Sequence[Cut], gone: Sequence[str] = ()) -> Saved:
    """Write the records of the cuts, and close those their rows no longer yield.

    Args:
        cuts: one per raw row that was written.
        gone: raw rows that vanished at the source.
    """
    cut_of = {str(r.ref): (r, cut) for cut in cuts for r in cut.records}
    records = {name: r for name, (r, _) in cut_of.items()}
    old = _old(conn, [*(cut.parent for cut in cuts), *gone])
    lost = [name for name, row in old.items() if name not in records and row["deleted_at"] is None]
    arrived = [name for name in records if name not in old or old[name]["deleted_at"] is not None]
    new = _unknown(conn, records.keys() - old.keys())
    sums = tallies.Changes()
    elsewhere = _held(conn, records.keys() - old.keys() - new)
    for row in (*old.values(), *elsewhere.values()):
        if row["deleted_at"] is None and row["kind"] in MEASURES:
            sums.add(row["party"], _record(row), -1)
    now_of = _write(conn, cut_of, old, new)
    for name, r in records.items():
        sums.add(now_of[name][0], r)
    lost = _close_but_adopt(conn, old, lost)
    now_of |= {name: (old[name]["party"], old[name]["parent"]) for name in lost}
    touched, owning = _settle_parties(conn, now_of, [*arrived, *lost], sums, records)
    sums.save(conn)
    parties = {name for name, r in records.items() if r.kind in PARTY_KINDS}
    parties |= {name for name in lost if old[name]["kind"] in PARTY_KINDS}
    return Saved(
        records=records,
        before={name: orjson.loads(row["document"]) for name, row in old.items()},
        parties=frozenset(parties),
        touched=frozenset(touched),
        cuts={name: cut for name, (_, cut) in cut_of.items()},
        new=new,
        owning=frozenset(owning),
        lost={name: old[name]["kind"] for name in lost},
    )


def together(waves: Sequence[Saved]) -> Saved:
    """What several saves in a row changed, taken as one."""
    records: dict[str, Record] = {}
    before: dict[str, Payload] = {}
    cuts: dict[str, Cut] = {}
    lost: dict[str, str] = {}
    for wave in waves:
        for name in wave.parties - wave.records.keys():  # gone
            records.pop(name, None)
        records.update(wave.records)
        before = {**wave.before, **before}
        cuts.update(wave.cuts)
        lost = {name: kind for name, kind in lost.items() if name not in wave.records} | {
            **wave.lost
        }
    return Saved(
        records=records,
        before=before,
        parties=frozenset().union(*(wave.parties for wave in waves)),
        touched=frozenset().union(*(wave.touched for wave in waves)),
        cuts=cuts,
        new=frozenset().union(*(wave.new for wave in waves)),
        owning=frozenset().union(*(wave.owning for wave in waves)),
        lost=lost,
    )


def _old(conn: Connection, parents: Iterable[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for chunk in bulk.chunks(parents):
        found.update(_locked(conn, record.c.parent, chunk))
    return found


def _held(conn: Connection, names: Iterable[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for chunk in bulk.chunks(sorted(names)):
        found.update(_locked(conn, record.c.ref, chunk))
    return found


def _locked(conn: Connection, column: ColumnElement[Any], values: list[str]) -> dict[str, Any]:
    """Records as they are stored, and will be until we change them: what is taken from the sums
    of a party must be what was added to them.
    """  # noqa: D205 - one sentence
    c = record.c
    columns = (c.ref, c.kind, c.document, c.party, c.parent, c.deleted_at)
    chosen = select(*columns).where(bulk.among(column, values)).order_by(c.ref)
    return {row["ref"]: row for row in conn.execute(chosen.with_for_update()).mappings()}


def _record(row: Any) -> Record:
    return KINDS[row["kind"]].model_validate_json(row["document"])


def _unknown(conn: Connection, names: Collection[str]) -> frozenset[str]:
    """Those of the records that are not held; one may have been cut from another raw row."""
    return frozenset(names).difference(_parties(conn, sorted(names)))


def _write(
    conn: Connection,
    cut_of: Mapping[str, tuple[Record, Cut]],
    old: Mapping[str, Any],
    new: Collection[str],
) -> dict[str, Place]:
    """Store the records; the party and the raw row of each."""
    now = leases.now()
    rows: list[dict[str, Any]] = [
        {
            "ref": name,
            "kind": r.kind,
            "document": r.model_dump_json(exclude_defaults=True),
            "occurred_at": r.occurred_at or EPOCH,
            "is_open": isinstance(r, Ticket) and r.status in OPEN_STATUSES,
            "mapping_version": cut.mapping_version,
            "parent": cut.parent,
            "party": name if r.kind in PARTY_KINDS else old[name]["party"] if name in old else None,
            "saved_at": now,
            "deleted_at": None,
        }
        for name, (r, cut) in sorted(cut_of.items())
    ]
    bulk.insert(conn, record, [row for row in rows if row["ref"] in new])
    bulk.upsert(conn, record, [row for row in rows if row["ref"] not in new])
    for chunk in bulk.chunks(name for name in cut_of if name in old):
        theirs = bulk.among(ref.c.source, chunk) & (
            ref.c.field != ORIGIN
        )  # ours outlives their changes
        conn.execute(delete(ref).where(theirs))
    bulk.insert_new(conn, ref, [row for r, _ in cut_of.values() for row in _refs(r)])
    return {str(row["ref"]): (row["party"], row["parent"]) for row in rows}


def _refs(r: Record) -> list[dict[str, Any]]:
    ranks = {name: rank for rank, name in enumerate(r.party_fields)}
    return [
        {"source": str(r.ref), "field": name, "target": str(target), "rank": ranks.get(name)}
        for name, target in r.refs().items()
    ]


def add_ref(conn: Connection, source: str, field: str, target: str, rank: int) -> bool:
    """Note a reference the hub itself knows of: a copy it made belongs where its original does.

    Whether that is news.
    """
    known = select(ref.c.target).where(ref.c.source == source, ref.c.field == field)
    if conn.execute(known).scalar() == target:
        return False
    row = {"source": source, "field": field, "target": target, "rank": rank}
    bulk.upsert(conn, ref, [row])
    return True


def _close_but_adopt(conn: Connection, old: Mapping[str, Any], lost: Sequence[str]) -> list[str]:
    """Close these records; those of them that are closed.

    A party that a fact only spoke of stays as long as another fact does, and counts to the raw row
    of that one: who wrote a message is somebody, although that message was taken back.
    """

    def is_of_a_fact(name: str) -> bool:
        parent = old[name]["parent"]
        main = old.get(parent)
        is_beside = name != parent and old[name]["kind"] in PARTY_KINDS
        return is_beside and not (main and main["kind"] in PARTY_KINDS)

    beside = {name for name in lost if is_of_a_fact(name)}
    _close(conn, [name for name in lost if name not in beside])
    adopted: dict[str, str] = {}
    for chunk in bulk.chunks(sorted(beside)):
        named = (
            select(ref.c.target, func.min(record.c.parent).label("parent"))
            .join(record, record.c.ref == ref.c.source)
            .where(bulk.among(ref.c.target, chunk), record.c.deleted_at.is_(None))
            .where(record.c.kind.not_in(PARTY_KINDS))
            .group_by(ref.c.target)
        )
        adopted.update((row.target, row.parent) for row in conn.execute(named))
    if adopted:
        change = update(record).where(record.c.ref == bindparam("name"))
        rows = [{"name": name, "to": to} for name, to in sorted(adopted.items())]
        conn.execute(change.values(parent=bindparam("to")), rows)
    _close(conn, [name for name in lost if name in beside and name not in adopted])
    return [name for name in lost if name not in adopted]


def _close(conn: Connection, names: Sequence[str]) -> None:
    for chunk in bulk.chunks(names):
        gone = update(record).where(bulk.among(record.c.ref, chunk))
        conn.execute(gone.values(deleted_at=leases.now(), is_open=False))


def _settle_parties(
    conn: Connection,
    now_of: Mapping[str, Place],
    arrived: Iterable[str],
    sums: tallies.Changes,
    at_hand: Mapping[str, Record] = MappingProxyType({}),
) -> tuple[set[str], set[str]]:
    """Hand parties on along references until nothing moves.

    Args:
        now_of: the party of each record written or closed, and its raw row.
        arrived: those of them that others may have been waiting for, or may now lack.
        sums: told of what moves.
        at_hand: records that this transaction wrote.

    Returns:
        The parties some of whose facts changed, and those that own some of these facts.
    """
    touched = {party for party, _ in now_of.values() if party}
    owning = {party for name, (party, _) in now_of.items() if party and party != name}
    _note_seen(conn, now_of)
    dirty = {name for name, (party, _) in now_of.items() if party != name}
    dirty |= _referrers(conn, arrived)
    for _ in range(HOPS_MAX):
        now_of = _parties(conn, dirty)
        wanted = _wanted(conn, dirty)
        moved = {n: wanted.get(n) for n, (party, _) in now_of.items() if wanted.get(n) != party}
        if not moved:
            break
        touched |= {p for n, new in moved.items() for p in (now_of[n][0], new) if p}
        owning |= {new for new in moved.values() if new}
        _sum_moved(conn, sums, moved, now_of, at_hand)
        _move(conn, moved)
        _note_seen(conn, {n: (new, now_of[n][1]) for n, new in moved.items()})
        dirty = _referrers(conn, moved)
    return touched, owning


def _sum_moved(
    conn: Connection,
    sums: tallies.Changes,
    moved: Mapping[str, str | None],
    now_of: Mapping[str, Place],
    at_hand: Mapping[str, Record],
) -> None:
    others = _held(conn, moved.keys() - at_hand.keys())
    for name, new in moved.items():
        if name in at_hand:
            sums.move(now_of[name][0], new, at_hand[name])
        elif name in others and others[name]["deleted_at"] is None:
            sums.move(others[name]["party"], new, _record(others[name]))


def unsettled(conn: Connection, names: Iterable[str] | None = None, limit: int = 1000) -> list[str]:
    """Facts without a party although one they refer to has one.

    Looked for among these records and those that refer to them; among all when None.
    """
    target = record.alias("target")
    query = (
        select(record.c.ref)
        .distinct()
        .join(ref, ref.c.source == record.c.ref)
        .join(target, target.c.ref == ref.c.target)
        .where(record.c.party.is_(None), record.c.deleted_at.is_(None), ref.c.rank.is_not(None))
        .where(target.c.party.is_not(None), target.c.deleted_at.is_(None))
        .limit(limit)
    )
    if names is None:
        return list(conn.execute(query).scalars())
    found: set[str] = set()
    for chunk in bulk.chunks(names):
        for name in (record.c.ref, ref.c.target):  # each by its index; an OR of both would scan
            found.update(conn.execute(query.where(bulk.among(name, chunk))).scalars())
    return sorted(found)


def settle(conn: Connection, names: Sequence[str]) -> set[str]:
    """Find the party of these records anew; the parties whose facts changed."""
    sums = tallies.Changes()
    touched, _ = _settle_parties(conn, _parties(conn, names), [], sums)
    sums.save(conn)
    return touched


def _parties(conn: Connection, names: Iterable[str]) -> dict[str, Place]:
    found: dict[str, Place] = {}
    for chunk in bulk.chunks(names):
        rows = conn.execute(
            select(record.c.ref, record.c.party, record.c.parent).where(
                bulk.among(record.c.ref, chunk)
            )
        )
        found.update({row.ref: (row.party, row.parent) for row in rows})
    return found


def _wanted(conn: Connection, names: Iterable[str]) -> dict[str, str]:
    """The party of the best reference that has one, by record."""
    found: dict[str, str] = {}
    for chunk in bulk.chunks(names):
        rows = conn.execute(
            select(ref.c.source, record.c.party)
            .join(record, record.c.ref == ref.c.target)
            .where(bulk.among(ref.c.source, chunk), ref.c.rank.is_not(None))
            .where(record.c.party.is_not(None), record.c.deleted_at.is_(None))
            .order_by(ref.c.source, ref.c.rank.desc())
            .with_for_update(read=True, of=record)  # a target that is being moved is waited for
        )
        found.update({row.source: row.party for row in rows})
    return found


def _referrers(conn: Connection, names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for chunk in bulk.chunks(names):
        rows = conn.execute(
            select(ref.c.source).where(bulk.among(ref.c.target, chunk), ref.c.rank.is_not(None))
        )
        found.update(rows.scalars())
    return found


def _move(conn: Connection, moved: Mapping[str, str | None]) -> None:
    change = update(record).where(record.c.ref == bindparam("name")).values(party=bindparam("to"))
    conn.execute(change, [{"name": name, "to": to} for name, to in sorted(moved.items())])


def _note_seen(conn: Connection, parties: Mapping[str, Place]) -> None:
    rows = {(party, parent) for party, parent in parties.values() if party}
    note_seen(conn, "raw", rows)


def note_seen(conn: Connection, place: str, rows: Iterable[tuple[str, str]]) -> None:
    """Remember that a row of a table holds bytes about a party."""
    notes = [{"party": party, "place": place, "row": row} for party, row in sorted(set(rows))]
    bulk.insert_new(conn, seen, notes)


def note_mapping(conn: Connection, version: str, name: str, text: str) -> None:
    """Keep the text of a mapping for as long as records remember its version."""
    row = {"version": version, "name": name, "text": text, "first_used_at": leases.now()}
    bulk.insert_new(conn, mapping, [row])


def version(conn: Connection, name: str) -> str:
    """The raw version the hub holds of a record; "" when it holds none."""
    return conn.execute(select(raw.c.version).where(raw.c.ref == name)).scalar() or ""


def names(conn: Connection, stream: str, after: str, limit: int) -> list[str]:
    """Records of a connection/stream, by name, that come after one of them."""
    query = select(record.c.ref).where(
        record.c.ref >= f"{stream}/", record.c.ref < f"{stream}0", record.c.ref > after
    )
    return list(conn.execute(query.order_by(record.c.ref).limit(limit)).scalars())


def parties_of(conn: Connection, names: Iterable[str]) -> dict[str, str]:
    """Record → the party record it belongs to, where known."""
    return {name: party for name, (party, _) in _parties(conn, names).items() if party}


def load(conn: Connection, refs: Iterable[str]) -> dict[str, Record]:
    """Canonical records by ref; those not there, or gone, are left out."""
    found: dict[str, Record] = {}
    for chunk in bulk.chunks(refs):
        rows = conn.execute(
            select(record.c.ref, record.c.kind, record.c.document).where(
                bulk.among(record.c.ref, chunk), record.c.deleted_at.is_(None)
            )
        )
        for row in rows:
            found[row.ref] = KINDS[row.kind].model_validate_json(row.document)
    return found
