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
from hub.identity import matching
from hub.identity.matching import Change
from hub.identity.resolve import Evidence, Resolution, assign, evidence_of, part_of
from hub.identity.traits import name_of, ref_of
from hub.mapping import to_canonical
from hub.models import Party, is_short
from hub.pipeline import align
from hub.profiles.build import Document, Held, Material, document
from hub.profiles.summary import summary
from hub.profiles.traits import since
from hub.profiles.view import brief
from hub.registry import Hub, Live
from hub.rules.decide import Seen, decide
from hub.sdk import Deleted, Raw, Row
from hub.store import (
    card_tokens,
    customers,
    evidence,
    kept,
    leases,
    news,
    outbox,
    profiles,
    quarantine,
    records,
    reviews,
)
from hub.store import weights as stored_weights
from hub.store.db import identity_lock
from hub.store.quarantine import Fault
from hub.store.records import Cut, Incoming, Known, Saved

log = logging.getLogger(__name__)

BATCH_MAX = 1000

NOWHERE = b""
"""What a part was laid over that is yet to be laid: the hash of nothing."""

DEPTH_MAX = 100
"""How deep a row may be nested: pydantic reads no stored document of 200."""


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
    """A row after the mapping: what to store, and the records cut from it (None: it is gone).

    Attributes:
        part: the row as it came, where it tells only a part of its record.
        base: hash of what that was laid over; None = nothing was stored.
    """

    incoming: Incoming
    cut: Cut | None
    inbox_id: int | None
    part: Arrived | None = None
    base: bytes | None = None


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
    told: bool | None = None,
    ready: Ready | None = None,
) -> None:
    """Apply one batch and what ends it, in one transaction; safe to run twice.

    Args:
        finish: marks the source of the batch as done, in the same transaction.
        begin: runs first in the transaction, and in each part when a large batch is split: it
            holds the lease, so that nothing is written without it.
        quiet: rules stay silent, as for the first load of a stream.
        told: whether subscribers hear of it; unless given, when rules do.
        ready: what ``prepare`` made of these rows ahead of their turn.

    Raises:
        StoreError: nothing was written, or the first part of the batch only.
    """
    if ready is None or not _still_same(hub, ready):
        ready = prepare(hub, live, arrived)
    rows, faults, _ = ready
    rules = () if quiet else hub.rules
    told = not quiet if told is None else told
    loading = quiet and not told

    def story(conn: Connection) -> list[str]:
        if any(_touches_parties(row) for row in rows):
            identity_lock(conn)
        begin(conn)
        late: list[Fault] = []
        waves = [_apply(conn, live, wave, late) for wave in _waves(rows)]
        saved = records.together(waves)
        # Once for all waves: one order of locks.
        found = follow(conn, hub, live, saved, told=told, loading=loading)
        later = align.suspects(conn, saved) if rules or hub.syncs else frozenset()
        if rules:
            _obey(conn, hub, waves, later)
        align.defer(conn, later, quiet=quiet)
        align.align(conn, hub, {*saved.records, *saved.parties}, found)
        finish(conn)
        # Last: a replayed row that fails again is held again.
        quarantine.save(conn, [*faults, *late])
        return list(saved.records)

    try:
        written = hub.database.run(story)
    except ContentionError:
        if len(arrived) < 2:
            raise
        middle = len(arrived) // 2
        absorb(hub, live, arrived[:middle], begin=begin, quiet=quiet, told=told)
        absorb(hub, live, arrived[middle:], finish, begin=begin, quiet=quiet, told=told)
        return
    facts = {"connection": live.name, "rows": len(arrived), "changed": len(written)}
    log.info("batch absorbed", extra=facts)
    if not hub.database.is_sqlite:
        settle_late(hub, written, told=told, loading=loading)


def settle_late(
    hub: Hub, names: Sequence[str], *, told: bool = True, loading: bool = False
) -> None:
    """Find the party of facts whose target was committed beside us, unseen by either.

    Whoever commits last sees both, so each looks once after its commit; the sweep looks again for
    one who was killed in between. On SQLite there is one writer and nothing to miss.
    """
    with hub.database.read() as conn:
        missed = records.unsettled(conn, names)
    if missed:
        hub.database.run(
            lambda conn: rebuild(
                conn, hub, (), records.settle(conn, missed), told=told, loading=loading
            )
        )


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


