"""For vendors without a change feed: scan after scan of "what changed since".

One scan reads everything changed since the last complete one began, in pages. The next one starts a
little earlier than this one began, because a change may become visible late (a long transaction, a
search index, a clock); rows that come twice by that are recognised by their hash downstream.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from hub.sdk.types import Page, Raw

OVERLAP_S = 300.0

Read = Callable[[datetime | None, str], tuple[Sequence[Raw], str | None]]
"""(changed since, position in this scan, at first "") → rows, and the next position or None."""


def scan(
    read: Read,
    cursor: str | None,
    *,
    now: Callable[[], datetime],
    since: datetime | None = None,
    overlap_s: float = OVERLAP_S,
) -> Iterator[Page]:
    """The pages of one scan; none at all when nothing changed.

    ``read`` must return each row that keeps matching exactly at its position, in an order that
    rows changed meanwhile cannot disturb: page by "id greater than", never by page number.

    Args:
        read: one query at the vendor.
        cursor: of the last page that was stored.
        now: the vendor's clock; ``Http.now``.
        since: where the very first scan starts.
        overlap_s: longer where changes become visible later.
    """
    place = json.loads(cursor) if cursor else {}
    since = datetime.fromisoformat(place["since"]) if place.get("since") else since
    position, began = place.get("position", ""), place.get("began")
    started = time.monotonic()
    empty = not position
    while True:
        rows, after = read(since, position)
        if began is None:  # asked after the first answer: only then the vendor's clock is known
            elapsed_s = time.monotonic() - started
            began = (now() - timedelta(seconds=elapsed_s)).isoformat(timespec="seconds")
        if after is None:
            if rows or not empty:
                done = datetime.fromisoformat(began) - timedelta(seconds=overlap_s)
                yield Page(rows, json.dumps({"since": done.isoformat()}))
            return
        yield Page(rows, _cursor(since, began, after))
        position, empty = after, False


def _cursor(since: datetime | None, began: str, position: str) -> str:
    place = {"since": since.isoformat() if since else "", "began": began, "position": position}
    return json.dumps(place)
