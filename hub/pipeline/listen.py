"""Long-lived reception: what a vendor streams goes into the inbox before it is acknowledged."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime

from hub.errors import AuthError, HubError
from hub.pipeline.lane import LEASE_S, Lane, leased
from hub.registry import Hub, Live
from hub.sdk import Item, capabilities
from hub.store import connections, inbox, leases

log = logging.getLogger(__name__)

LOOK_S = 5.0


def run(hub: Hub, stopping: threading.Event) -> None:
    """Keep one listener per listening connection until told to stop."""
    listeners: dict[str, threading.Thread] = {}
    while not stopping.is_set():
        for name in _listening(hub):
            running = listeners.get(name)
            if running is None or not running.is_alive():
                args = (hub, name, stopping)
                listeners[name] = threading.Thread(target=_listen, args=args, daemon=True)
                listeners[name].start()
        stopping.wait(LOOK_S)


def _listening(hub: Hub) -> list[str]:
    with hub.database.read() as conn:
        usable = connections.usable(conn)
    found = (live for live in hub.registry.all().values() if live.name in usable)
    return [live.name for live in found if _listens(live)]


def _listens(live: Live) -> bool:
    owner = live.manifest.adapter_class() if live.manifest.adapter else None
    return owner is not None and "listen" in capabilities(owner)


def _listen(hub: Hub, connection: str, stopping: threading.Event) -> None:
    name = f"listen:{connection}"
    with hub.database.write() as conn:
        leases.ensure(conn, [name])
    try:
        with leased(hub, name) as lane:
            if lane is not None:
                _receive(hub, hub.registry.get(connection), lane, stopping)
    except HubError as exc:
        state = "auth_failed" if isinstance(exc, AuthError) else "degraded"
        with hub.database.write() as conn:
            connections.set_state(conn, connection, state, str(exc))
        log.warning("listener stopped", extra={"connection": connection, "fault": str(exc)})


def _receive(hub: Hub, live: Live, lane: Lane, stopping: threading.Event) -> None:
    done = threading.Event()

    def emit(item: Item) -> None:
        rows = inbox.rows_for(live.name, [item], {}, datetime.now(UTC))
        with hub.database.write() as conn:
            lane.hold(conn)
            inbox.save(conn, rows)

    def keep() -> None:
        """Prolong the lease while nothing arrives; close the adapter when it is time to end."""
        while not (done.wait(LEASE_S / 4) or stopping.is_set()):
            try:
                with hub.database.write() as conn:
                    lane.hold(conn)
            except HubError:
                break
        if not done.is_set():
            live.adapter.close()

    threading.Thread(target=keep, daemon=True).start()
    try:
        live.adapter.listen(emit)
    finally:
        done.set()
