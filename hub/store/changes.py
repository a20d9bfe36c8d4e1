"""The change feed: every customer once, then what happened, in order and without a gap.

A reader's mark is where it is: ``("all", place, id)`` while customers are listed, ``("since",
place)`` from then on. The listing goes by id, which no rebuild moves, and the place is taken before
it begins: whatever changes while it is read is told behind it.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, select

from hub.store import news
from hub.store.news import News
from hub.store.read import Mark
from hub.store.schema import profile

ALL, SINCE = "all", "since"
PRESENT = "customer.present"
"""Type of what is told of each customer before anything that happened."""


class Told(NamedTuple):
    """A page of the feed, where it goes on, and whether more can be had at once."""

    items: list[News]
    next: Mark
    more: bool


def beginning(conn: Connection, *, listed: bool) -> Mark:
    """Where a new reader stands.

    Args:
        listed: it is told of every customer first; else only of what happens from now on.
    """
    place = news.last(conn)
    return (ALL, place, "") if listed else (SINCE, place)


def page(conn: Connection, mark: Mark, limit: int) -> Told | None:
    """What follows a mark; None when some of it is kept no longer, or never was of this hub."""
    place = int(mark[1])
    if not news.first(conn) - 1 <= place <= news.last(conn):
        return None
    if mark[0] == ALL:
        return _listed(conn, place, str(mark[2]), limit)
    found = news.after(conn, place, limit)
    onward = found[-1].position if found else place
    return Told(found, (SINCE, onward), len(found) == limit)


def _listed(conn: Connection, place: int, last_id: str, limit: int) -> Told:
    p = profile.c
    query = select(p.customer_id, p.built_at).where(p.customer_id > last_id)
    rows = list(conn.execute(query.order_by(p.customer_id).limit(limit)))
    items = [News(0, place, PRESENT, row.customer_id, "", {}, row.built_at) for row in rows]
    if len(rows) < limit:
        return Told(items, (SINCE, place), more=True)
    return Told(items, (ALL, place, rows[-1].customer_id), more=True)
