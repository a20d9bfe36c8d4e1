"""Copies kept alike: after every change, and once through everything when a sync begins."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from hashlib import blake2b
from typing import Any

import orjson
from sqlalchemy import Connection

from hub.errors import ConfigError
from hub.identity.resolve import Resolution
from hub.mapping import shared
from hub.pipeline.lane import Lane
from hub.registry import Hub, plan_of
from hub.rules.decide import Intent
from hub.store import alerts, checkpoints, customers, jobs, outbox, records, syncs
from hub.store.jobs import Job
from hub.store.outbox import Creation
from hub.store.records import Saved
from hub.store.syncs import Group
from hub.syncs.decide import Write, decide, resembles
from hub.syncs.spec import Plan, Sync

log = logging.getLogger(__name__)

BATCH_MAX = 200


def plan_named(hub: Hub, id_: str) -> Plan | None:
    """The plan of one sync; None when settings.toml has none of that name."""
    found = next((sync for sync in hub.syncs if sync.id == id_), None)
    return plan_of(found, hub.registry.get) if found else None


def active(conn: Connection, hub: Hub, streams: Iterable[str] | None = None) -> list[Plan]:
    """The plans of syncs whose streams were all loaded once, of those that hold these streams."""
    wanted = None if streams is None else set(streams)
    plans = []
    for sync in hub.syncs:
        if wanted is not None and not wanted.intersection(sync.streams):
            continue
        if checkpoints.all_loaded(conn, sync.streams):
            plans += _usable(conn, hub, sync)
    return plans


def _usable(conn: Connection, hub: Hub, sync: Sync) -> list[Plan]:
    """Its plan, or an alert: what arrives must not be held up by a sync that fits no more."""
    try:
        one = plan_of(sync, hub.registry.get)
    except ConfigError as exc:
        alerts.open_(conn, "sync", "", sync.id, str(exc), exc.hint)
        return []
    alerts.close(conn, "sync", "", sync.id)
    return [one]


def align(conn: Connection, hub: Hub, refs: Iterable[str], found: Resolution | None = None) -> None:
    """Decide anew on what these records, and the records of these customers, are copies of.

    And on records that name a customer who got another record: where they are copied to, it may
    have come now. All else they name is as it was, however many they are.
    """
    if not hub.syncs:
        return
    grown, ids = (found.links.values(), found.touched) if found else ((), ())
    names = [*refs, *syncs.naming(conn, set(grown))]
    touched = [f"{syncs.CUSTOMER}{id_}" for id_ in ids]
    plans = active(conn, hub, None if touched else {syncs.stream_of(name) for name in names})
    for one in plans:
        mine = [name for name in names if syncs.stream_of(name) in one.streams]
        align_subjects(conn, one, [*syncs.subjects(conn, mine).values(), *touched])


def align_subjects(conn: Connection, one: Plan, subjects: Iterable[str]) -> None:
    """Decide anew on these things, and queue the writes that lead everybody there."""
    wanted = sorted(set(subjects))
    syncs.lock(conn, one, wanted)
    intents: list[Intent] = []
    groups = syncs.load(conn, one, wanted)
    joining = [m.ref for g in groups for m in g.members if m.base is None and not m.gone]
    later = suspected(conn, joining)
    defer(conn, later, quiet=True)
    settled = [g for g in groups if g.members and later.isdisjoint(m.ref for m in g.members)]
    for group in settled:
        outcome = decide(one, group.members, group.values)
        if outcome.news or outcome.writes or outcome.bases or any(m.gone for m in group.members):
            revision = syncs.save(conn, one, group, outcome)
            intents += [_intent(one, group, write, revision) for write in outcome.writes]
    customers.note_copies(conn, _joined(settled))
    outbox.enqueue(conn, intents)
    streams = {m.ref: g.streams for g in settled for m in g.members}
    gone = {m.ref for g in settled for m in g.members if m.gone}
    outbox.close_moot(conn, one.id, streams, gone)


def _joined(groups: Iterable[Group]) -> dict[str, str]:
    """Party records that have just joined others, with one that was there before.

    From now on they are copies of one another: a new name of one must not part them.
    """
    found: dict[str, str] = {}
    for group in groups:
        alive = [m for m in group.members if not m.gone]
        if group.is_customer and len(alive) > 1:
            anchor = min(alive, key=lambda m: (m.base is None, m.ref)).ref
            found |= {m.ref: anchor for m in alive if m.base is None and m.ref != anchor}
    return found


def catch_up(conn: Connection, one: Plan, ref: str) -> None:
    """Decide on what the copies of a thing show, where that had to wait for the end of a write."""
    subject = syncs.subjects(conn, [ref]).get(ref)
    for group in syncs.load(conn, one, [subject] if subject else []):
        ready = (m for m in group.members if m.base is not None and not (m.gone or m.busy))
        if any(m.base != m.values for m in ready):
            align_subjects(conn, one, [group.subject])


def suspects(conn: Connection, saved: Saved) -> frozenset[str]:
    """New records that may be copies we are making now, seen before their makers' answer was."""
    return suspected(conn, [name for name in saved.records if name not in saved.before])


