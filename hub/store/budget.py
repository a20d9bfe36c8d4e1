"""How often each vendor may be called: what is set, what it can bear, and what a day has left.

One row per connection is the truth for all processes. Time is dealt out from it: whoever wants to
call takes the next free stretch of about a second with the calls that fit into it, so that the
database is not asked for every call. A connection without limits whose vendor never says "too many"
has no row and writes nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from typing import Any

from sqlalchemy import Connection, literal_column, select, update

from hub.errors import PacedError, RetryableError, StoreError
from hub.sdk.pace import is_urgent
from hub.store import bulk, leases
from hub.store.db import Database
from hub.store.schema import EPOCH, budget, link, record

log = logging.getLogger(__name__)

WINDOW = timedelta(seconds=60)
TOO_MANY = 0.1
"""Share of answers 429 in a window above which calls get rarer."""

SLOWER, FASTER, CLEAN = 0.7, 1.1, 2
"""What a bad window does to the rate, what a good one does, and how many good ones come first."""

RATE_MIN = 0.1
"""Calls a second that are tried however often the vendor refuses."""

RATE_QUIET = 0.4
"""Calls a second that a connection which seldom calls is brought down from: one 429 must not make a
write of two calls impossible."""

RATE_FREE = 100.0
"""Adapted so far up, a connection that has no rate of its own is left alone again."""

REST_S, REST_MAX_S = 1.0, 3600.0
"""The rest after a 429 that names none, and the longest taken at a vendor's word."""

KEPT = 0.2
"""Share of a day's budget that only urgent calls may spend: those somebody waits for."""

BLOCK = timedelta(seconds=1)
BLOCK_CALLS = 20
"""Calls taken at once where a day's number is limited and the rate is not."""

PATIENCE_S = 5.0
"""A longer wait is not sat out in the worker; the task comes back for it."""

TOO_MANY_REQUESTS = 429


@dataclass(frozen=True, slots=True)
class Limits:
    """What an administrator has set; None = as much as the vendor bears."""

    per_s: float | None = None
    per_day: int | None = None

    def __bool__(self) -> bool:
        return self.per_s is not None or self.per_day is not None