def _apply(conn: Connection, live: Live, wave: Sequence[Prepared], faults: list[Fault]) -> Saved:
    """Store what is news among these rows, and the records cut from it."""
    stored = records.known(conn, (row.incoming.ref for row in wave), lock=True)
    wave = _laid_anew(conn, live, wave, stored, faults)
    fresh = sorted((r for r in wave if _is_news(r.incoming, stored)), key=lambda r: r.incoming.ref)
    if not fresh:
        return records.together([])
    records.save_raw(conn, [row.incoming for row in fresh], stored)
    cuts = [row.cut for row in fresh if row.cut is not None]
    saved = records.save(conn, cuts, [row.incoming.ref for row in fresh if row.cut is None])
    _note_events(conn, fresh, saved)
    _note_mappings(conn, live, cuts)
    return saved


def _laid_anew(
    conn: Connection,
    live: Live,
    wave: Sequence[Prepared],
    stored: Mapping[str, Known],
    faults: list[Fault],
) -> list[Prepared]:
    """The rows; a part whose record was written meanwhile is laid over what stands there now."""
    moved = {r.incoming.ref for r in wave if r.part and r.base != _hash(stored, r.incoming.ref)}
    texts = records.payloads(conn, moved) if moved else {}
    rows: list[Prepared] = []
    for row in wave:
        if row.part is None or row.incoming.ref not in moved:
            rows.append(row)
            continue
        try:
            rows.append(_laid(live, row.part, row.incoming.ref, stored, texts))
        except MappingError as exc:
            faults.append(_fault(live, row.part, exc))
    return rows


def _laid(
    live: Live, part: Arrived, ref: str, stored: Mapping[str, Known], texts: Mapping[str, str]
) -> Prepared:
    """A part laid over what is stored; one seen earlier than that only fills its gaps.

    Raises:
        MappingError: together they cannot be read.
    """
    told = part.row.raw if isinstance(part.row, Row) else {}
    told = {name: value for name, value in told.items() if value is not None}
    had = orjson.loads(texts.get(ref, "null")) or {}
    known = stored.get(ref)
    is_late = known is not None and part.seen_at < known.seen_at
    seen_at = known.seen_at if known is not None and is_late else part.seen_at
    whole = Row(part.row.stream, {**told, **had} if is_late else {**had, **told})
    arrived = Arrived(whole, seen_at, part.inbox_id)
    row = _incoming(live, arrived)
    cut = _cut(live, row.ref, arrived) if row.payload else None
    return Prepared(row, cut, part.inbox_id, part, _hash(stored, ref))


def _laid_early(
    live: Live,
    part: Arrived,
    row: Incoming,
    stored: Mapping[str, Known],
    texts: Mapping[str, str],
) -> Prepared:
    """As ``_laid``; what cannot be read yet may be once its neighbours are stored: it waits."""
    try:
        return _laid(live, part, row.ref, stored, texts)
    except MappingError:
        return Prepared(row, None, part.inbox_id, part, NOWHERE)


def _hash(stored: Mapping[str, Known], ref: str) -> bytes | None:
    return stored[ref].hash if ref in stored else None


def _is_part(live: Live, a: Arrived) -> bool:
    spec = live.mappings.get(a.row.stream)
    return isinstance(a.row, Row) and spec is not None and spec.partial


