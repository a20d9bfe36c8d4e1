"""Once more, from what is stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import orjson
from sqlalchemy import Connection

from hub.errors import ConfigError, MappingError
from hub.mapping import Mapping as Spec
from hub.mapping import to_canonical
from hub.pipeline import align
from hub.pipeline.absorb import Arrived, absorb, follow, prepare
from hub.pipeline.lane import Lane
from hub.registry import Hub, Live, Registry
from hub.sdk import Row
from hub.store import audit, jobs, leases, mappings, quarantine, records
from hub.store.db import identity_lock
from hub.store.jobs import Job
from hub.store.quarantine import Fault
from hub.store.records import Cut, raw_hash

BATCH_MAX = 200
LOOK_S = 1.0
"""How long the end of a switch rests before it looks again whether older work has ended."""

Note = Callable[[Connection], None]
"""Writes how far it came, in the transaction that stores what was done."""


def switch(hub: Hub, connection: str, stream: str, spec: Spec | None, actor: str) -> int:
    """Use this mapping from now on, or the files again, in every process; the id of the job that
    derives what is stored anew.
    """  # noqa: D205 - one sentence
    version = spec.version if spec else None
    with hub.database.write() as conn:
        if spec:
            records.note_mapping(conn, spec.version, spec.source, spec.text)
        id_ = _switch(conn, connection, stream, version, actor)
    hub.registry.forget()
    return id_


def roll_back(hub: Hub, connection: str, stream: str, actor: str) -> tuple[str | None, int]:
    """Use what was in use before; which version that is (None: the files), and the job.

    Done twice, it leads back to where it began.

    Raises:
        ConfigError: nothing was ever chosen for this stream.
    """
    with hub.database.write() as conn:
        choices = mappings.choices(conn, connection, stream)
        if not choices:
            raise ConfigError(
                f"no mapping was ever chosen for {connection}/{stream}",
                hint="It uses the files. Choose one with: hub rehearse mapping FILE --activate",
            )
        others = (c.version for c in choices if c.version != choices[0].version)
        version = next(others, None)
        id_ = _switch(conn, connection, stream, version, actor)
    hub.registry.forget()
    return version, id_


def _switch(conn: Connection, connection: str, stream: str, version: str | None, actor: str) -> int:
    choice = mappings.choose(conn, connection, stream, version, actor)
    audit.note(conn, actor, "choose mapping", f"mapping:{connection}/{stream}@{version or 'files'}")
    return jobs.add(conn, "remap", connection, stream, {"choice": choice.id}, actor=actor)


def remap(hub: Hub, connection: str, stream: str) -> int:
    """Derive the records of a stream anew from its raw rows, where its mapping has changed since.

    Rules stay silent: what the hub knew already is not news. Returns how many rows were read.
    """
    live = hub.registry.get(connection)
    done, after = 0, ""
    while rows := _mapped_otherwise(hub, live, stream, after):
        _remap_batch(hub, live, stream, rows)
        done, after = done + len(rows), rows[-1][0]
    return done


def step(hub: Hub, lane: Lane, job: Job) -> bool:
    """A slice of what follows a choice of mapping; whether all of it is done.

    First the rows, then those quarantine held, then again the rows that somebody stored meanwhile
    who had read the mapping before: when all work that may have is over, none is left. A newer
    choice has a job of its own and ends this one.
    """
    hub.registry.forget()
    live = hub.registry.get(job.connection)
    place = job.cursor or "rows:"
    while lane.has_time and place:
        with hub.database.read() as conn:
            choice = mappings.in_force(conn, job.connection, job.stream)
        if choice is None or choice.id != job.argument["choice"]:
            return True
        phase, _, mark = place.partition(":")
        following = _PHASES[phase](hub, lane, live, job, mark)
        if following == place:  # it waits
            lane.rest_s = LOOK_S
            return False
        place = following
    return not place


def _rows(hub: Hub, lane: Lane, live: Live, job: Job, after: str) -> str:
    return _some_rows(hub, lane, live, job, ("rows", after), "held:0")


def _last(hub: Hub, lane: Lane, live: Live, job: Job, after: str) -> str:
    return _some_rows(hub, lane, live, job, ("last", after), "")


def _some_rows(
    hub: Hub, lane: Lane, live: Live, job: Job, at: tuple[str, str], following: str
) -> str:
    """A batch of rows from this place on; the place after it."""
    phase, after = at
    total = _count(hub, live, job.stream) if at == ("rows", "") else None
    rows = _mapped_otherwise(hub, live, job.stream, after)
    place = f"{phase}:{rows[-1][0]}" if rows else following

    def note(conn: Connection) -> None:
        lane.hold(conn)
        jobs.advance(conn, job.id, place, len(rows), total=total)

    _remap_batch(hub, live, job.stream, rows, note)
    return place


def _held(hub: Hub, lane: Lane, live: Live, job: Job, after: str) -> str:
    """A batch of the rows quarantine holds."""
    with hub.database.read() as conn:
        rows = quarantine.held(conn, live.name, BATCH_MAX, int(after), stream=job.stream)
    place = f"held:{rows[-1]['id']}" if rows else "settle:"

    def note(conn: Connection) -> None:
        lane.hold(conn)
        jobs.advance(conn, job.id, place)

    _replay_batch(hub, live, rows, note)
    return place


def _settle(hub: Hub, lane: Lane, live: Live, job: Job, mark: str) -> str:
    """Wait until no work is under way that began before every process knew of the choice.

    Whoever works holds a lease, and cannot commit once it is somebody else's.
    """
    with hub.database.read() as conn:
        busy = {name: token for name, token in leases.held(conn).items() if name not in lane.names}
    if not mark:
        if leases.now() < job.created_at + timedelta(seconds=2 * Registry.FRESH_S):
            return "settle:"
        place = f"settle:{orjson.dumps(busy).decode()}"
    else:
        waited_for = orjson.loads(mark)
        place = f"settle:{mark}" if busy.items() & waited_for.items() else "last:"
    with hub.database.write() as conn:
        lane.hold(conn)
        jobs.advance(conn, job.id, place)
    return place


_PHASES = {"rows": _rows, "held": _held, "settle": _settle, "last": _last}


def _count(hub: Hub, live: Live, stream: str) -> int:
    with hub.database.read() as conn:
        version = live.mapping(stream).version
        return records.count_mapped_otherwise(conn, live.name, stream, version)


def _mapped_otherwise(hub: Hub, live: Live, stream: str, after: str) -> list[tuple[str, str]]:
    with hub.database.read() as conn:
        version = live.mapping(stream).version
        return records.mapped_otherwise(conn, live.name, stream, version, after, BATCH_MAX)


def _nothing(_: Connection) -> None:
    pass


def _remap_batch(
    hub: Hub, live: Live, stream: str, rows: Sequence[tuple[str, str]], note: Note = _nothing
) -> None:
    spec = live.mapping(stream)
    cuts: list[Cut] = []
    faults: list[Fault] = []
    read = {ref: raw_hash(payload.encode()) for ref, payload in rows}
    for ref, payload in rows:
        raw = orjson.loads(payload)
        try:
            cuts.append(Cut(ref, spec.version, to_canonical(spec, raw, connection=live.name)))
        except MappingError as exc:
            body = payload.encode()
            faults.append(Fault(live.name, stream, body, exc.path, str(exc), spec.version))

    def story(conn: Connection) -> None:
        identity_lock(conn)
        now = records.known(conn, read, lock=True)
        same = [cut for cut in cuts if now[cut.parent].hash == read[cut.parent]]  # else it is newer
        saved = records.save(conn, same)
        found = follow(conn, hub, live, saved)
        align.align(conn, hub, {*saved.records, *saved.parties}, found)
        records.note_mapping(conn, spec.version, spec.source, spec.text)
        quarantine.save(conn, faults)
        note(conn)

    hub.database.run(story)


def replay_quarantine(hub: Hub, connection: str) -> tuple[int, int]:
    """Try the rows held of a connection again; how many were taken in, how many are still held.

    Rules stay silent: what could not be read then is no news now. Subscribers hear of it, for they
    were told nothing.
    """
    live = hub.registry.get(connection)
    tried, after = 0, 0
    while True:
        with hub.database.read() as conn:
            rows = quarantine.held(conn, connection, BATCH_MAX, after)
        if not rows:
            break
        _replay_batch(hub, live, rows)
        tried, after = tried + len(rows), rows[-1]["id"]
    with hub.database.read() as conn:
        still = quarantine.count(conn).get(connection, 0)
    return tried - still, still


def _replay_batch(
    hub: Hub, live: Live, rows: Sequence[dict[str, Any]], note: Note = _nothing
) -> None:
    arrived = {
        row["id"]: Arrived(Row(row["stream"], json.loads(row["body"])), row["at"], row["inbox_id"])
        for row in rows
    }
    usable = {id_: a for id_, a in arrived.items() if not prepare(hub, live, [a]).faults}

    def finish(conn: Connection) -> None:
        quarantine.mark(conn, list(usable), "replayed")
        note(conn)

    absorb(hub, live, list(usable.values()), finish, quiet=True, told=True)
