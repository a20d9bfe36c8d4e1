"""Queued writes → vendors, one lane at a time, in order per record.

What is written is decided when it is sent: an update of the copy we know, the adoption of one that
is there already, or a new one. The intent to write is committed first, so that a kill in between
leaves a delivery whose outcome is looked up, never one that is blindly repeated.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection

from hub.errors import (
    AuthError,
    ConfigError,
    ConflictError,
    HubError,
    MappingError,
    PacedError,
    RecordError,
    RejectedError,
    RemoteError,
    RetryableError,
    StoreError,
    UnknownOutcomeError,
    UnsupportedError,
)
from hub.mapping import fields_of, shared, to_canonical, to_vendor
from hub.models import PARTY_KINDS, Level, Ref
from hub.pipeline import align
from hub.pipeline.absorb import Arrived, absorb, rebuild, settle
from hub.pipeline.lane import HELD_S, Lane
from hub.registry import Hub, Live
from hub.sdk import Change, Deleted, Raw, Receipt, RecordRef, Row, Stream
from hub.sdk.pace import urgent
from hub.store import (
    alerts,
    breaker,
    connections,
    customers,
    evidence,
    jobs,
    leases,
    outbox,
    records,
    syncs,
)
from hub.store.db import identity_lock
from hub.store.outbox import Delivery
from hub.syncs.decide import differing, resembles
from hub.syncs.spec import Plan

log = logging.getLogger(__name__)

T = TypeVar("T")
BATCH_MAX = 100
RETRY_S = (5, 30, 120, 600, 3600, 3 * 3600, 8 * 3600, 16 * 3600)
GIVE_UP_AFTER = timedelta(hours=24)
CONFLICTS_MAX = 3
AWAIT_S = 5.0
REST_MAX_S = 60.0
ORIGIN_RANK = 9
"""A copy belongs where its original does, unless its own references say better."""


@dataclass(frozen=True, slots=True)
class Order:
    """What exactly to write now.

    Attributes:
        values: canonical path → value it says; the same in the vendor's words is in ``change``.
        match: vendor values by which a copy that is there already may be found.
        awaits: a record whose copy must be there first.
        sync: the plan behind it.
    """

    change: Change
    values: Mapping[str, Any]
    match: Raw = field(default_factory=dict)
    awaits: str | None = None
    sync: Plan | None = None

    @property
    def is_needless(self) -> bool:
        """Whether the copy says all of it already, or there is nothing left to copy."""
        return not self.change.values and (self.change.id is not None or self.sync is not None)


def deliver(hub: Hub, lane: Lane) -> None:
    """Drain a lane until it is empty or its time is up."""
    (name,) = lane.names
    while lane.has_time:
        with hub.database.read() as conn:
            items = outbox.due(conn, name, BATCH_MAX)
            if not items and outbox.is_held_back(conn, name):
                lane.rest_s = HELD_S
        if not items:
            return
        live = lane.ready(hub, items[0].connection, "adapter")
        if live is None or _rests(hub, lane, live):
            return
        stopped: set[str] = set()
        for item in items:
            if item.order_key in stopped or not lane.has_time:
                continue
            became = _deliver_one(hub, lane, live, item)
            if became in ("refused", "rests"):
                return  # every further try would only knock at a closed door
            if became not in ("confirmed", "dead", "skipped"):
                stopped.add(item.order_key)


def _rests(hub: Hub, lane: Lane, live: Live) -> bool:
    """Whether the vendor is left alone for now; the lane rests as long."""
    with hub.database.read() as conn:
        until = breaker.open_until(conn, live.name)
    if until is None:
        return False
    lane.rest_s = max(HELD_S, (until - leases.now()).total_seconds())
    return True


def _deliver_one(hub: Hub, lane: Lane, live: Live, item: Delivery) -> str:
    """Try once and store the outcome: confirmed, skipped, dead, retry, unknown, looping, refused
    or rests.
    """  # noqa: D205 - one sentence
    lane.keep(hub)
    began = time.monotonic()
    try:
        with lane.kept(hub), urgent():
            _check_not_cut_off(live, item)
            return _write(hub, lane, live, item)
    except StoreError:
        raise
    except PacedError as exc:
        return _pause(hub, lane, item, exc)
    except HubError as exc:
        error: HubError = exc
    except Exception as exc:
        log.exception("adapter failed", extra={"delivery": item.id})
        error = RejectedError(f"{type(exc).__name__} in the adapter {live.manifest.name}")
        error.__cause__ = exc
    return _store_failure(hub, lane, live, item, error, _ms(began))


def _pause(hub: Hub, lane: Lane, item: Delivery, exc: PacedError) -> str:
    """It is not time yet for any call to this vendor."""
    after_s = exc.retry_after_s or AWAIT_S
    _note(hub, lane, item, lambda conn: outbox.wait(conn, item, after_s, str(exc)))
    lane.rest_s = min(after_s, REST_MAX_S)
    return "rests"


def _check_not_cut_off(live: Live, item: Delivery) -> None:
    """A killed process may have made this already; some vendors can be asked.

    Raises:
        UnknownOutcomeError: this one cannot.
    """
    was_making = item.state == "sending" and item.under_way == "create"
    if was_making and not _looks_up(live, item):
        raise UnknownOutcomeError("the hub was stopped while it wrote this")


def _write(hub: Hub, lane: Lane, live: Live, item: Delivery) -> str:
    """Decide, tell the vendor, take in its answer; a conflict is fetched and decided again."""
    for _ in range(CONFLICTS_MAX):
        order = _order(hub, live, item)
        if order.awaits:
            return _wait_for(hub, lane, item, order.awaits)
        if order.change.id is None and _adopt(hub, lane, live, item, order):
            continue
        if order.is_needless:
            return _close(hub, lane, item, order)
        if order.change.id is not None and _loops(hub, lane, item, order.change.id):
            return "looping"
        begun = _begin(hub, lane, item, order)
        if begun != "sending":
            return begun
        began = time.monotonic()
        try:
            receipt = live.adapter.push(live.streams[item.stream], order.change)
        except ConflictError:
            if order.change.id is None or not live.can("fetch", item.stream):
                raise
            _refresh(hub, lane, live, item, order.change.id)
            continue
        except RejectedError:
            if order.change.id is None or not _is_gone(hub, lane, live, item, order.change.id):
                raise
            continue
        _store_success(hub, lane, live, item, order, receipt, _ms(began))
        return "confirmed"
    raise RetryableError("the vendor's copy changes faster than it can be written")


def _order(hub: Hub, live: Live, item: Delivery) -> Order:
    """What there is to write now, in the vendor's words."""
    _stream(live, item)
    spec = live.mapping(item.stream)
    with hub.database.read() as conn:
        subject = Ref.parse(item.subject)
        one = _plan(conn, hub, item)
        if one is None:
            id_ = copy_of(conn, subject, item.connection, item.stream)
            values = fields = named = item.fields
        else:
            id_, values = _agreed(conn, one, item)
            named = syncs.with_refs(conn, values)
            fields = fields_of(named)
        missing: list[str] = []

        def find(ref: Ref, stream: str) -> str | None:
            found = counterpart(conn, ref, item.connection, stream)
            if found is None:
                missing.extend(_same_thing(conn, ref))
            return found

        vendor = to_vendor(spec, fields, find=find)
        awaits = outbox.awaited(conn, item, missing) if missing else None
        values = _sayable(values, named, missing)
        match = to_vendor(spec, _match_fields(conn, live, item), find=find) if id_ is None else {}
        version = records.version(conn, f"{item.connection}/{item.stream}/{id_}") if id_ else ""
    change = Change(id_, vendor, item.key, f"hub-{item.key[:16]}", version)
    return Order(change, values, match, awaits, one)


