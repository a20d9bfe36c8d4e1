"""Long-lived reception: what a vendor streams goes into the inbox before it is acknowledged.

One thread per connection under one lease, so that however many processes listen, one line stands.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from hub.errors import (
    AuthError,
    ConfigError,
    CursorExpiredError,
    HubError,
    LeaseLostError,
    PacedError,
    RetryableError,
    StoreError,
)
from hub.pipeline.lane import Lane, leased
from hub.pipeline.pull import EXPIRED
from hub.registry import Hub, Live
from hub.sdk import Adapter, Item
from hub.store import alerts, connections, inbox, leases, listeners
from hub.store.schema import REFUSED

log = logging.getLogger(__name__)

LOOK_S = 5.0
RETRY_S = (0.3, 1.0, 2.0, 5.0, 15.0, 60.0)
STEADY_S = 60.0
"""A line that stood so long, or brought something, is built up again almost at once."""

STOP_S = 5.0
"""How long threads may take to end; the process does not wait longer for a vendor's answer."""

FAULT = "listen"


def run(hub: Hub, stopping: threading.Event) -> None:
    """Keep one listener per listening connection until told to stop."""
    running: dict[str, Listener] = {}
    well = True
    while not stopping.is_set():
        try:
            _look(hub, running)
        except StoreError as exc:
            if well:
                log.warning("cannot look after listeners now", extra={"fault": str(exc)[:200]})
            well = False
        else:
            well = True
        stopping.wait(LOOK_S)
    for listener in running.values():
        listener.end()
    ends_at = time.monotonic() + STOP_S
    for listener in running.values():
        listener.join(max(0.0, ends_at - time.monotonic()))
        listener.give_up()


def _look(hub: Hub, running: dict[str, Listener]) -> None:
    """Start what should listen and does not, end what should not; prolong the other leases."""
    wanted = _listening(hub)
    for name, listener in list(running.items()):
        if not listener.is_alive():
            del running[name]
        elif name not in wanted or wanted[name].settings != listener.live.settings:
            listener.end()
        else:
            listener.keep()
    for name in wanted.keys() - running.keys():
        running[name] = Listener(hub, wanted[name])
        running[name].start()


def _listening(hub: Hub) -> dict[str, Live]:
    with hub.database.read() as conn:
        usable = connections.usable(conn)
    found = hub.registry.all()
    return {name: live for name, live in found.items() if name in usable and _listens(live)}


def _listens(live: Live) -> bool:
    try:
        return live.listens
    except ConfigError:
        return False  # `hub apply` has said so


class Ended(Exception):  # noqa: N818 - no fault: how an adapter is told that it is time to end
    """Passes through the adapter, which must not catch it."""


class Line:
    """What one call of ``listen`` gets as ``emit``."""

    def __init__(self, hub: Hub, live: Live, lane: Lane, ending: threading.Event) -> None:
        self._hub, self._live, self._lane, self._ending = hub, live, lane, ending
        self._began = time.monotonic()
        self._stands = self._brought = False
        self.cursor: str | None = None

    def begin(self) -> None:
        """Look where to go on."""
        with self._hub.database.write() as conn:
            listeners.ensure(conn, self._live.name)
            self.cursor = listeners.cursor(conn, self._live.name)

    def __call__(self, *items: Item, cursor: str | None = None) -> None:
        self.rest(0)
        name = self._live.name
        rows = inbox.rows_for(name, items, {}, datetime.now(UTC))
        with self._hub.database.write() as conn:
            self._lane.hold(conn)
            inbox.save(conn, rows)
            listeners.hear(conn, name, len(items), cursor)
            back = not self._stands and connections.set_state(conn, name, "ok")
            if not self._stands:
                alerts.close(conn, FAULT, name)
            if cursor is not None:
                alerts.close(conn, EXPIRED, name, FAULT)
        if back:
            log.info("connection is back", extra={"connection": name})
        self.cursor = self.cursor if cursor is None else cursor
        self._stands, self._brought = True, self._brought or bool(items)

    def rest(self, seconds: float) -> None:
        if self._ending.wait(seconds):
            raise Ended

    @property
    def was_steady(self) -> bool:
        """Whether it deserves to be built up again almost at once."""
        return self._brought or time.monotonic() - self._began > STEADY_S


