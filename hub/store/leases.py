"""Who works on what: a row with an owner, an end and a fencing token that only ever rises."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, exists, func, select, update

from hub.errors import LeaseLostError
from hub.store import bulk
from hub.store.schema import (
    EPOCH,
    REFUSED,
    STOPPED,
    connection,
    delivery,
    inbox,
    inbox_pending,
    lease,
    outbox_pending,
)

LANES = 16
WAKING = "waking"
"""Owner of a lane whose task was sent and has not begun."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Leave to work on ``name`` until it is released or runs out."""

    name: str
    token: int


def now() -> datetime:
    """The current instant, aware."""
    return datetime.now(UTC)


@cache
def place() -> str:
    """Names what shares process ids with us: one boot of one machine or container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii")[:8]
        space = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:  # not Linux
        boot, space = "", uuid.getnode()
    return f"{socket.gethostname()}/{boot}/{space:x}"


def owner() -> str:
    """Names this thread of this process of this machine."""
    return f"{place()}:{os.getpid()}:{threading.get_ident()}"


def ensure(conn: Connection, names: Iterable[str]) -> None:
    """Make rows for these names where there are none."""
    rows = [
        {"name": name, "lane": None, "connection": None, "until": EPOCH}
        for name in sorted(set(names))
    ]
    bulk.insert_new(conn, lease, rows)


def lane_name(direction: str, connection: str, order_key: str | None) -> str:
    """The lane of an order key; without a key, the connection's first."""
    number = 0
    if order_key is not None:
        digest = hashlib.blake2b(order_key.encode(), digest_size=2).digest()
        number = int.from_bytes(digest, "big") % LANES
    return f"{direction}:{connection}:{number}"


def lanes(direction: str, connection: str) -> list[str]:
    """The names of all lanes of a connection."""
    return [f"{direction}:{connection}:{number}" for number in range(LANES)]


def ensure_lanes(conn: Connection, names: Iterable[str]) -> None:
    """Make rows for these lanes where there are none, so that they can be woken."""
    rows = []
    for name in sorted(set(names)):
        direction, owner, _ = name.split(":")
        rows.append({"name": name, "lane": direction, "connection": owner, "until": EPOCH})
    bulk.insert_new(conn, lease, rows)


def wake(conn: Connection, name: str, for_s: float) -> bool:
    """Mark a free lane as woken, so that nobody wakes it again for ``for_s`` seconds."""
    free = (lease.c.name == name) & (lease.c.until < now())
    until = now() + timedelta(seconds=for_s)
    return conn.execute(update(lease).where(free).values(owner=WAKING, until=until)).rowcount == 1


def take(conn: Connection, name: str, owner: str, for_s: float) -> Lease | None:
    """The lease, or None while somebody else works under it."""
    free = (lease.c.until < now()) | (lease.c.owner == WAKING)
    taken = conn.execute(
        update(lease)
        .where(lease.c.name == name, free)
        .values(owner=owner, until=now() + timedelta(seconds=for_s), token=lease.c.token + 1)
        .returning(lease.c.token)
    ).scalar_one_or_none()
    return None if taken is None else Lease(name, taken)


def hold(conn: Connection, held: Lease, for_s: float) -> None:
    """Prolong a lease in the transaction whose writes it guards.

    Raises:
        LeaseLostError: somebody else took it over; this transaction must not commit.
    """
    mine = (lease.c.name == held.name) & (lease.c.token == held.token)
    until = now() + timedelta(seconds=for_s)
    if conn.execute(update(lease).where(mine).values(until=until)).rowcount != 1:
        raise LeaseLostError(f"the lease {held.name} was taken over")


def release(conn: Connection, held: Lease, cool_s: float = 0.0) -> None:
    """Give a lease back, after a pause if something went wrong; nothing when it was taken over."""
    mine = (lease.c.name == held.name) & (lease.c.token == held.token)
    until = now() + timedelta(seconds=cool_s) if cool_s else EPOCH
    conn.execute(update(lease).where(mine).values(owner="", until=until))


def held(conn: Connection) -> dict[str, int]:
    """The token of every lease somebody works under now, by name."""
    busy = (lease.c.until > now()) & lease.c.owner.not_in(("", WAKING))
    rows = conn.execute(select(lease.c.name, lease.c.token).where(busy))
    return {row.name: row.token for row in rows}


def owners(conn: Connection, place: str) -> list[str]:
    """Who at this place holds a lease now."""
    theirs = lease.c.owner.startswith(f"{place}:", autoescape=True) & (lease.c.until > now())
    return list(conn.execute(select(lease.c.owner).where(theirs).distinct()).scalars())


def free(conn: Connection, owners: Sequence[str]) -> int:
    """Give back whatever these owners hold; how many leases."""
    theirs = lease.c.owner.in_(owners) & (lease.c.until > now())
    return conn.execute(update(lease).where(theirs).values(owner="", until=EPOCH)).rowcount


def lanes_held(conn: Connection) -> dict[str, int]:
    """How many lanes of each connection somebody works on."""
    query = select(lease.c.connection, func.count()).where(
        lease.c.connection.is_not(None), lease.c.until > now()
    )
    rows = conn.execute(query.group_by(lease.c.connection))
    return {row[0]: row[1] for row in rows}


def lanes_to_wake(conn: Connection) -> list[str]:
    """Free lanes with something due, of connections that may be used, in order of their names.

    Events of a paused connection are still taken in; where credentials are refused they wait,
    because what they name could not be fetched.
    """
    at = now()
    events = inbox_pending & (inbox.c.available_at <= at)
    writes = outbox_pending & (delivery.c.available_at <= at)
    waits_in = exists().where(inbox.c.lane == lease.c.name, events)
    waits_out = exists().where(delivery.c.lane == lease.c.name, writes)
    stopped = select(connection.c.name).where(connection.c.state.in_(STOPPED))
    refused = select(connection.c.name).where(connection.c.state == REFUSED)
    rows = conn.execute(
        select(lease.c.name)
        .where(
            lease.c.until < at,
            ((lease.c.lane == "in") & waits_in & lease.c.connection.not_in(refused))
            | ((lease.c.lane == "out") & waits_out & lease.c.connection.not_in(stopped)),
        )
        .order_by(lease.c.name)  # two relays that mark them must not wait for each other
    )
    return list(rows.scalars())