def _sayable(
    values: Mapping[str, Any], named: Mapping[str, Any], missing: Collection[str]
) -> dict[str, Any]:
    """The values without references to what has no copy there yet.

    They are not written, so what the vendor shows for them is nothing it made of them.
    """
    return {
        path: value
        for path, value in values.items()
        if value == named[path] or (named[path] and str(Ref(**named[path])) not in missing)
    }


def _plan(conn: Connection, hub: Hub, item: Delivery) -> Plan | None:
    if item.sync is None:
        return None
    found = align.plan_named(hub, item.sync)
    if found is None:
        raise ConfigError(
            f"there is no sync {item.sync} any more",
            hint="Skip this delivery, or restore the sync.",
        )
    return found


def _agreed(conn: Connection, one: Plan, item: Delivery) -> tuple[str | None, Mapping[str, Any]]:
    """The copy to bring in line, or None to make one; and what it does not say yet."""
    subject = syncs.subjects(conn, [item.subject]).get(item.subject, item.subject)
    (group,) = syncs.load(conn, one, [subject])
    place = f"{item.connection}/{item.stream}"
    here = [m for m in group.members if m.stream == place]
    target = next((m for m in here if m.ref == item.subject), here[0] if here else None)
    agreed = group.values
    made = item.under_way not in (None, "tried")
    if target is None and not made and all(m.gone for m in group.members):
        return None, {}  # it was deleted before its copy was made
    if target is None:
        writable = [path for path in one.paths if path in agreed and path in one.writable[place]]
        return None, {path: agreed[path] for path in writable}
    paths = [] if target.gone else differing(one, target, agreed)
    told = {path: _cleared(agreed[path], target.values.get(path)) for path in paths}
    return target.ref.removeprefix(f"{place}/"), told


