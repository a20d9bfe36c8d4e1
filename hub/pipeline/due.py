"""What should run now: lanes with something due, streams whose time has come, old bytes to drop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from hub.pipeline import align, reconcile
from hub.pipeline.absorb import rebuild
from hub.pipeline.jobs import lease_name as job_lease
from hub.pipeline.pull import lease_name
from hub.registry import Hub
from hub.store import certificates, checkpoints, leases, records
from hub.store import jobs as store_jobs

WAKING_S = 10.0
"""How long a sent task may take to begin before its lane is woken again."""


def lanes(hub: Hub) -> list[str]:
    """Lanes to drain, each given out once."""
    with hub.database.read() as conn:
        waiting = leases.lanes_to_wake(conn)
        busy = leases.lanes_held(conn) if waiting else {}
    if not waiting:
        return []
    waiting = _fair(waiting, busy, hub.settings.worker_threads)
    with hub.database.write() as conn:
        return [name for name in waiting if leases.wake(conn, name, WAKING_S)]


def _fair(waiting: list[str], busy: Mapping[str, int], threads: int) -> list[str]:
    """Lanes so that one connection never has more than half of the threads: its vendor may hang."""
    room = Counter({name: -n for name, n in busy.items()})
    most, chosen = max(1, threads // 2), []
    for lane in waiting:
        connection = lane.split(":")[1]
        if most + room[connection] > 0:
            room[connection] -= 1
            chosen.append(lane)
    return chosen


def forget_wakes(hub: Hub) -> None:
    """Wake anew what was woken: a broker in memory forgot it with its process."""
    with hub.database.write() as conn:
        leases.free(conn, [leases.WAKING])


def pulls(hub: Hub) -> list[tuple[str, str]]:
    """Streams to pull, as (connection, stream), each given out once."""
    with hub.database.read() as conn:
        waiting = checkpoints.due(conn)
    if not waiting:
        return []
    names = [lease_name(*pair) for pair in waiting]
    with hub.database.write() as conn:
        leases.ensure(conn, names)
        return [
            pair
            for pair, name in zip(waiting, names, strict=True)
            if leases.wake(conn, name, WAKING_S)
        ]


def jobs(hub: Hub) -> list[int]:
    """Jobs with a slice to be done, each given out once."""
    align.begin(hub)
    with hub.database.read() as conn:
        waiting = store_jobs.due(conn)
    if not waiting:
        return []
    with hub.database.write() as conn:
        leases.ensure(conn, [job_lease(id_) for id_ in waiting])
        return [id_ for id_ in waiting if leases.wake(conn, job_lease(id_), WAKING_S)]


def sweep(hub: Hub) -> None:
    """What a kill may have left behind, and what is past its time."""
    with hub.database.read() as conn:
        missed = records.unsettled(conn)
    if missed:
        hub.database.run(lambda conn: rebuild(conn, hub, (), records.settle(conn, missed)))
    cutoff = leases.now() - timedelta(days=hub.settings.history_days)
    with hub.database.write() as conn:
        records.drop_history(conn, cutoff)
        certificates.drop_old(conn)
    while hub.database.run(certificates.forget_sightings):
        pass
    reconcile.begin(hub)
