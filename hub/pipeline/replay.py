"""Once more, from what is stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection

from hub.errors import MappingError
from hub.mapping import to_canonical
from hub.pipeline.absorb import Arrived, absorb, follow, prepare
from hub.registry import Hub, Live
from hub.sdk import Row
from hub.store import quarantine, records
from hub.store.db import identity_lock
from hub.store.quarantine import Fault
from hub.store.records import Cut, raw_hash

BATCH_MAX = 200


def remap(hub: Hub, connection: str, stream: str) -> int:
    """Derive the records of a stream anew from its raw rows, where its mapping has changed since.

    Rules stay silent: what the hub knew already is not news. Returns how many rows were read.
    """
    live = hub.registry.get(connection)
    spec = live.mappings[stream]
    done, after = 0, ""
    while True:
        with hub.database.read() as conn:
            rows = records.mapped_otherwise(
                conn, connection, stream, spec.version, after, BATCH_MAX
            )
        if not rows:
            return done
        _remap_batch(hub, live, stream, rows)
        done, after = done + len(rows), rows[-1][0]


def _remap_batch(hub: Hub, live: Live, stream: str, rows: Sequence[tuple[str, str]]) -> None:
    spec = live.mappings[stream]
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
        follow(conn, hub, live, records.save(conn, same))
        records.note_mapping(conn, spec.version, spec.source, spec.text)
        quarantine.save(conn, faults)

    hub.database.run(story)


def replay_quarantine(hub: Hub, connection: str) -> tuple[int, int]:
    """Try the rows held of a connection again; how many were taken in, how many are still held.

    Rules stay silent: what could not be read then is no news now.
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


def _replay_batch(hub: Hub, live: Live, rows: Sequence[dict[str, Any]]) -> None:
    arrived = {
        row["id"]: Arrived(Row(row["stream"], json.loads(row["body"])), row["at"], row["inbox_id"])
        for row in rows
    }
    usable = {id_: a for id_, a in arrived.items() if not prepare(hub, live, [a])[1]}

    def finish(conn: Connection) -> None:
        quarantine.mark(conn, list(usable), "replayed")

    absorb(hub, live, list(usable.values()), finish, quiet=True)