def _cleared(value: Any, shown: Any) -> Any:
    """A mapping leaves None out; a text is cleared by an empty one."""
    return "" if value is None and isinstance(shown, str) else value


def _match_fields(conn: Connection, live: Live, item: Delivery) -> dict[str, Any]:
    """The subject's fields by which its copy over there can be recognised."""
    names = live.mapping(item.stream).match
    found = records.load(conn, [item.subject]) if names and live.can("find", item.stream) else {}
    if item.subject not in found:
        return {}
    document = found[item.subject].model_dump(mode="json")
    told = {name: document[name] for name in names if document.get(name)}
    points = [
        point
        for point in document.get("contact_points", ())
        if point["type"] in names and point["level"] != Level.CLAIMED  # a stranger may say it
    ]
    return told | ({"contact_points": points} if points else {})


def _stream(live: Live, item: Delivery) -> Stream:
    stream = live.streams.get(item.stream)
    if stream is None or not stream.writable or item.stream not in live.mappings:
        raise ConfigError(
            f"{item.connection}/{item.stream} cannot be written to",
            hint="Mend the rule or sync that queued this.",
        )
    return stream


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


def _same_thing(conn: Connection, ref: Ref) -> list[str]:
    """The records any of which a copy of the same thing may be made from."""
    mine = customers.links(conn, [str(ref)]).get(str(ref))
    original = outbox.copies(conn, [str(ref)]).values()
    return [str(ref), *original, *(customers.members(conn, mine) if mine else ())]


def counterpart(conn: Any, ref: Ref, connection: str, stream: str) -> str | None:
    """What another system calls the same thing: also what a copy of ours was made from."""
    if found := copy_of(conn, ref, connection, stream):
        return found
    original = outbox.copies(conn, [str(ref)]).get(str(ref), "")
    if not original:
        return None
    prefix = f"{connection}/{stream}/"
    if original.startswith(prefix):
        return original.removeprefix(prefix)
    return outbox.bound_id(conn, original, connection, stream)


def _adopt(hub: Hub, lane: Lane, live: Live, item: Delivery, order: Order) -> bool:
    """Bind the one copy that is there already, so that no second one is made."""
    if item.under_way == "create":
        return False  # what we find may be our own earlier write: the adapter looks that up
    found = _candidates(hub, live, item, order)
    if len(found) > 1:
        raise RejectedError(
            f"{len(found)} records in {live.name}/{item.stream} look like {item.subject}",
            hint=f"Choose one: hub deliveries adopt {item.id} ID; they are {', '.join(found)}.",
        )
    if not found:
        return False
    ((id_, row),) = found.items()

    def bind(conn: Connection) -> None:
        lane.hold(conn)
        outbox.bind(conn, item, id_, {})
        if outbox.bound_id(conn, item.subject, item.connection, item.stream) == id_:
            _belongs(conn, hub, live, item, id_)

    def in_line(conn: Connection) -> None:
        align.align(conn, hub, [item.subject, f"{live.name}/{item.stream}/{id_}"])

    told = [Arrived(Row(item.stream, row), leases.now())]
    absorb(hub, live, told, in_line, begin=bind)
    with hub.database.read() as conn:
        bound = outbox.bound_id(conn, item.subject, item.connection, item.stream)
    if bound != id_:
        raise RejectedError(
            f"{live.name}/{item.stream}/{id_} is the copy of another record already",
            hint="Merge the two customers, or change what they are matched by.",
        )
    log.info("copy adopted", extra={"delivery": item.id})
    return True