class Listener(threading.Thread):
    """One connection: line after line, as long as the lease is ours and nobody says to end."""

    def __init__(self, hub: Hub, live: Live) -> None:
        super().__init__(name=f"listen {live.name}", daemon=True)
        self.hub, self.live = hub, live
        self._ending = threading.Event()
        self._adapter: Adapter[Any] | None = None
        self._lane: Lane | None = None
        self._turn = threading.Lock()

    def end(self) -> None:
        """Have it give up its line and its lease; once is enough unless it was just dialling."""
        self._ending.set()
        if self._adapter is not None:
            self._adapter.close()

    def keep(self) -> None:
        """Prolong the lease while nothing arrives; never one that was given back meanwhile."""
        with self._turn:
            if self._lane is None:
                return
            try:
                self._lane.keep(self.hub)
            except LeaseLostError:
                self.end()

    def give_up(self) -> None:
        """Give the lease back for a thread that still waits; it stores nothing any more."""
        with self._turn:
            if self._lane is not None:
                with suppress(StoreError), self.hub.database.write() as conn:
                    leases.release(conn, self._lane.leases)
                self._lane = None

    def run(self) -> None:
        name = f"listen:{self.live.name}"
        try:
            with self.hub.database.write() as conn:
                leases.ensure(conn, [name])
            with leased(self.hub, name) as lane:
                if lane is not None:
                    self._work(lane)
        except StoreError as exc:  # looked after again in a moment
            facts = {"connection": self.live.name, "fault": str(exc)[:200]}
            log.debug("listener stopped", extra=facts)

    def _work(self, lane: Lane) -> None:
        self._lane = lane
        try:
            self._receive(lane)
        finally:
            with self._turn:
                self._lane = None

    def _receive(self, lane: Lane) -> None:
        failures, rest_s = 0, 0.0
        while not self._ending.wait(rest_s):
            line = Line(self.hub, self.live, lane, self._ending)
            fault = self._listen(line)
            if isinstance(fault, LeaseLostError) or self._ending.is_set():
                return
            failures = 0 if line.was_steady else min(failures + 1, len(RETRY_S) - 1)
            if fault is not None and not self._noted(fault, failures):
                return
            rest_s = _rest_s(fault, failures)

    def _listen(self, line: Line) -> HubError | None:
        """What ended the line; None when that was in good order."""
        try:
            line.begin()
            self._adapter = self.live.new_adapter()
            try:
                self._adapter.listen(line)
            finally:
                self._adapter.close()
        except Ended:
            return None
        except HubError as exc:
            return exc
        except Exception as exc:  # a bug must not stand under a green light
            log.exception("listener failed", extra={"connection": self.live.name})
            return ConfigError(f"{type(exc).__name__} in the adapter {self.live.manifest.name}")
        return None

    def _noted(self, fault: HubError, failures: int) -> bool:
        """Say what is wrong where people look; whether to go on."""
        trouble = fault if isinstance(fault, StoreError) else None
        if trouble is None and not isinstance(fault, PacedError):
            try:
                return self._note(fault, failures)
            except StoreError as exc:
                trouble = exc
        if trouble is not None and failures <= 1:  # of our own: it says nothing about the vendor
            facts = {"connection": self.live.name, "fault": str(trouble)[:200]}
            log.warning("listener cannot store now", extra=facts)
        return True

    def _note(self, fault: HubError, failures: int) -> bool:
        name, refused = self.live.name, isinstance(fault, AuthError)
        with self.hub.database.write() as conn:
            if isinstance(fault, CursorExpiredError) and listeners.forget(conn, name):
                hint = fault.hint or "Nothing is to be done: what the vendor still has is read."
                alerts.open_(conn, EXPIRED, name, FAULT, str(fault), hint)
                log.warning("cursor expired, reading what there is", extra={"connection": name})
                return True
            if isinstance(fault, RetryableError) and failures < 2:
                return True  # lines break; that is news only when no other can be had
            if isinstance(fault, ConfigError):
                alerts.open_(conn, FAULT, name, "", str(fault), fault.hint)
            state = REFUSED if refused else "degraded"
            changed = connections.set_state(conn, name, state, str(fault))
        if changed:
            facts = {"connection": name, "state": state, "fault": str(fault)}
            log.warning("connection is unavailable", extra=facts)
        return not refused


def _rest_s(fault: HubError | None, failures: int) -> float:
    if isinstance(fault, ConfigError):
        return RETRY_S[-1]
    asked = fault.retry_after_s if isinstance(fault, RetryableError) else None
    jitter = random.uniform(0.8, 1.2)  # noqa: S311 - no secret
    return max(RETRY_S[failures] * jitter, asked or 0.0)
