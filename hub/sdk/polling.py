"""For vendors without a change feed: scan after scan of "what changed since".

One scan reads everything changed since the last complete one began, in pages. The next one starts a
little earlier than this one began, because a change may become visible late (a long transaction, a
search index, a clock); rows that come twice by that are recognised by their hash downstream. The
lower bound is closed for the same reason: a row changed in that very instant comes again.

How pages are turned decides what can be lost:

- By "id greater than", or by (changed at, id) where the vendor can compare both: nothing is lost,
  however many rows share an instant. Put what was last seen into the position.
- Only in order of change, with an offset or a page number: name the ``stamp``. Then each page
  begins a query of its own at the last instant seen, so that rows which move to the end when they
  are changed push no other over the edge of a page, and a limit on how deep a query may go
  (``cap``) is met only within one instant. Positions are then used within one instant alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from time import monotonic

from hub.errors import CursorExpiredError, RejectedError, RemoteError, RetryableError
from hub.sdk.types import Page, Raw, Sighting, Survey

OVERLAP_S = 300.0

Read = Callable[[datetime | None, str], tuple[Sequence[Raw], str | None]]
"""(changed since, position in this query, at first "") → rows, and the next position or None."""

Stamp = Callable[[Raw], datetime]
"""When a row was last changed."""


def scan(
    read: Read,
    cursor: str | None,
    *,
    now: Callable[[], datetime],
    since: datetime | None = None,
    overlap_s: float = OVERLAP_S,
    stamp: Stamp | None = None,
    cap: int | None = None,
) -> Iterator[Page]:
    """The pages of one scan; none at all when nothing changed.

    Without a ``stamp``, ``read`` must return each row that keeps matching exactly at its position,
    in an order that rows changed meanwhile cannot disturb: page by "id greater than", never by page
    number. With one, it must return the oldest change first.

    Args:
        read: one query at the vendor; "changed since" includes that instant.
        cursor: of the last page that was stored.
        now: the vendor's clock; ``Http.now``.
        since: where the very first scan starts.
        overlap_s: how late changes become visible; ``Stream.overlap_s``.
        stamp: for vendors that can page in order of change only.
        cap: how many rows one query of such a vendor gives before it falls silent.

    Raises:
        RetryableError: the position does not advance.
        RemoteError: rows come in another order, or more than ``cap`` share one instant.
    """
    place = _Place.told(cursor) if cursor else _Place(since)
    started, began = monotonic(), place.began
    empty = began is None
    circle = Circle("the position of a scan")
    while True:
        rows, position = read(place.since, place.position)
        if began is None:  # asked after the first answer: only then the vendor's clock is known
            elapsed = timedelta(seconds=monotonic() - started)
            began = (now() - elapsed).replace(microsecond=0)
            place = replace(place, began=began)
        onward = place.after(rows, position, stamp, cap)
        if onward is None:
            if rows or not empty:
                done = began - timedelta(seconds=overlap_s)
                yield Page(rows, json.dumps({"since": done.isoformat()}))
            return
        circle.check(onward.cursor())
        yield Page(rows, onward.cursor())
        place, empty = onward, False


def sweep(
    read: Callable[[str | None], tuple[Sequence[Sighting], str | None]], cursor: str | None
) -> Iterator[Survey]:
    """The pages of a survey, to the end of what exists.

    Args:
        read: a page behind a position, None for the first, and the position behind it, None = that
            was all.
        cursor: of the last page that was looked at.

    Raises:
        RetryableError: the position does not advance.
    """
    circle = Circle("the position of a survey")
    while True:
        seen, cursor = read(cursor)
        if cursor is not None:
            circle.check(cursor)
        yield Survey(seen, cursor)
        if cursor is None:
            return


def expiring(read: Read, vendor: str) -> Read:
    """A reader for ``scan`` whose vendor refuses a position it does not know any more.

    A department that was dissolved, or a token of last week, must not stop a stream for good.
    """

    def reading(since: datetime | None, position: str) -> tuple[Sequence[Raw], str | None]:
        try:
            return read(since, position)
        except RejectedError as exc:
            if not position:
                raise
            said = f"{vendor} does not know our place any more"
            raise CursorExpiredError(said, hint=exc.hint) from exc

    return reading


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a scan stands.

    Attributes:
        since: from which instant on the query under way asks.
        began: when the scan began, by the vendor's clock; None = it did not.
        position: in the query under way.
        read: rows the query under way gave so far.
    """

    since: datetime | None
    began: datetime | None = None
    position: str = ""
    read: int = 0

    @classmethod
    def told(cls, cursor: str) -> _Place:
        told = json.loads(cursor)
        return cls(
            _instant(told.get("since")),
            _instant(told.get("began")),
            told.get("position", ""),
            told.get("read", 0),
        )

    def cursor(self) -> str:
        told = {
            "since": self.since.isoformat() if self.since else "",
            "began": self.began.isoformat() if self.began else "",
            "position": self.position,
        }
        return json.dumps(told | ({"read": self.read} if self.read else {}))

    def after(
        self, rows: Sequence[Raw], position: str | None, stamp: Stamp | None, cap: int | None
    ) -> _Place | None:
        """Where to go on behind these rows; None = that was all."""
        if stamp is None or not rows:
            return None if position is None else replace(self, position=position)
        last = _in_order(rows, stamp)
        count = self.read + len(rows)
        capped = cap is not None and count >= cap
        if position is None and not capped:
            return None
        if self.since is None or last > self.since:
            return _Place(last, self.began)
        if position is None or capped:
            raise RemoteError(
                f"{count} rows or more were changed in one instant, {last.isoformat()}, "
                "and the vendor gives no more of them",
                hint="Read the stream by ids, or ask the vendor for a way to page within it.",
            )
        return replace(self, position=position, read=count)


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _in_order(rows: Sequence[Raw], stamp: Stamp) -> datetime:
    """The last of their instants, once it is sure that none is behind it."""
    stamps = [stamp(row) for row in rows]
    if any(later < earlier for earlier, later in pairwise(stamps)):
        raise RemoteError(
            "the rows are not in the order of their changes",
            hint="Some would be lost: have the adapter ask for them oldest change first.",
        )
    return stamps[-1]


@dataclass(slots=True)
class Circle:
    """Watches what has to advance; says when something comes back, however long the way round.

    Brent's way: it keeps one earlier place, later and later ones, and needs no more memory.
    """

    what: str
    _kept: str | None = field(default=None, init=False)
    _steps: int = field(default=0, init=False)
    _limit: int = field(default=1, init=False)

    def check(self, place: str) -> None:
        """Return when this place is not known to have been passed before.

        Raises:
            RetryableError: it was.
        """
        if place == self._kept:
            raise RetryableError(
                f"{self.what} does not advance",
                hint="The vendor sends the same pages again and again.",
            )
        self._steps += 1
        if self._steps >= self._limit:
            self._kept, self._steps, self._limit = place, 0, self._limit * 2
