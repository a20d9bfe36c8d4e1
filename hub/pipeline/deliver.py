"""Queued writes → vendors, one lane at a time, in order per record."""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from hub.errors import (
    AuthError,
    ConfigError,
    ConflictError,
    HubError,
    RejectedError,
    RetryableError,
    StoreError,
    UnknownOutcomeError,
)
from hub.mapping import to_vendor
from hub.models import Ref
from hub.pipeline.absorb import Arrived, absorb, rebuild
from hub.pipeline.lane import HELD_S, Lane
from hub.registry import Hub, Live
from hub.sdk import Change, Receipt, Row
from hub.store import connections, customers, leases, outbox, records
from hub.store.outbox import Delivery

log = logging.getLogger(__name__)

BATCH_MAX = 100
RETRY_S = (5, 30, 120, 600, 3600, 3 * 3600, 8 * 3600, 16 * 3600)
GIVE_UP_AFTER = timedelta(hours=24)
CONFLICTS_MAX = 3
ORIGIN_RANK = 9
"""A copy belongs where its original does, unless its own references say better."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one try ended."""

    receipt: Receipt | None
    error: Exception | None
    took_ms: int


def deliver(hub: Hub, lane: Lane) -> None:
    """Drain a lane until it is empty or its time is up."""
    while lane.has_time:
        with hub.database.read() as conn:
            items = outbox.due(conn, lane.name, BATCH_MAX)
            if not items and outbox.is_held_back(conn, lane.name):
                lane.rest_s = HELD_S
        if not items:
            return
        live = lane.ready(hub, items[0].connection, "adapter")
        if live is None:
            return
        stopped: set[str] = set()
        for item in items:
            if item.order_key in stopped or not lane.has_time:
                continue
            became = _deliver_one(hub, lane, live, item)
            if became == "refused":
                return  # every further try would only knock at a closed door
            if became in ("retry", "unknown"):
                stopped.add(item.order_key)


def _deliver_one(hub: Hub, lane: Lane, live: Live, item: Delivery) -> str:
    """Try once and store the outcome: confirmed, dead, retry, unknown, or refused credentials."""
    lane.keep(hub)
    with lane.kept(hub):
        outcome = _try(hub, live, item)
    if outcome.error is not None:
        return _store_failure(hub, lane, live, item, outcome.error, outcome.took_ms)
    if outcome.receipt is not None:
        _store_success(hub, lane, live, item, outcome.receipt, outcome.took_ms)
    return "confirmed"


def _try(hub: Hub, live: Live, item: Delivery) -> Outcome:
    began = time.monotonic()
    receipt: Receipt | None = None
    error: Exception | None = None
    try:
        receipt = live.adapter.push(_stream(live, item), _change(hub, live, item))
    except HubError as exc:
        error = exc
    except Exception as exc:
        log.exception("adapter failed", extra={"delivery": item.id})
        error = RejectedError(f"{type(exc).__name__} in the adapter {live.manifest.name}")
        error.__cause__ = exc
    return Outcome(receipt, error, round((time.monotonic() - began) * 1000))


def _stream(live: Live, item: Delivery) -> Any:
    stream = live.streams.get(item.stream)
    if stream is None or not stream.writable or item.stream not in live.mappings:
        raise ConfigError(
            f"{item.connection}/{item.stream} cannot be written to",
            hint="Mend the rule that queued this.",
        )
    return stream


def _change(hub: Hub, live: Live, item: Delivery) -> Change:
    """The delivery in the vendor's words: an update where we know the copy, else a create."""
    with hub.database.read() as conn:

        def find(ref: Ref, stream: str) -> str | None:
            return counterpart(conn, ref, item.connection, stream)

        external_id = copy_of(conn, Ref.parse(item.subject), item.connection, item.stream)
        values = to_vendor(live.mappings[item.stream], item.fields, find=find)
    return Change(id=external_id, values=values, key=item.key, marker=f"hub-{item.key[:16]}")