def _candidates(hub: Hub, live: Live, item: Delivery, order: Order) -> dict[str, Raw]:
    """Rows that may be the copy, by id: the one a person named, or those that look alike."""
    with hub.database.read() as conn:
        named = outbox.bound_id(conn, item.subject, item.connection, item.stream)
    if named is None:
        found = live.adapter.find(live.streams[item.stream], order.match) if order.match else ()
        return {live.mapping(item.stream).external_id(row): row for row in found}
    row = (
        live.adapter.fetch(RecordRef(item.stream, named))
        if live.can("fetch", item.stream)
        else None
    )
    if row is None:
        raise RejectedError(
            f"{live.name}/{item.stream}/{named}, the copy of {item.subject}, cannot be read",
            hint="Pull the stream; if it is not there any more, skip this delivery.",
        )
    return {named: row}


def _begin(hub: Hub, lane: Lane, item: Delivery, order: Order) -> str:
    """Commit what is about to be done: sending; skipped when a person was quicker; or retry."""
    what = "create" if order.change.id is None else "update"
    with hub.database.write() as conn:
        lane.hold(conn)
        if order.sync and what == "create" and (other := _being_made(conn, order.sync, item)):
            outbox.wait(conn, item, AWAIT_S, outbox.awaiting(other))
            return "retry"
        return "sending" if outbox.begin(conn, item, what, order.values) else "skipped"


def _being_made(conn: Connection, one: Plan, item: Delivery) -> str | None:
    """The record from which another lane may be making this very copy now."""
    subject = syncs.subjects(conn, [item.subject]).get(item.subject, item.subject)
    syncs.lock(conn, one, [subject])  # of two that begin, one sees the other
    return outbox.being_made(conn, item, _same_thing(conn, Ref.parse(item.subject)))


def _note(hub: Hub, lane: Lane, item: Delivery, change: Callable[[Connection], T]) -> T:
    """Store what became of a try, and decide on what was edited over there during it."""

    def story(conn: Connection) -> T:
        lane.hold(conn)
        noted = change(conn)
        with suppress(ConfigError):  # such a sync writes nothing
            one = align.plan_named(hub, item.sync) if item.sync else None
            if one is not None:
                align.catch_up(conn, one, item.subject)
        return noted

    return hub.database.run(story)


def _loops(hub: Hub, lane: Lane, item: Delivery, external_id: str) -> bool:
    """Stop the writes to a record that systems seem to answer each other with."""
    with hub.database.read() as conn:
        if not outbox.is_looping(conn, item, external_id):
            return False
    name = f"{item.connection}/{item.stream}/{external_id}"

    def stop(conn: Connection) -> bool:
        outbox.stop(conn, item, f"{name} was written too often")
        return alerts.open_(
            conn,
            "loop",
            item.connection,
            name,
            f"{name} was written more than {outbox.LOOP_WRITES} times in ten minutes",
            "Two systems answer each other: look at hub trace, then hub deliveries replay or skip.",
        )

    if _note(hub, lane, item, stop):
        log.error("loop stopped", extra={"delivery": item.id})
    return True


def _is_gone(hub: Hub, lane: Lane, live: Live, item: Delivery, external_id: str) -> bool:
    """Whether a write was refused because its record was deleted; then that is taken in."""
    if not live.can("fetch", item.stream):
        return False
    try:
        row = live.adapter.fetch(RecordRef(item.stream, external_id))
    except UnsupportedError:  # not of this stream
        return False
    if row is None:
        _take_in(hub, lane, live, item, external_id, row)
    return row is None


def _refresh(hub: Hub, lane: Lane, live: Live, item: Delivery, external_id: str) -> None:
    """Take in what the vendor holds now, so that it is decided on that."""
    row = live.adapter.fetch(RecordRef(item.stream, external_id))
    _take_in(hub, lane, live, item, external_id, row)


def _take_in(
    hub: Hub, lane: Lane, live: Live, item: Delivery, external_id: str, row: Raw | None
) -> None:
    told = Deleted(item.stream, external_id) if row is None else Row(item.stream, row)

    def rest(conn: Connection) -> None:
        lane.hold(conn)
        outbox.wait(conn, item, 0.0, "the vendor's copy has changed")  # nothing is under way

    absorb(hub, live, [Arrived(told, leases.now())], begin=rest)


