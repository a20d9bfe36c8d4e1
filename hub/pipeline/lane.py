"""The right to drain one lane, for a limited time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy import Connection

from hub.errors import ConfigError, StoreError
from hub.registry import Hub, Live
from hub.store import connections, leases
from hub.store.leases import Lease
from hub.store.schema import REFUSED

SLICE_S = 60.0
COOL_S = 2.0
HELD_S = 1.0
"""Rest of a lane in which all that is left waits behind a retry: looking again would only spin."""

LEASE_S = 120.0
"""Longer than a slice and one hanging call, so that a live holder keeps it; a dead one loses it."""

FRESH_S = 20.0
UNREADY_S = 30.0


def free_dead(hub: Hub) -> int:
    """Give back what killed processes of this machine held; how many leases.

    Those of other machines run out by themselves.
    """
    with hub.database.read() as conn:
        dead = [holder for holder in leases.owners(conn, leases.place()) if not _runs(holder)]
    if not dead:
        return 0
    with hub.database.write() as conn:
        return leases.free(conn, dead)


def _runs(holder: str) -> bool:
    _, pid, _ = holder.rsplit(":", 2)
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


@dataclass(slots=True)
class Lane:
    """Leases held together: when their slice ends, how long they rest then, when prolonged last."""

    leases: Sequence[Lease]
    ends_at: float = field(default_factory=lambda: time.monotonic() + SLICE_S)
    rest_s: float = 0.0
    held_at: float = field(default_factory=time.monotonic)

    @property
    def names(self) -> list[str]:
        return [lease.name for lease in self.leases]

    @property
    def has_time(self) -> bool:
        """Whether another batch may be begun."""
        return time.monotonic() < self.ends_at

    def hold(self, conn: Connection) -> None:
        """Prolong the leases in the transaction they guard.

        Raises:
            LeaseLostError: somebody else took one over.
        """
        leases.hold(conn, self.leases, LEASE_S)
        self.held_at = time.monotonic()

    def keep(self, hub: Hub) -> None:
        """Prolong the lease before a call that may take long, unless it was just prolonged.

        Raises:
            LeaseLostError: somebody else took it over.
        """
        if time.monotonic() - self.held_at > FRESH_S:
            with hub.database.write() as conn:
                self.hold(conn)

    @contextmanager
    def kept(self, hub: Hub) -> Iterator[None]:
        """Prolong the lease again and again while a call that may take long is under way."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(LEASE_S / 4):
                # When it is lost, the next transaction finds out.
                with suppress(StoreError), hub.database.write() as conn:
                    self.hold(conn)

        threading.Thread(target=beat, name=f"keep {self.names[0]}", daemon=True).start()
        try:
            yield
        finally:
            done.set()

    def ready(self, hub: Hub, connection: str, part: str) -> Live | None:
        """The connection, when its ``part`` can be made here; else None, and the lane rests.

        A worker that lacks an environment variable must not turn events and writes away. Where
        credentials were refused meanwhile, nothing more is tried.
        """
        with hub.database.read() as conn:
            if connections.state(conn, connection) == REFUSED:
                return None
        live = hub.registry.get(connection)
        try:
            getattr(live, part)
        except ConfigError as exc:
            with hub.database.write() as conn:
                connections.set_state(conn, connection, "degraded", str(exc))
            self.rest_s = UNREADY_S
            return None
        return live


@contextmanager
def leased(hub: Hub, *names: str) -> Iterator[Lane | None]:
    """The lane while the block runs; None when somebody else works on it.

    Of several names those that are free. After a failure it rests a moment, so that a standing
    fault does not spin.
    """
    taken = _take(hub, names)
    if not taken and free_dead(hub):
        taken = _take(hub, names)
    if not taken:
        yield None
        return
    lane = Lane(taken)
    try:
        yield lane
    except BaseException:
        lane.rest_s = COOL_S
        raise
    finally:
        with suppress(StoreError), hub.database.write() as conn:  # else they run out by themselves
            leases.release(conn, taken, lane.rest_s)


def _take(hub: Hub, names: Sequence[str]) -> list[Lease]:
    with hub.database.write() as conn:
        return leases.take(conn, names, leases.owner(), LEASE_S)
