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
from operator import attrgetter
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, Select, case, func, select, tuple_, update

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
FULL = 100
"""Events that are enough work for one task; with fewer it takes those of further lanes along."""

WAKING = "waking"
"""How the owner of a lane begins whose task was sent and has not begun."""


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
    """Mark a free name as woken, so that nobody wakes it again for ``for_s`` seconds."""
    return bool(wake_together(conn, [name], for_s))


def wake_together(conn: Connection, names: Sequence[str], for_s: float) -> list[str]:
    """As ``wake``, for names one task will work on: those of them that were free."""
    marked = {"owner": f"{WAKING}:{names[0]}", "until": now() + timedelta(seconds=for_s)}
    woken = conn.execute(
        update(lease)
        .where(lease.c.name.in_(_locked(names, lease.c.until < now())))
        .values(marked)
        .returning(lease.c.name)
    )
    free = set(woken.scalars())
    return [name for name in names if name in free]


def take(conn: Connection, names: Sequence[str], owner: str, for_s: float) -> list[Lease]:
    """The leases under which nobody else works."""
    free = (lease.c.until < now()) | lease.c.owner.startswith(f"{WAKING}:", autoescape=True)
    taken = conn.execute(
        update(lease)
        .where(lease.c.name.in_(_locked(names, free)))
        .values(owner=owner, until=now() + timedelta(seconds=for_s), token=lease.c.token + 1)
        .returning(lease.c.name, lease.c.token)
    )
    return sorted((Lease(*row) for row in taken), key=attrgetter("name"))


def _locked(names: Sequence[str], free: ColumnElement[bool]) -> Select[tuple[str]]:
    """Those of the names that are free, locked in one order: two who want some of the same must
    not wait for each other.
    """  # noqa: D205 - one sentence
    found = select(lease.c.name).where(lease.c.name.in_(names), free)
    return found.order_by(lease.c.name).with_for_update()


def hold(conn: Connection, held: Sequence[Lease], for_s: float) -> None:
    """Prolong leases in the transaction whose writes they guard.

    Raises:
        LeaseLostError: somebody else took one over; this transaction must not commit.
    """
    until = now() + timedelta(seconds=for_s)
    mine = conn.execute(update(lease).where(_are(held)).values(until=until))
    if mine.rowcount != len(held):
        raise LeaseLostError(f"the lease {held[0].name}, or one held with it, was taken over")


def release(conn: Connection, held: Sequence[Lease], cool_s: float = 0.0) -> None:
    """Give leases back, after a pause if something went wrong; nothing of what was taken over."""
    until = now() + timedelta(seconds=cool_s) if cool_s else EPOCH
    conn.execute(update(lease).where(_are(held)).values(owner="", until=until))


def _are(held: Sequence[Lease]) -> ColumnElement[bool]:
    return tuple_(lease.c.name, lease.c.token).in_([(one.name, one.token) for one in held])


def held(conn: Connection) -> dict[str, int]:
    """The token of every lease somebody works under now, by name."""
    waking = lease.c.owner.startswith(f"{WAKING}:", autoescape=True)
    busy = (lease.c.until > now()) & (lease.c.owner != "") & ~waking
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


def forget_wakes(conn: Connection) -> None:
    """Free what was woken and not begun."""
    waking = lease.c.owner.startswith(f"{WAKING}:", autoescape=True)
    conn.execute(update(lease).where(waking).values(owner="", until=EPOCH))


def tasks_at_work(conn: Connection) -> dict[str, int]:
    """How many tasks work on lanes of each connection, or were sent to."""
    query = select(lease.c.connection, func.count(lease.c.owner.distinct())).where(
        lease.c.connection.is_not(None), lease.c.until > now(), lease.c.owner != ""
    )
    rows = conn.execute(query.group_by(lease.c.connection))
    return {row[0]: row[1] for row in rows}


def lanes_to_wake(conn: Connection) -> dict[str, int]:
    """Free lanes with something due, of connections that may be used, longest waiting first.

    Each with how many events wait in it, counted as far as ``FULL``; of writes one is as many.

    Events of a paused connection are still taken in; where credentials are refused they wait,
    because what they name could not be fetched.
    """
    at = now()
    unread = (inbox.c.lane == lease.c.name) & inbox_pending & (inbox.c.available_at <= at)
    unsent = (delivery.c.lane == lease.c.name) & outbox_pending & (delivery.c.available_at <= at)
    first_in = select(inbox.c.available_at).where(unread).order_by(inbox.c.id).limit(1)
    first_out = select(delivery.c.available_at).where(unsent).order_by(delivery.c.id).limit(1)
    few = select(inbox.c.id).where(unread).limit(FULL).correlate(lease).subquery()
    since = case(
        (lease.c.lane == "in", first_in.scalar_subquery()), else_=first_out.scalar_subquery()
    ).label("since")
    many = case(
        (lease.c.lane == "in", select(func.count()).select_from(few).scalar_subquery()), else_=FULL
    ).label("events")
    stopped = select(connection.c.name).where(connection.c.state.in_(STOPPED))
    refused = select(connection.c.name).where(connection.c.state == REFUSED)
    waiting = (
        select(lease.c.name, since, many)
        .where(
            lease.c.until < at,
            ((lease.c.lane == "in") & lease.c.connection.not_in(refused))
            | ((lease.c.lane == "out") & lease.c.connection.not_in(stopped)),
        )
        .subquery()
    )
    rows = conn.execute(
        select(waiting.c.name, waiting.c.events)
        .where(waiting.c.since.is_not(None))
        .order_by(waiting.c.since, waiting.c.name)
    )
    return {row[0]: row[1] for row in rows}