def refetch(hub: Hub, id_: int) -> None:
    """Take in the vendor's copy of what a delivery writes, as it is now.

    Raises:
        ConfigError: there is no such delivery, no copy yet, or the vendor cannot be asked.
    """
    with hub.database.read() as conn:
        row = outbox.get(conn, id_)
        if row is None:
            raise ConfigError(f"there is no delivery {id_}")
        external_id = copy_of(conn, Ref.parse(row["subject"]), row["connection"], row["stream"])
    live = hub.registry.get(row["connection"])
    if external_id is None or not live.can("fetch", row["stream"]):
        raise ConfigError(
            f"there is no copy of {row['subject']} in {live.name} to fetch",
            hint=f"If there is one, name it: hub deliveries adopt {id_} EXTERNAL_ID.",
        )
    raw = live.adapter.fetch(RecordRef(row["stream"], external_id))
    told = Deleted(row["stream"], external_id) if raw is None else Row(row["stream"], raw)
    absorb(hub, live, [Arrived(told, leases.now())])


def _wait_for(hub: Hub, lane: Lane, item: Delivery, name: str) -> str:
    why = outbox.awaiting(name)
    _note(hub, lane, item, lambda conn: outbox.wait(conn, item, AWAIT_S, why))
    return "retry"


def _close(hub: Hub, lane: Lane, item: Delivery, order: Order) -> str:
    """Everybody is in line already."""
    id_ = order.change.id
    _note(hub, lane, item, lambda conn: outbox.close(conn, item, "in line", id_))
    return "confirmed"


def _store_success(
    hub: Hub, lane: Lane, live: Live, item: Delivery, order: Order, receipt: Receipt, took_ms: int
) -> None:
    """Confirm the write and take in what the vendor answered, in one transaction."""
    place = f"{item.connection}/{item.stream}"
    raw = receipt.raw if receipt.raw is not None else _read_back(live, item, order, receipt.id)

    def confirm(conn: Connection) -> None:
        lane.hold(conn)
        outbox.confirm(conn, item, receipt.id, took_ms, order.values)
        _belongs(conn, hub, live, item, receipt.id)
        if order.sync:
            _note_written(conn, live, item, order, receipt.id, raw)
        jobs.hasten(conn, "react", item.connection)
        outbox.hasten(conn, item.connection, outbox.awaiting(item.subject))
        alerts.close(conn, "backlog", item.connection, item.subject)
        alerts.close(conn, "loop", item.connection, f"{place}/{receipt.id}")
        connections.set_state(conn, item.connection, "ok")

    def in_line(conn: Connection) -> None:
        if order.sync:
            copy = f"{item.connection}/{item.stream}/{receipt.id}"
            found = syncs.subjects(conn, [item.subject, copy])
            align.align_subjects(conn, order.sync, found.values())
        breaker.note(conn, item.connection, failed=False)  # last: all lanes share this row

    told = [] if raw is None else [Arrived(Row(item.stream, raw), leases.now())]
    try:
        absorb(hub, live, told, in_line, begin=confirm)
    except StoreError:
        raise
    except Exception:  # whatever the answer does to us, the write must not be made again
        log.exception("receipt not understood", extra={"delivery": item.id})
        hub.database.run(confirm)
    log.info("delivery confirmed", extra={"delivery": item.id, "took_ms": took_ms})


def _read_back(live: Live, item: Delivery, order: Order, external_id: str) -> Raw | None:
    """What the vendor made of the write, where it did not say; none when that cannot be had now."""
    if order.sync is None or not live.can("fetch", item.stream):
        return None
    try:
        return live.adapter.fetch(RecordRef(item.stream, external_id))
    except HubError as exc:
        log.info("write not read back", extra={"delivery": item.id, "fault": str(exc)})
        return None


def _note_written(
    conn: Connection, live: Live, item: Delivery, order: Order, external_id: str, raw: Raw | None
) -> None:
    """Remember what was written, and learn what the vendor makes of it."""
    if order.sync is None:
        return
    one = order.sync
    subject = syncs.subjects(conn, [item.subject]).get(item.subject, item.subject)
    copy = f"{item.connection}/{item.stream}/{external_id}"
    document = None if raw is None else _document(live, item, raw, copy)
    shown = syncs.named(conn, shared(order.values, document)) if document else {}
    base = shown
    if item.under_way:  # an earlier try may have done it: since then, people edit it too
        shown = {p: v for p, v in shown.items() if resembles({p: order.values[p]}, {p: v})}
        base = {**order.values, **shown}
    syncs.note_written(conn, one, subject, copy, order.values, shown, base)