def follow(
    conn: Connection,
    hub: Hub,
    live: Live,
    saved: Saved,
    *,
    told: bool = True,
    loading: bool = False,
) -> Resolution:
    """What saved records mean for customers, their profiles, and those who are told of it."""
    found = resolve(conn, live, saved)
    fresh = _fresh(saved, found)
    parties = saved.touched.difference(h.source.ref for held in fresh.values() for h in held)
    rebuild(conn, hub, found.touched, parties, fresh, cause=live.name, told=told, loading=loading)
    if told:
        news.of_records(conn, saved, live.name)
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
        texts = records.payloads(conn, {row.ref for row, a in incoming if _is_part(live, a)})
    copies = Counter(row.ref for row, _ in incoming)
    rows: list[Prepared] = []
    same: list[Incoming] = []
    for row, a in incoming:
        try:
            laid = _laid_early(live, a, row, stored, texts) if _is_part(live, a) else None
            told = laid.incoming if laid else row
            if copies[row.ref] == 1 and not _is_news(told, stored):
                same.append(told)
                continue
            cut = _cut(live, row.ref, a) if row.payload and not laid else None
            rows.append(laid or Prepared(row, cut, a.inbox_id))
        except MappingError as exc:
            faults.append(_fault(live, a, exc))
    return Ready(rows, faults, same)


def _incoming(live: Live, a: Arrived) -> Incoming:
    found = _named(live, a)
    id_ = found.ref.split("/", 2)[2]
    if not is_plain(found.ref + found.version) or not is_short(id_):
        raise MappingError("the row's name cannot be stored", path="")
    return found


def is_plain(text: str) -> bool:
    """Whether both databases can hold it as text."""
    try:
        return b"\x00" not in text.encode()
    except UnicodeEncodeError:  # half a character
        return False


def _named(live: Live, a: Arrived) -> Incoming:
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
    if payload.count(b"[") + payload.count(b"{") > DEPTH_MAX and not _is_shallow(raw, DEPTH_MAX):
        raise MappingError("the row is nested too deeply", path="$")
    return payload