@dataclass(frozen=True, slots=True)
class Spending:
    """The row of one connection.

    Attributes:
        next_at: before it the vendor is not called.
        window_at: when counting began.
        calls, throttled: answers in this window, and how many of them were 429.
        clean: windows in a row with few 429.
        rate: calls a second as adapted; None = as set.
        day, spent: calls of that day in UTC.
    """

    next_at: datetime = EPOCH
    window_at: datetime = EPOCH
    calls: int = 0
    throttled: int = 0
    clean: int = 0
    rate: float | None = None
    day: str = ""
    spent: int = 0

    def turned(self, limits: Limits, now: datetime) -> Spending:
        """With a new day begun, and a window closed and its lesson drawn, where one is over."""
        today = now.astimezone(UTC).date().isoformat()
        new = self if self.day == today else replace(self, day=today, spent=0)
        if now - self.window_at < WINDOW:
            return new
        return replace(new._learnt(limits), window_at=now, calls=0, throttled=0)

    def _learnt(self, limits: Limits) -> Spending:
        if not self.calls:
            return self
        if self.throttled > self.calls * TOO_MANY:
            usual = max(self.calls / WINDOW.total_seconds(), RATE_QUIET)
            rate = self.rate or limits.per_s or usual
            return replace(self, rate=max(rate * SLOWER, min(rate, RATE_MIN)), clean=0)
        clean = self.clean + 1
        if self.rate is None or clean < CLEAN:
            return replace(self, clean=clean)
        rate = self.rate * FASTER
        enough = rate >= (limits.per_s or RATE_FREE)
        return replace(self, rate=None if enough else rate, clean=clean)

    def counted(
        self, calls: int, throttled: int, since: datetime, limits: Limits, now: datetime
    ) -> Spending:
        """With answers added that came since then, each in the window it came in."""
        if since - self.window_at < WINDOW:
            total, refused = self.calls + calls, self.throttled + throttled
            return replace(self, calls=total, throttled=refused).turned(limits, now)
        new = self.turned(limits, now)
        return replace(new, window_at=since, calls=calls, throttled=throttled) if calls else new

    def is_free(self, now: datetime) -> bool:
        """Whether a connection without limits may call without asking."""
        return self.rate is None and not self.throttled and self.next_at <= now


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave for some calls, evenly from one instant on, until another."""

    calls: int
    since: datetime
    until: datetime
    gap: timedelta
    day: str = ""

    def slot(self, used: int, now: datetime) -> datetime | None:
        """When the next call may be made after so many; None = it takes another grant."""
        return self.since + used * self.gap if used < self.calls and now < self.until else None


def grant(
    state: Spending, limits: Limits, now: datetime, *, urgent: bool
) -> tuple[Spending, Grant]:
    """Leave for the calls of about a second, and the row after it.

    Raises:
        PacedError: the vendor wants rest, or the day's budget does not allow it.
    """
    since = max(now, state.next_at)
    wait_s = (since - now).total_seconds()
    if wait_s > PATIENCE_S:
        raise PacedError("the vendor may not be called yet", retry_after_s=wait_s)
    rates = [rate for rate in (state.rate, limits.per_s) if rate]
    rate = min(rates, default=None)
    calls = max(1, int(rate * BLOCK.total_seconds())) if rate else BLOCK_CALLS
    if limits.per_day is not None:
        calls = min(calls, _of_today(state, limits.per_day, now, urgent=urgent))
    gap = timedelta(seconds=1 / rate) if rate else timedelta(0)
    until = since + (calls * gap if rate else BLOCK)
    left = replace(state, next_at=until if rate else state.next_at, spent=state.spent + calls)
    return left, Grant(calls, since, until, gap, state.day)


def _of_today(state: Spending, per_day: int, now: datetime, *, urgent: bool) -> int:
    """How many calls of the day's budget may be taken at once."""
    left = per_day - state.spent
    if urgent and 1 <= left <= per_day * KEPT:
        return 1  # what an urgent call takes here, no other may use up
    free = left if urgent else int(left - per_day * KEPT)
    if free < 1:
        words = "is spent" if left < 1 else "is kept for open requests"
        raise PacedError(
            f"what is left of the day's budget of {per_day} calls {words}",
            hint="It goes on at midnight UTC. requests_per_day of the connection sets it.",
            retry_after_s=_until_midnight_s(now),
        )
    return min(free, max(1, per_day // 100))


def _until_midnight_s(now: datetime) -> float:
    tomorrow = now.astimezone(UTC).date() + timedelta(days=1)
    return (datetime.combine(tomorrow, time_of_day(), UTC) - now).total_seconds()


class Budget:
    """The pace of one connection in this process (``hub.sdk.pace.Pace``); safe for threads."""

    LOOK = timedelta(seconds=1)
    """How often a connection without limits looks whether another process slowed it down."""

    def __init__(self, database: Database, connection: str, limits: Limits) -> None:
        self._database, self._connection, self._limits = database, connection, limits
        self._lock = threading.Lock()
        self._grant: Grant | None = None
        self._used = 0
        self._calls = self._throttled = 0  # answers that are not written down yet
        self._since = self._looked_at = EPOCH
        self._free = not limits

    def before(self) -> None:
        """Return when a request may be sent; waits a few seconds at most.

        Raises:
            RetryableError: not for longer than that, or the database cannot tell.
        """
        now = leases.now()
        with self._lock:
            try:
                wait_s = 0.0 if self._may_call_freely(now) else self._wait_s(now)
            except StoreError as exc:
                raise RetryableError("the budget of the vendor cannot be read") from exc
        if wait_s > 0:
            time.sleep(wait_s)

    def after(self, status: int, retry_after_s: float | None) -> None:
        """Count an answer; when the vendor asks for rest, every process takes it."""
        throttled = status == TOO_MANY_REQUESTS
        now = leases.now()
        with self._lock:
            if not self._calls or (self._free and now - self._since > WINDOW):
                self._calls, self._since = 0, now
            self._calls += 1
            self._throttled += throttled
            if not throttled and (status < 400 or retry_after_s is None):
                return
            rest_s = REST_S if retry_after_s is None else min(retry_after_s, REST_MAX_S)
            self._take_rest(now, timedelta(seconds=rest_s))

    def _may_call_freely(self, now: datetime) -> bool:
        if not self._limits and now - self._looked_at >= self.LOOK:
            with self._database.read() as conn:
                state = _load(conn, self._connection)
            self._free = state is None or state.turned(self._limits, now).is_free(now)
            self._looked_at = now
        return self._free

    def _wait_s(self, now: datetime) -> float:
        """Until the next call of what we were granted, or of what we are granted now."""
        slot = self._grant.slot(self._used, now) if self._grant else None
        if slot is None:
            self._ask(now)
            return self._wait_s(now)
        self._used += 1
        return (slot - now).total_seconds()

    def _ask(self, now: datetime) -> None:
        def story(conn: Connection) -> Grant | RetryableError:
            state = self._counted(conn, now)
            found: Grant | RetryableError
            try:
                state, found = grant(state, self._limits, now, urgent=is_urgent())
            except RetryableError as exc:  # what was counted is kept all the same
                found = exc
            _save(conn, self._connection, state)
            return found

        found = self._database.run(story)
        self._written()
        if isinstance(found, RetryableError):
            raise found
        self._grant = found

    def _take_rest(self, now: datetime, rest: timedelta) -> None:
        def story(conn: Connection) -> None:
            state = self._counted(conn, now)
            _save(conn, self._connection, replace(state, next_at=max(state.next_at, now + rest)))

        try:
            self._database.run(story)
        except StoreError as exc:  # the answer is there: nothing may be made of it but an answer
            log.warning("budget not noted", extra={"fault": str(exc)})
            return
        self._written()
        self._free = False

    def _counted(self, conn: Connection, now: datetime) -> Spending:
        """The row, locked, with what we have not told it yet."""
        state = _load(conn, self._connection, lock=True)
        if state is None:
            bulk.insert_new(conn, budget, [{"connection": self._connection, **_row(Spending())}])
            state = _load(conn, self._connection, lock=True) or Spending()
        counted = self._calls, self._throttled, self._since
        state = state.counted(*counted, self._limits, now)
        if self._grant and self._grant.day == state.day:
            state = replace(state, spent=state.spent - self._grant.calls + self._used)
        return state

    def _written(self) -> None:
        self._grant, self._used = None, 0
        self._calls = self._throttled = 0


def every(conn: Connection) -> dict[str, Spending]:
    """What was spent and learnt, by connection."""
    return {row["connection"]: _spending(row) for row in conn.execute(select(budget)).mappings()}


def overview(conn: Connection, limits: Mapping[str, Limits]) -> list[dict[str, Any]]:
    """How each connection stands that has limits, or whose vendor asked for rest."""
    now, found = leases.now(), every(conn)
    names = sorted(name for name in limits if limits[name] or name in found)
    states = {name: found.get(name, Spending()).turned(limits[name], now) for name in names}
    return [
        {
            "connection": name,
            "calls_per_s": state.rate or limits[name].per_s,
            "set_per_s": limits[name].per_s,
            "spent_today": state.spent,
            "per_day": limits[name].per_day,
            "rests_until": state.next_at if state.next_at > now else None,
        }
        for name, state in states.items()
    ]


def _load(conn: Connection, connection: str, *, lock: bool = False) -> Spending | None:
    query = select(budget).where(budget.c.connection == connection)
    row = conn.execute(query.with_for_update() if lock else query).mappings().first()
    return None if row is None else _spending(row)


def _spending(row: Any) -> Spending:
    told = {name: row[name] for name in Spending.__dataclass_fields__ if name != "rate"}
    rate_milli = row["rate_milli"]
    return Spending(**told, rate=None if rate_milli is None else rate_milli / 1000)


def _row(state: Spending) -> dict[str, Any]:
    told = {name: getattr(state, name) for name in state.__dataclass_fields__ if name != "rate"}
    return {**told, "rate_milli": None if state.rate is None else round(state.rate * 1000)}


def _save(conn: Connection, connection: str, state: Spending) -> None:
    conn.execute(update(budget).where(budget.c.connection == connection).values(**_row(state)))


def waited_for(conn: Connection, refs: Iterable[str]) -> set[str]:
    """Those of these raw rows that belong to a customer with an open request."""
    theirs, other = link.alias("theirs"), record.alias("other")
    query = (
        select(record.c.parent)
        .distinct()
        .join(link, link.c.ref == record.c.party)
        .join(theirs, theirs.c.customer_id == link.c.customer_id)
        # In words: only so do both databases see that the index of the few open ones serves.
        .join(other, (other.c.party == theirs.c.ref) & literal_column("other.is_open"))
    )
    found: set[str] = set()
    for chunk in bulk.chunks(refs):
        found.update(conn.execute(query.where(bulk.among(record.c.parent, chunk))).scalars())
    return found


def by_urgency(conn: Connection, refs: Sequence[str]) -> list[str]:
    """The same raw rows, those of customers with an open request first."""
    first = waited_for(conn, refs)
    return sorted(refs, key=lambda ref: ref not in first)
