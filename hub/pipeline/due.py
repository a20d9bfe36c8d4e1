"""What should run now: lanes with something due, streams whose time has come, old bytes to drop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from hub.pipeline import align, inbox, publish, reconcile
from hub.pipeline.absorb import rebuild
from hub.pipeline.jobs import lease_name as job_lease
from hub.pipeline.pull import lease_name
from hub.registry import Hub
from hub.store import certificates, checkpoints, earlier, leases, news, records
from hub.store import jobs as store_jobs
from hub.store import subscriptions as store_subscriptions

WAKING_S = 10.0
"""How long a sent task may take to begin before its lane is woken again."""


def lanes(hub: Hub) -> list[list[str]]:
    """Lanes to drain, in groups for a task each, longest waiting first, each given out once."""
    with hub.database.read() as conn:
        waiting = leases.lanes_to_wake(conn)
        busy = leases.tasks_at_work(conn) if waiting else {}
    groups = _groups(waiting, busy, hub.settings.worker_threads)
    if not groups:
        return []
    with hub.database.write() as conn:
        woken = [leases.wake_together(conn, names, WAKING_S) for names in groups]
    return [names for names in woken if names]


def _groups(waiting: Mapping[str, int], busy: Mapping[str, int], threads: int) -> list[list[str]]:
    """Lanes by tasks, so that one connection never has more than half of the threads.

    Its vendor may hang. What a batch costs hardly depends on its size, so lanes in which little
    waits share a task.
    """
    most = max(1, threads // 2)
    room = Counter({name: most - count for name, count in busy.items()})
    open_: dict[str, tuple[list[str], int]] = {}
    groups: list[list[str]] = []
    for lane, count in waiting.items():
        direction, connection, _ = lane.split(":")
        if direction == "in" and connection in open_:
            names, events = open_[connection]
            if events < leases.FULL:
                names.append(lane)
                open_[connection] = names, events + count
                continue
        if room.setdefault(connection, most) < 1:
            continue
        room[connection] -= 1
        groups.append([lane])
        if direction == "in":
            open_[connection] = groups[-1], count
    return groups


def forget_wakes(hub: Hub) -> None:
    """Wake anew what was woken: a broker in memory forgot it with its process."""
    with hub.database.write() as conn:
        leases.forget_wakes(conn)


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


def subscriptions(hub: Hub) -> list[str]:
    """Subscriptions with something to be told, each given out once.

    They never have more than half of the threads: receivers may hang.
    """
    publish.number(hub)
    with hub.database.read() as conn:
        waiting = [publish.lease_name(name) for name in store_subscriptions.due(conn)]
        held = leases.held(conn) if waiting else {}
    busy = [name for name in held if name.startswith(publish.LEASE)]
    room = max(1, hub.settings.worker_threads // 2) - len(busy)
    waiting = [name for name in waiting if name not in busy][: max(0, room)]
    if not waiting:
        return []
    with hub.database.write() as conn:
        leases.ensure(conn, waiting)
        given = [name for name in waiting if leases.wake(conn, name, WAKING_S)]
    return [name.removeprefix(publish.LEASE) for name in given]


def sweep(hub: Hub) -> None:
    """What a kill may have left behind, and what is past its time."""
    with hub.database.read() as conn:
        missed = records.unsettled(conn)
    if missed:
        hub.database.run(lambda conn: rebuild(conn, hub, (), records.settle(conn, missed)))
    cutoff = leases.now() - timedelta(days=hub.settings.history_days)
    with hub.database.write() as conn:
        records.drop_history(conn, cutoff)
        earlier.drop_old(conn, cutoff)
        certificates.drop_old(conn)
    old = leases.now() - timedelta(days=hub.settings.event_days)
    while hub.database.run(certificates.forget_sightings):
        pass
    while hub.database.run(lambda conn: news.drop_old(conn, old)):
        pass
    inbox.expire(hub)
    reconcile.begin(hub)
