"""The inbox looked after: events replayed or skipped by filter, old bytes and receipts dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import Connection

from hub.registry import Hub
from hub.store import audit, connections, events, inbox, leases, refusals
from hub.store.db import Database
from hub.store.events import Filter, Mark

BATCH_MAX = 500
DROPPED_MAX = 200
SWEPT_MAX = 50
"""Batches of one connection that a sweep drops at most; the next one goes on."""

REFUSED_FOR = timedelta(days=14)
"""A request nobody vouches for may hold anybody's personal data: it is not kept for long."""


class Tally(NamedTuple):
    """What became of many events.

    Attributes:
        events: that were changed, or would be.
        left: found, and not changed: their bytes have expired, or there is nothing to skip.
        next: what to go on after, None when all were looked at.
    """

    events: int = 0
    left: int = 0
    next: Mark | None = None


class Verb(NamedTuple):
    """Something done to many events, and to which of those that were found."""

    name: str
    act: Callable[[Connection, Sequence[int]], int]
    wants: Callable[[Mapping[str, Any]], bool]


REPLAY = Verb("replay", inbox.replay, lambda row: row["expired_at"] is None)
SKIP = Verb("skip", inbox.skip, lambda row: row["state"] in inbox.OPEN)


def do(conn: Connection, verb: Verb, ids: Sequence[int], actor: str) -> int:
    """Replay or skip these events; how many that changed."""
    changed = verb.act(conn, ids)
    if changed:
        audit.note(conn, actor, verb.name, f"event:{','.join(_spans(ids))}")
    return changed


def do_all(
    database: Database,
    verb: Verb,
    chosen: Filter,
    actor: str,
    *,
    after: Mark | None = None,
    most: int | None = None,
    dry_run: bool = False,
) -> Tally:
    """Replay or skip what a filter finds, newest first, a batch at a time; safe to do twice.

    What comes meanwhile is not touched.

    Args:
        after: `next` of the tally before.
        most: stop when so many events were looked at; None = go through all of them.
    """
    done, left = 0, 0
    while True:
        with database.read() as conn:
            page = events.page(conn, chosen, after=after, limit=BATCH_MAX)
        ids = [row["id"] for row in page.items if verb.wants(row)]
        done += len(ids) if dry_run else database.run(partial(do, verb=verb, ids=ids, actor=actor))
        left, after = left + len(page.items) - len(ids), page.next
        if after is None or (most is not None and done + left >= most):
            return Tally(done, left, after)


def expire(hub: Hub) -> None:
    """Drop bytes and receipts that are past their time, a bounded number of them."""
    now, settings, lives = leases.now(), hub.settings, hub.registry.all()
    with hub.database.read() as conn:
        names = [row["name"] for row in connections.overview(conn)]
    for name in names:
        own = lives[name].own if name in lives else None  # its adapter may be gone
        kept = timedelta(days=(own and own.keep_days) or settings.inbox_days)
        known = timedelta(days=(own and own.receipt_days) or settings.receipt_days)
        known = max(kept, known)
        receipts = partial(inbox.forget, before=now - known, expired_before=now - (known - kept))
        _drop(hub.database, partial(inbox.expire, connection=name, before=now - kept))
        _drop(hub.database, partial(receipts, connection=name))
    with hub.database.write() as conn:
        refusals.drop_old(conn, now - REFUSED_FOR)


def _drop(database: Database, some: Callable[..., int]) -> None:
    for _ in range(SWEPT_MAX):
        if database.run(partial(some, limit=DROPPED_MAX)) < DROPPED_MAX:
            return


def _spans(ids: Sequence[int]) -> Iterator[str]:
    """Numbers as people write many of them: 3, 5-9."""
    for _, group in groupby(enumerate(sorted(ids)), lambda pair: pair[1] - pair[0]):
        run = [id_ for _, id_ in group]
        yield str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}"