def _is_shallow(value: object, most: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return most > 0 and all(_is_shallow(item, most - 1) for item in inner)


def _cut(live: Live, ref: str, a: Arrived) -> Cut | None:
    if isinstance(a.row, Deleted):
        return None
    spec = live.mappings[a.row.stream]
    made = to_canonical(spec, a.row.raw, connection=live.name)
    return Cut(ref, spec.version, made, a.seen_at)


def _fault(live: Live, a: Arrived, exc: MappingError) -> Fault:
    spec = live.mappings.get(a.row.stream)
    log.warning(
        "row quarantined",
        extra={"connection": live.name, "stream": a.row.stream, "path": exc.path},
    )
    version = spec.version if spec else ""
    return Fault(live.name, a.row.stream, _kept(a.row), exc.path, str(exc), version, a.inbox_id)


def _kept(row: Row | Deleted) -> bytes:
    """The row as it can be kept, whatever is wrong with it."""
    try:
        body = json.dumps(row.raw) if isinstance(row, Row) else str(row.id)
    except (TypeError, ValueError, RecursionError):  # the event's own bytes are in the inbox
        body = "null"
    return body.encode("utf-8", "replace")


def resolve(conn: Connection, live: Live, saved: Saved) -> Resolution:
    """Decide whose the changed party records are."""
    gone = saved.parties - saved.records.keys()
    parties = (saved.records[name] for name in saved.parties - gone)
    told = {str(p.ref): evidence_of(p, live.region) for p in parties if isinstance(p, Party)}
    old = told.keys() - saved.new
    stored = evidence.known(conn, old)
    linked = customers.links(conn, old)
    changed = [e for name, e in told.items() if e != stored.get(name) or name not in linked]
    found = Resolution()
    if changed or gone:
        found = _settle(conn, changed, gone, saved.new, actor=f"hub:{live.name}")
    found.touched.update(linked.values())
    return found


def settle(
    conn: Connection, changed: Sequence[Evidence], gone: Collection[str], *, actor: str
) -> Resolution:
    """Decide anew for everybody the changed evidence may concern."""
    return _settle(conn, changed, gone, (), actor=actor)


def _settle(
    conn: Connection,
    changed: Sequence[Evidence],
    gone: Collection[str],
    new: Collection[str],
    *,
    actor: str,
) -> Resolution:
    """As ``settle``; of those that are ``new`` nothing is stored."""
    names = {e.ref for e in changed}
    before = evidence.stored(conn, names.difference(new).union(gone))
    changes = [Change(ref_of(e.ref), before.get(e.ref), e.traits) for e in changed]
    changes += [Change(ref_of(name), before.get(name), None) for name in gone]
    weights = stored_weights.current(conn)
    index = evidence.Holders(conn, changes, new)
    settled = matching.settle(index, changes, weights)
    parts = [part_of(group) for group in settled.groups]
    old = {ref for part in parts for ref in part.refs}.difference(new)
    claims = frozenset(map(name_of, settled.claims))
    found = assign(parts, index.links, claims=claims, crowded=index.crowded())
    evidence.save(conn, changed, changes, new)
    customers.apply(conn, found, gone, actor, weights.version)
    reviews.save(conn, old.union(gone), settled.doubts, weights.version)
    return found


def rebuild(
    conn: Connection,
    hub: Hub,
    ids: Iterable[str],
    parties: Collection[str] = (),
    fresh: Mapping[str, list[Held]] = MappingProxyType({}),
    *,
    cause: str = "",
    told: bool = True,
    loading: bool = False,
) -> None:
    """Build the profiles of these customers, and of those who own the parties, anew.

    They are locked first: two builds of one profile must not each miss the other's facts. A party
    may be handed over while we wait for the lock, so who owns it is asked again.

    Args:
        fresh: all there is about customers this transaction made; nobody else can see them.
        cause: the connection whose records led to it.
        told: whether subscribers hear of it.
        loading: a first load is under way, and profiles are not whole yet.
    """
    locked: set[str] = set()
    wanted = set(ids).difference(fresh) | customers.customers_of(conn, parties)
    while not wanted <= locked:
        customers.lock(conn, wanted)
        locked |= wanted
        wanted = customers.customers_of(conn, parties)
    if not locked and not fresh:
        return
    now, manner = leases.now(), hub.manner
    found = profiles.material(conn, locked, since(hub.catalogue, now))
    found |= {id_: Material(held) for id_, held in fresh.items()}
    built, gone = [], []
    for id_, material in found.items():
        profile = document(id_, material, manner, now)
        if profile is None:
            gone.append(id_)
        else:
            built.append(profile)
    profiles.save(conn, built, gone, new=fresh, cause=cause, told=told, loading=loading)


def react(conn: Connection, hub: Hub, refs: Sequence[str], *, quiet: bool) -> None:
    """What rules and syncs make of records that were new when nobody could say whose they are."""
    if not quiet:
        found = records.load(conn, refs)
        saved = Saved(records=found, before={}, parties=frozenset(), touched=frozenset())
        owners = records.parties_of(conn, refs).values()
        customers.lock(conn, customers.customers_of(conn, owners))  # of two, one sees the other
        _obey(conn, hub, [saved])
    align.align(conn, hub, refs)


def _obey(conn: Connection, hub: Hub, waves: Sequence[Saved], later: Collection[str] = ()) -> None:
    """Queue what the rules want done about these records, but those put off for ``later``."""
    kinds = {rule.kind for rule in hub.rules}
    seen = [change for wave in waves for change in seen_by_rules(conn, hub, wave, kinds)]
    seen = [change for change in seen if change.ref not in later]
    outbox.enqueue(conn, kept.aim(conn, decide(hub.rules, seen)))


def _known(hub: Hub, stored: Document, now: datetime) -> Document:
    """What rules may ask and tell of a customer."""
    told = brief(stored, hub.catalogue, now)
    told["summary"] = summary(stored, hub.settings.language)
    told["card_url"] = card_tokens.card_url(hub.settings, stored["id"])
    return told


def seen_by_rules(conn: Connection, hub: Hub, saved: Saved, kinds: set[str]) -> list[Seen]:
    """What the rules look at: only the kinds they speak of."""
    of_interest = {name: r for name, r in saved.records.items() if r.kind in kinds}
    copies = outbox.copies(conn, list(of_interest))
    parties = records.parties_of(conn, of_interest)
    owners = customers.links(conn, parties.values())
    stored = profiles.documents(conn, owners.values())
    now = leases.now()
    known = {id_: _known(hub, one, now) for id_, one in stored.items()}
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
