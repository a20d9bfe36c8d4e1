"""The waist every raw row passes, whether pushed or pulled.

raw → unchanged? → mapping → record → whose? → profile → rules → deliveries, in one transaction.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

import orjson
from sqlalchemy import Connection

from hub.errors import ContentionError, MappingError
from hub.identity.resolve import Evidence, Resolution, assign, evidence_of, partition
from hub.mapping import to_canonical
from hub.models import Party
from hub.pipeline import align
from hub.profiles.build import Held, document
from hub.registry import Hub, Live
from hub.rules.decide import Seen, decide
from hub.sdk import Deleted, Raw, Row
from hub.store import customers, leases, outbox, profiles, quarantine, records
from hub.store.db import identity_lock
from hub.store.quarantine import Fault
from hub.store.records import Cut, Incoming, Known, Saved

log = logging.getLogger(__name__)

BATCH_MAX = 1000


class Arrived(NamedTuple):
    """One raw row, or word of its end, on its way in.

    Attributes:
        seen_at: when it was received, or when fetching it began.
        inbox_id: the event it came with; None for a pull.
    """

    row: Row | Deleted
    seen_at: datetime
    inbox_id: int | None = None


class Prepared(NamedTuple):
    """A row after the mapping: what to store, and the records cut from it (None: it is gone)."""

    incoming: Incoming
    cut: Cut | None
    inbox_id: int | None


class Ready(NamedTuple):
    """A batch as far as it can be worked on before its transaction.

    Attributes:
        rows: what was news when we looked.
        same: what was stored just so, or newer.
    """

    rows: list[Prepared]
    faults: list[Fault]
    same: list[Incoming]


def _nothing(_: Connection) -> None:
    pass


def absorb(
    hub: Hub,
    live: Live,
    arrived: Sequence[Arrived],
    finish: Callable[[Connection], None] = _nothing,
    *,
    begin: Callable[[Connection], None] = _nothing,
    quiet: bool = False,
    ready: Ready | None = None,
) -> None:
    """Apply one batch and what ends it, in one transaction; safe to run twice.

    Args:
        finish: marks the source of the batch as done, in the same transaction.
        begin: runs first in the transaction, and in each part when a large batch is split: it
            holds the lease, so that nothing is written without it.
        quiet: rules stay silent, as for the first load of a stream.
        ready: what ``prepare`` made of these rows ahead of their turn.

    Raises:
        StoreError: nothing was written, or the first part of the batch only.
    """
    if ready is None or not _still_same(hub, ready):
        ready = prepare(hub, live, arrived)
    rows, faults, _ = ready
    rules = () if quiet else hub.rules

    def story(conn: Connection) -> list[str]:
        if any(_touches_parties(row) for row in rows):
            identity_lock(conn)
        begin(conn)
        waves = [_apply(conn, live, wave) for wave in _waves(rows)]
        saved = records.together(waves)
        found = follow(conn, hub, live, saved)  # once for all waves: one order of locks
        later = align.suspects(conn, saved) if rules or hub.syncs else frozenset()
        if rules:
            kinds = {rule.kind for rule in rules}
            seen = [change for wave in waves for change in seen_by_rules(conn, wave, kinds)]
            seen = [change for change in seen if change.ref not in later]
            outbox.enqueue(conn, decide(rules, seen))
        align.defer(conn, later, quiet=quiet)
        align.align(conn, hub, {*saved.records, *saved.parties}, found)
        finish(conn)
        quarantine.save(conn, faults)  # last: a replayed row that fails again is held again
        return list(saved.records)

    try:
        written = hub.database.run(story)
    except ContentionError:
        if len(arrived) < 2:
            raise
        middle = len(arrived) // 2
        absorb(hub, live, arrived[:middle], begin=begin, quiet=quiet)
        absorb(hub, live, arrived[middle:], finish, begin=begin, quiet=quiet)
        return
    facts = {"connection": live.name, "rows": len(arrived), "changed": len(written)}
    log.info("batch absorbed", extra=facts)
    if not hub.database.is_sqlite:
        settle_late(hub, written)


def settle_late(hub: Hub, names: Sequence[str]) -> None:
    """Find the party of facts whose target was committed beside us, unseen by either.

    Whoever commits last sees both, so each looks once after its commit; the sweep looks again for
    one who was killed in between. On SQLite there is one writer and nothing to miss.
    """
    with hub.database.read() as conn:
        missed = records.unsettled(conn, names)
    if missed:
        hub.database.run(lambda conn: rebuild(conn, hub, (), records.settle(conn, missed)))


def _touches_parties(row: Prepared) -> bool:
    return row.cut is None or any(isinstance(r, Party) for r in row.cut.records)


def _waves(rows: Sequence[Prepared]) -> Iterator[list[Prepared]]:
    """The rows so that no wave holds a record twice and each record keeps its order."""
    waves: list[list[Prepared]] = []
    depth: Counter[str] = Counter()
    for row in rows:
        n = depth[row.incoming.ref]
        depth[row.incoming.ref] += 1
        if n == len(waves):
            waves.append([])
        waves[n].append(row)
    return iter(waves)


def _apply(conn: Connection, live: Live, wave: Sequence[Prepared]) -> Saved:
    """Store what is news among these rows, and the records cut from it."""
    stored = records.known(conn, (row.incoming.ref for row in wave), lock=True)
    fresh = sorted((r for r in wave if _is_news(r.incoming, stored)), key=lambda r: r.incoming.ref)
    if not fresh:
        return records.together([])
    records.save_raw(conn, [row.incoming for row in fresh], stored)
    cuts = [row.cut for row in fresh if row.cut is not None]
    saved = records.save(conn, cuts, [row.incoming.ref for row in fresh if row.cut is None])
    _note_events(conn, fresh, saved)
    _note_mappings(conn, live, cuts)
    return saved


def follow(conn: Connection, hub: Hub, live: Live, saved: Saved) -> Resolution:
    """What saved records mean for customers and their profiles."""
    found = resolve(conn, live, saved)
    fresh = _fresh(saved, found)
    parties = saved.touched.difference(h.source.ref for held in fresh.values() for h in held)
    rebuild(conn, hub, found.touched, parties, fresh)
    return found


def _fresh(saved: Saved, found: Resolution) -> dict[str, list[Held]]:
    """The records of customers made just now who have nothing but new party records.

    Nobody else can know of such a customer yet, and all there is to show is at hand.
    """
    made: dict[str, list[str]] = {id_: [] for id_ in found.created}
    for ref, id_ in found.links.items():
        if id_ in made:
            made[id_].append(ref)
    alone = saved.new & saved.parties - saved.owning
    known = {ref: held for ref in alone if (held := _held(saved, ref))}
    return {
        id_: [known[ref] for ref in refs] for id_, refs in made.items() if known.keys() >= set(refs)
    }


def _held(saved: Saved, ref: str) -> Held | None:
    cut, record = saved.cuts.get(ref), saved.records.get(ref)
    if cut is None or cut.seen_at is None or record is None:
        return None
    return profiles.held(record, cut.mapping_version, cut.seen_at)


def _is_news(row: Incoming, stored: Mapping[str, Known]) -> bool:
    return row.ref not in stored or stored[row.ref].yields_to(row)


def _still_same(hub: Hub, ready: Ready) -> bool:
    """Whether rows that were left out as known still may be: others have written meanwhile."""
    with hub.database.read() as conn:
        stored = records.known(conn, (row.ref for row in ready.same))
    return not any(_is_news(row, stored) for row in ready.same)


def prepare(hub: Hub, live: Live, arrived: Sequence[Arrived]) -> Ready:
    """Hash and map the rows; unchanged ones are left out before any mapping or validation."""
    faults: list[Fault] = []
    incoming: list[tuple[Incoming, Arrived]] = []
    for a in arrived:
        try:
            incoming.append((_incoming(live, a), a))
        except MappingError as exc:
            faults.append(_fault(live, a, exc))
    with hub.database.read() as conn:
        stored = records.known(conn, (row.ref for row, _ in incoming))
    copies = Counter(row.ref for row, _ in incoming)
    rows: list[Prepared] = []
    same: list[Incoming] = []
    for row, a in incoming:
        if copies[row.ref] == 1 and not _is_news(row, stored):
            same.append(row)
            continue
        try:
            cut = _cut(live, row.ref, a) if row.payload else None
            rows.append(Prepared(row, cut, a.inbox_id))
        except MappingError as exc:
            faults.append(_fault(live, a, exc))
    return Ready(rows, faults, same)


def _incoming(live: Live, a: Arrived) -> Incoming:
    if isinstance(a.row, Deleted):
        return Incoming(f"{live.name}/{a.row.stream}/{a.row.id}", None, "", a.seen_at, a.inbox_id)
    spec = live.mappings.get(a.row.stream)
    if spec is None:
        raise MappingError(f"there is no mapping for the stream {a.row.stream}", path="")
    ref = f"{live.name}/{a.row.stream}/{spec.external_id(a.row.raw)}"
    payload = None if spec.is_gone(a.row.raw) else _payload(a.row.raw)
    return Incoming(ref, payload, spec.raw_version(a.row.raw), a.seen_at, a.inbox_id)


def _payload(raw: Raw) -> bytes:
    """The row as JSON; what JSON or a database cannot hold is a fault of this row alone."""
    try:
        payload = orjson.dumps(raw, option=orjson.OPT_SORT_KEYS)
    except (TypeError, ValueError, RecursionError) as exc:
        raise MappingError("the row holds a value that cannot be stored", path="$") from exc
    if b"\\u0000" in payload:
        raise MappingError("the row holds a NUL character", path="$")
    return payload


def _cut(live: Live, ref: str, a: Arrived) -> Cut | None:
    if isinstance(a.row, Deleted):
        return None
    spec = live.mappings[a.row.stream]
    made = to_canonical(spec, a.row.raw, connection=live.name)
    return Cut(ref, spec.version, made, a.seen_at)


def _fault(live: Live, a: Arrived, exc: MappingError) -> Fault:
    body = json.dumps(a.row.raw).encode() if isinstance(a.row, Row) else a.row.id.encode()
    spec = live.mappings.get(a.row.stream)
    log.warning(
        "row quarantined",
        extra={"connection": live.name, "stream": a.row.stream, "path": exc.path},
    )
    version = spec.version if spec else ""
    return Fault(live.name, a.row.stream, body, exc.path, str(exc), version, a.inbox_id)


def resolve(conn: Connection, live: Live, saved: Saved) -> Resolution:
    """Decide whose the changed party records are."""
    gone = saved.parties - saved.records.keys()
    parties = (saved.records[name] for name in saved.parties - gone)
    told = {str(p.ref): evidence_of(p, live.region) for p in parties if isinstance(p, Party)}
    known = told.keys() - saved.new
    stored = customers.evidence(conn, known)
    linked = customers.links(conn, known)
    changed = [e for name, e in told.items() if e != stored.get(name) or name not in linked]
    found = Resolution()
    if changed or gone:
        found = _settle(conn, changed, gone, saved.new, actor=f"hub:{live.name}")
    found.touched.update(linked.values())
    return found


def settle(
    conn: Connection, changed: Sequence[Evidence], gone: Iterable[str], *, actor: str
) -> set[str]:
    """Decide anew for everybody the changed evidence may concern; the customers touched."""
    return _settle(conn, changed, gone, (), actor=actor).touched


def _settle(
    conn: Connection,
    changed: Sequence[Evidence],
    gone: Iterable[str],
    new: Collection[str],
    *,
    actor: str,
) -> Resolution:
    changed_refs = {item.ref for item in changed}
    before = customers.forget_evidence(conn, changed_refs.difference(new).union(gone))
    circle = customers.circle(conn, changed, gone, before, new)
    parts = partition(circle.values(), customers.verdicts(conn, circle))
    found = assign(parts, customers.links(conn, circle.keys() - changed_refs.intersection(new)))
    customers.save_evidence(conn, changed)
    customers.apply(conn, found, gone, actor)
    return found


def rebuild(
    conn: Connection,
    hub: Hub,
    ids: Iterable[str],
    parties: Collection[str] = (),
    fresh: Mapping[str, list[Held]] = MappingProxyType({}),
) -> None:
    """Build the profiles of these customers, and of those who own the parties, anew.

    They are locked first: two builds of one profile must not each miss the other's facts. A party
    may be handed over while we wait for the lock, so who owns it is asked again.

    Args:
        fresh: all there is about customers this transaction made; nobody else can see them.
    """
    locked: set[str] = set()
    wanted = set(ids).difference(fresh) | customers.customers_of(conn, parties)
    while not wanted <= locked:
        customers.lock(conn, wanted)
        locked |= wanted
        wanted = customers.customers_of(conn, parties)
    if not locked and not fresh:
        return
    now = leases.now()
    regions = {name: live.region for name, live in hub.registry.all().items()}
    priority = hub.settings.source_priority
    built, gone = [], []
    for id_, held in {**profiles.material(conn, locked), **fresh}.items():
        profile = document(id_, held, priority=priority, regions=regions, now=now)
        if profile is None:
            gone.append(id_)
        else:
            built.append(profile)
    profiles.save(conn, built, gone)


def react(conn: Connection, hub: Hub, refs: Sequence[str], *, quiet: bool) -> None:
    """What rules and syncs make of records that were new when nobody could say whose they are."""
    if not quiet:
        found = records.load(conn, refs)
        saved = Saved(records=found, before={}, parties=frozenset(), touched=frozenset())
        kinds = {rule.kind for rule in hub.rules}
        outbox.enqueue(conn, decide(hub.rules, seen_by_rules(conn, saved, kinds)))
    align.align(conn, hub, refs)


def seen_by_rules(conn: Connection, saved: Saved, kinds: set[str]) -> list[Seen]:
    """What the rules look at: only the kinds they speak of."""
    of_interest = {name: r for name, r in saved.records.items() if r.kind in kinds}
    copies = outbox.copies(conn, list(of_interest))
    parties = records.parties_of(conn, of_interest)
    owners = customers.links(conn, parties.values())
    known = profiles.brief(conn, owners.values())
    return [
        Seen(
            ref=name,
            kind=r.kind,
            change=uuid.uuid4().hex,
            after=r.model_dump(mode="json"),
            before=saved.before.get(name),
            party=parties.get(name),
            origin=copies.get(name),
            customer=known.get(owners.get(parties.get(name, ""), "")),
        )
        for name, r in of_interest.items()
    ]


def _note_mappings(conn: Connection, live: Live, cuts: Sequence[Cut]) -> None:
    used = {cut.mapping_version for cut in cuts}
    for spec in live.mappings.values():
        if spec.version in used:
            records.note_mapping(conn, spec.version, spec.source, spec.text)


def _note_events(conn: Connection, rows: Sequence[Prepared], saved: Saved) -> None:
    """Which parties an event spoke of, so that erasure finds its bytes."""
    told = [(row.cut, row.inbox_id) for row in rows if row.cut and row.inbox_id is not None]
    if not told:
        return
    parties = records.parties_of(conn, saved.records)
    named = ((parties.get(str(r.ref)), str(id_)) for cut, id_ in told for r in cut.records)
    records.note_seen(conn, "inbox", [(party, id_) for party, id_ in named if party])
