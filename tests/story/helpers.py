"""Steps the stories share: pull everything, drain every lane, look at a customer."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

from adapters.demo.account import Account
from hub import pipeline
from hub.pipeline import due, jobs
from hub.pipeline.lane import leased
from hub.profiles.document import Profile
from hub.registry import Hub
from hub.sdk import Item
from hub.store import certificates, checkpoints, inbox, leases, read
from hub.store import jobs as store_jobs
from hub.store.certificates import Certificate

_names = itertools.count()

DRAIN_MAX = 500
"""How often all lanes are looked at: those that are never done are a fault, not a long wait."""


def demo(**fields: Any) -> dict[str, Any]:
    """A demo connection with an account of its own."""
    return {"adapter": "demo", "account": f"story-{next(_names)}", **fields}


def account(hub: Hub, connection: str) -> Account:
    """The vendor's side of a demo connection."""
    found: Account = hub.registry.get(connection).adapter.account
    return found


def pull(hub: Hub, connection: str, *streams: str) -> None:
    """Pull streams to their ends."""
    live = hub.registry.get(connection)
    for stream in streams or live.streams:
        name = pipeline.pull_lease(connection, stream)
        with hub.database.write() as conn:
            leases.ensure(conn, [name])
            checkpoints.ensure(conn, connection, [stream])
        with leased(hub, name) as lane:
            assert lane is not None
            while not pipeline.pull(hub, lane, connection, stream):
                pass


def receive(hub: Hub, connection: str, *items: Item) -> None:
    """Put items into the inbox as the receiver does."""
    now = datetime.now(UTC)
    with hub.database.write() as conn:
        inbox.save(conn, inbox.rows_for(connection, items, {}, now))


def drain(hub: Hub) -> int:
    """Run every lane with something due until none is left; how many tasks ran."""
    ran = 0
    for _ in range(DRAIN_MAX):
        groups = due.lanes(hub)
        if not groups:
            return ran
        for names in groups:
            with leased(hub, *names) as lane:
                assert lane is not None
                (pipeline.ingest if names[0].startswith("in:") else pipeline.deliver)(hub, lane)
            ran += 1
    raise AssertionError(f"these lanes never end: {groups}")


def customer(hub: Hub, type_: str, value: str) -> Profile:
    """The one customer who holds an identifier."""
    with hub.database.read() as conn:
        (id_,) = read.find(conn, type_, value)
        found = read.profile_json(conn, id_)
    assert found is not None
    return Profile.model_validate_json(found.document)


def reconcile(hub: Hub, connection: str, stream: str, **argument: Any) -> Certificate:
    """Compare a stream with its source, to the end; what is then certified."""
    with hub.database.write() as conn:
        id_ = store_jobs.add(conn, "reconcile", connection, stream, argument)
        leases.ensure(conn, [jobs.lease_name(id_)])
    ended = False
    while not ended:
        with leased(hub, jobs.lease_name(id_)) as lane:
            assert lane is not None
            ended = jobs.run(hub, lane, id_)
    with hub.database.read() as conn:
        return certificates.newest(conn)[connection, stream]


def scalar(hub: Hub, sql: str, **values: Any) -> Any:
    """One value from the database."""
    from sqlalchemy import text

    with hub.database.read() as conn:
        return conn.execute(text(sql), values).scalar_one()