def suspected(conn: Connection, refs: Collection[str]) -> frozenset[str]:
    """Of these records those that may yet turn out to be copies of ours."""
    coming = outbox.creating(conn, (syncs.stream_of(name).split("/") for name in refs))
    if not coming:
        return frozenset()
    known = outbox.copies(conn, list(refs))
    found = records.load(conn, [name for name in refs if name not in known])
    return frozenset(
        name
        for name, record in found.items()
        if _may_be_ours(coming.get(syncs.stream_of(name), ()), record.model_dump(mode="json"))
    )


def defer(conn: Connection, refs: Collection[str], *, quiet: bool) -> None:
    """React to these records when it is known whether they are copies of ours."""
    by_stream: dict[str, list[str]] = {}
    for ref in refs:
        by_stream.setdefault(syncs.stream_of(ref), []).append(ref)
    for place, names in by_stream.items():
        connection, _, stream = place.partition("/")
        jobs.add(conn, "react", connection, stream, {"refs": sorted(names), "quiet": quiet})


def _may_be_ours(coming: Iterable[Creation], shown: Mapping[str, Any]) -> bool:
    """Whether a copy that is being made, or may have been made, could be this.

    While the maker's answer is due, anything new may be; when it may take long, or a person, it is
    told by its content.
    """
    return any(c.is_soon or resembles(c.fields, shared(c.fields, shown)) for c in coming)


def _intent(one: Plan, group: Group, write: Write, revision: int) -> Intent:
    """A delivery without values: they are those agreed on when it is sent."""
    connection, _, stream = write.stream.partition("/")
    alive = [m.ref for m in group.members if not m.gone]
    source = min((ref for ref in alive if ref != write.ref), default=alive[0])
    # What all copies are bound to, also those of a copy; a customer is in none of the systems.
    original = source if group.is_customer else group.subject
    # A copy is created once, however often that is decided.
    what = [one.id, write.ref, revision] if write.ref else [one.id, group.subject, write.stream]
    return Intent(
        key=blake2b(orjson.dumps(what), digest_size=16).hexdigest(),
        connection=connection,
        stream=stream,
        subject=write.ref or original,
        fields={},
        cause={"sync": one.id, "record": source, "subject": group.subject},
        sync=one.id,
    )


def step(hub: Hub, lane: Lane, job: Job) -> bool:
    """A slice of the walk through all records of a sync's streams, one after the other."""
    one = plan_named(hub, job.argument["sync"])
    if one is None:
        return True
    number, after = orjson.loads(job.cursor) if job.cursor else (0, "")
    while lane.has_time and number < len(one.streams):
        with hub.database.read() as conn:
            names = records.names(conn, one.streams[number], after, BATCH_MAX)
        following = (number, names[-1]) if names else (number + 1, "")

        def story(
            conn: Connection, names: list[str] = names, at: tuple[int, str] = following
        ) -> None:
            lane.hold(conn)
            align_subjects(conn, one, syncs.subjects(conn, names).values())
            jobs.advance(conn, job.id, orjson.dumps(at).decode(), len(names))

        hub.database.run(story)
        number, after = following
    return bool(number >= len(one.streams))


def begin(hub: Hub) -> None:
    """Ask for the walk of every sync that became active, or whose plan has changed."""
    if not hub.syncs:
        return
    with hub.database.read() as conn:
        loaded = [sync for sync in hub.syncs if checkpoints.all_loaded(conn, sync.streams)]
    for sync in loaded:
        with suppress(ConfigError):  # told when a record of it arrives, and by hub doctor
            _begin(hub, plan_of(sync, hub.registry.get))


def _begin(hub: Hub, one: Plan) -> None:
    connection, _, stream = one.streams[0].partition("/")
    argument = _argument(one)
    with hub.database.read() as conn:
        last = jobs.newest(conn, "align", connection, stream)
    if last and last.argument == argument and last.state != jobs.FAILED:
        return
    with hub.database.write() as conn:
        jobs.add(conn, "align", connection, stream, argument)


def _argument(one: Plan) -> dict[str, str]:
    told = [one.streams, one.create, one.paths, sorted(one.owners.items())]
    told += [sorted(one.writable[stream]) for stream in one.streams]
    return {"sync": one.id, "plan": blake2b(orjson.dumps(told), digest_size=8).hexdigest()}