def _document(live: Live, item: Delivery, raw: Raw, copy: str) -> Mapping[str, Any]:
    """The record in a vendor's answer; nothing when it cannot be read, which quarantine tells."""
    try:
        cut = to_canonical(live.mapping(item.stream), raw, connection=live.name)
    except MappingError:
        return {}
    return next((r.model_dump(mode="json") for r in cut if str(r.ref) == copy), {})


def _belongs(conn: Connection, hub: Hub, live: Live, item: Delivery, external_id: str) -> None:
    """A copy is of the same customer as its original, whatever its own evidence says."""
    copy = f"{item.connection}/{item.stream}/{external_id}"
    if copy == item.subject:
        return
    if set(live.mapping(item.stream).kinds) & set(PARTY_KINDS):
        identity_lock(conn)
        customers.note_copies(conn, {copy: item.subject})
        seen_before = customers.links(conn, [copy])
        if seen_before:
            known = evidence.known(conn, seen_before).values()
            rebuild(conn, hub, settle(conn, list(known), (), actor="hub").touched)
    origin = (records.ORIGIN, item.origin, ORIGIN_RANK)
    if records.add_ref(conn, copy, *origin):
        rebuild(conn, hub, (), records.settle(conn, [copy]))


def _store_failure(
    hub: Hub, lane: Lane, live: Live, item: Delivery, exc: HubError, took_ms: int
) -> str:
    state, after_s = _verdict(item, exc, looks_up=_looks_up(live, item))
    refused = isinstance(exc, AuthError)
    failed = isinstance(exc, RetryableError | UnknownOutcomeError)
    leaves = _leaves(item, exc)

    def fail(conn: Connection) -> None:
        outbox.fail(conn, item, state, exc, took_ms, retry_after_s=after_s, leaves=leaves)
        if outbox.waiting_behind(conn, item) > outbox.BACKLOG_MAX:
            words = f"more than {outbox.BACKLOG_MAX} writes wait behind delivery {item.id}"
            hint = f"See hub deliveries show {item.id}; mend its cause, or skip it."
            alerts.open_(conn, "backlog", item.connection, item.subject, words, hint)
        if refused and connections.set_state(conn, item.connection, "auth_failed", str(exc)):
            log.error("credentials refused", extra={"connection": item.connection})

    _note(hub, lane, item, fail)
    rests = False
    if isinstance(exc, RemoteError | RejectedError):  # else the vendor was not asked
        with hub.database.write() as conn:
            rests = breaker.note(conn, item.connection, failed=failed)
    log.warning(
        "delivery failed",
        extra={"delivery": item.id, "state": state, "error": type(exc).__name__},
    )
    if refused:
        return "refused"
    return "rests" if rests else state


def _leaves(item: Delivery, exc: HubError) -> str | None:
    """What a failed try may have left at the vendor, or those before it."""
    if isinstance(exc, UnknownOutcomeError):
        return "written"
    if not isinstance(exc, RemoteError):
        return None
    if item.under_way in ("create", "update"):
        return "written"
    tried = isinstance(exc, RetryableError) and exc.maybe_done
    return "tried" if tried or item.under_way == "tried" else None


def _verdict(item: Delivery, exc: HubError, *, looks_up: bool) -> tuple[str, float]:
    """What becomes of a delivery after this error, and when it is tried again."""
    if isinstance(exc, UnknownOutcomeError) and not looks_up:
        return "unknown", 0.0
    if isinstance(exc, ConflictError) and item.attempts < CONFLICTS_MAX:
        return "retry", float(RETRY_S[0])  # the vendor's copy moved under us: look at it anew
    if isinstance(exc, RecordError | ConfigError):
        return "dead", 0.0
    tried_all = item.attempts + 1 >= len(RETRY_S) and not isinstance(exc, AuthError)
    if tried_all and leases.now() - item.created_at > GIVE_UP_AFTER:
        return "dead", 0.0
    base = RETRY_S[min(item.attempts, len(RETRY_S) - 1)]
    asked = exc.retry_after_s if isinstance(exc, RetryableError) and exc.retry_after_s else 0.0
    return "retry", max(asked, base * random.uniform(0.8, 1.2))  # noqa: S311 - jitter


def _looks_up(live: Live, item: Delivery) -> bool:
    stream = live.streams.get(item.stream)
    told = stream.looks_up if stream else None
    return live.adapter.looks_up if told is None else told


def _ms(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