def copy_of(conn: Any, ref: Ref, connection: str, stream: str) -> str | None:
    """What to update there: the record itself, the copy we made, or the same customer's record."""
    if ref.connection == connection and ref.stream == stream:
        return ref.id
    if bound := outbox.bound_id(conn, str(ref), connection, stream):
        return bound
    mine = customers.links(conn, [str(ref)]).get(str(ref))
    prefix = f"{connection}/{stream}/"
    theirs = customers.members(conn, mine) if mine else []
    return next((name.removeprefix(prefix) for name in theirs if name.startswith(prefix)), None)


def counterpart(conn: Any, ref: Ref, connection: str, stream: str) -> str | None:
    """What another system calls the same thing: also what a copy of ours was made from."""
    if found := copy_of(conn, ref, connection, stream):
        return found
    prefix = f"{connection}/{stream}/"
    original = outbox.copies(conn, [str(ref)]).get(str(ref), "")
    return original.removeprefix(prefix) if original.startswith(prefix) else None


def _store_success(
    hub: Hub, lane: Lane, live: Live, item: Delivery, receipt: Receipt, took_ms: int
) -> None:
    """Confirm the write and take in what the vendor answered, in one transaction."""
    copy = f"{item.connection}/{item.stream}/{receipt.id}"

    def confirm(conn: Connection) -> None:
        lane.hold(conn)
        outbox.confirm(conn, item, receipt.id, took_ms, item.fields)
        origin = (records.ORIGIN, item.subject, ORIGIN_RANK)
        if copy != item.subject and records.add_ref(conn, copy, *origin):
            moved = records.settle(conn, [copy])
            rebuild(conn, hub, (), moved)
        connections.set_state(conn, item.connection, "ok")

    told = [] if receipt.raw is None else [Arrived(Row(item.stream, receipt.raw), leases.now())]
    try:
        absorb(hub, live, told, begin=confirm)
    except StoreError:
        raise
    except Exception:  # whatever the answer does to us, the write must not be made again
        log.exception("receipt not understood", extra={"delivery": item.id})
        hub.database.run(confirm)
    log.info("delivery confirmed", extra={"delivery": item.id, "took_ms": took_ms})


def _store_failure(
    hub: Hub, lane: Lane, live: Live, item: Delivery, exc: Exception, took_ms: int
) -> str:
    state, after_s = _verdict(item, exc, looks_up=live.adapter.looks_up)
    refused = isinstance(exc, AuthError)
    with hub.database.write() as conn:
        lane.hold(conn)
        outbox.fail(conn, item, state, exc, took_ms, retry_after_s=after_s)
        if refused and connections.set_state(conn, item.connection, "auth_failed", str(exc)):
            log.error("credentials refused", extra={"connection": item.connection})
    log.warning(
        "delivery failed",
        extra={"delivery": item.id, "state": state, "error": type(exc).__name__},
    )
    return "refused" if refused else state


def _verdict(item: Delivery, exc: Exception, *, looks_up: bool) -> tuple[str, float]:
    """What becomes of a delivery after this error, and when it is tried again."""
    if isinstance(exc, UnknownOutcomeError) and not looks_up:
        return "unknown", 0.0
    if isinstance(exc, ConflictError) and item.attempts < CONFLICTS_MAX:
        return "retry", float(RETRY_S[0])  # the vendor's copy moved under us: look at it anew
    if isinstance(exc, RejectedError | ConfigError):
        return "dead", 0.0
    tried_all = item.attempts + 1 >= len(RETRY_S)
    if tried_all and leases.now() - item.created_at > GIVE_UP_AFTER:
        return "dead", 0.0
    base = RETRY_S[min(item.attempts, len(RETRY_S) - 1)]
    asked = exc.retry_after_s if isinstance(exc, RetryableError) and exc.retry_after_s else 0.0
    return "retry", max(asked, base * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
