"""One pull in a fresh process: ``python -m bench.pulling CONNECTION STREAM [flags]`` prints JSON.

The same path a worker takes: registry, adapter, ``hub.pipeline.pull`` under its lease. ``--full``
begins at the beginning; ``--records`` goes no further than raw rows, records and identifiers.
"""

from __future__ import annotations

import json
import sys
import time

from sqlalchemy import Connection

from bench.measuring import Measured, peak_mib
from hub import log, pipeline
from hub.identity.matching import Change
from hub.identity.resolve import evidence_of
from hub.identity.traits import ref_of
from hub.models import Party
from hub.models.normalise import name_key
from hub.pipeline import absorb
from hub.pipeline.lane import leased
from hub.registry import Hub, Live, open_hub
from hub.settings import settings
from hub.store import checkpoints, evidence, leases
from hub.store.records import Saved


def main() -> None:
    connection, stream, *flags = sys.argv[1:]
    log.configure("WARNING")
    hub = open_hub(settings())
    live = hub.registry.get(connection)
    for name in ("李娜", "Li Na"):  # the tables for names stand ready, as in a worker that runs
        name_key(name)
    if "--full" in flags:
        with hub.database.write() as conn:
            checkpoints.restart(conn, connection, stream)
    if "--records" in flags:
        absorb.follow = identifiers_only
    source_s, source_rows = read(hub, live, stream)
    idle_mib = peak_mib()
    with Measured() as run:
        slices = pull(hub, connection, stream)
    hub.close()
    facts = {"rows": source_rows, "slices": slices, "idle_mib": idle_mib, "source_s": source_s}
    print(json.dumps({**run.told(), **facts}))


def read(hub: Hub, live: Live, stream: str) -> tuple[float, int]:
    """How long the source alone takes to hand over what the pull will ask for, and how many."""
    with hub.database.read() as conn:
        cursor = checkpoints.get(conn, live.name, stream).get("cursor")
    began = time.perf_counter()
    rows = sum(len(page.records) for page in live.adapter.pull(live.streams[stream], cursor))
    return time.perf_counter() - began, rows


def pull(hub: Hub, connection: str, stream: str) -> int:
    """Pull to the end, slice after slice, as the worker does; how many slices it took."""
    name = pipeline.pull_lease(connection, stream)
    with hub.database.write() as conn:
        leases.ensure(conn, [name])
    for slices in range(1, 1_000_000):
        with leased(hub, name) as lane:
            if lane is None:
                raise RuntimeError(f"somebody else pulls {connection}/{stream}")
            if pipeline.pull(hub, lane, connection, stream):
                return slices
    raise RuntimeError("the pull does not end")


def identifiers_only(
    conn: Connection, hub: Hub, live: Live, saved: Saved, *, told: bool, loading: bool
) -> set[str]:
    """In place of ``absorb.follow``: store what tells whose the records are, decide nothing."""
    parties = [r for r in saved.records.values() if isinstance(r, Party)]
    told = [evidence_of(party, live.region) for party in parties]
    before = evidence.stored(conn, saved.parties - saved.new)
    changes = [Change(ref_of(e.ref), before.get(e.ref), e.traits) for e in told]
    evidence.save(conn, told, changes, saved.new)
    return set()


if __name__ == "__main__":
    main()
