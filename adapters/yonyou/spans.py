"""For lists that come by page number in an order nobody names.

A row that changes while such a list is read may push others over the edge of a page, and they are
lost. So no second page is asked for: the span of time is halved until what it holds fits on one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from hub.sdk import Raw, RemoteError

Ask = Callable[[datetime, datetime, int], Sequence[Raw]]
"""(from, until, number of the page) → rows; both ends belong to it."""

GROWTH = 8
"""How much wider the next span is tried, since most of time is empty."""

SECOND = timedelta(seconds=1)
"""What is shorter the vendor cannot tell apart; only there pages are turned."""


def next_span(
    ask: Ask, position: str, *, first: datetime, until: datetime, size: int
) -> tuple[list[Raw], str | None]:
    """The rows of the next span that fits, and the position behind it; None = that was all."""
    begin, width = _told(position) if position else (first, until - first)
    while True:
        end = min(begin + width, until)
        rows = list(ask(begin, end, 1))
        width = end - begin
        if len(rows) >= size and width > SECOND:
            width = max(timedelta(seconds=width // SECOND // 2), SECOND)
        elif rows or end >= until:
            break
        else:
            begin, width = end, GROWTH * width
    if len(rows) >= size and begin == first:
        raise RemoteError(
            "one second, and the first at that, holds more rows than fit on a page",
            hint="The vendor seems to ignore the span of time it is asked for: raise page_size.",
        )
    page = 1
    while len(rows) >= size * page:  # more within one second than fit
        page += 1
        rows += ask(begin, end, page)
    return rows, None if end >= until else f"{end.isoformat()} {GROWTH * (width // SECOND)}"


def _told(position: str) -> tuple[datetime, timedelta]:
    begin, _, seconds = position.partition(" ")
    return datetime.fromisoformat(begin), timedelta(seconds=int(seconds))
