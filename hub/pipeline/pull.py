"""A stream from its checkpoint to its end: pages in, profiles and deliveries out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection

from hub.errors import (
    AuthError,
    ConfigError,
    CursorExpiredError,
    HubError,
    LeaseLostError,
    PacedError,
    RemoteError,
    RetryableError,
)
from hub.pipeline.absorb import BATCH_MAX, Arrived, Ready, absorb, prepare
from hub.pipeline.lane import Lane
from hub.registry import Hub, Live
from hub.sdk import Deleted, Page, Row
from hub.sdk.polling import Circle
from hub.store import alerts, checkpoints, connections, leases, news, records

log = logging.getLogger(__name__)

T = TypeVar("T")
Batch = tuple[Sequence[Arrived], Ready]
"""Rows for one transaction, and what was made of them already."""

RETRY_S = (5, 15, 60, 300, 900)
FEW, FEWER_BY = 0.7, 20
"""A read from beginning to end that gives less than this share of what the hub holds, and so many
rows fewer, is an alarm: a filter, a permission or a bug hides rows. Nothing is deleted for it."""

EXPIRED, COUNT_DROP = "cursor-expired", "count-drop"


def lease_name(connection: str, stream: str) -> str:
    """The lease a pull works under."""
    return f"pull:{connection}:{stream}"


def pull(hub: Hub, lane: Lane, connection: str, stream: str) -> bool:
    """Go on from the checkpoint; whether the end was reached within this slice.

    Raises:
        HubError: it stopped; the checkpoint stands behind the last whole page.
    """
    live, began = hub.registry.get(connection), leases.now()
    try:
        done = _pull(hub, lane, live, stream)
    except LeaseLostError:
        raise  # whoever took it over notes how it goes
    except PacedError as exc:
        with hub.database.write() as conn:
            lane.hold(conn)
            checkpoints.wait(conn, connection, stream, exc.retry_after_s or RETRY_S[0], str(exc))
        raise
    except HubError as exc:
        _note_failure(hub, lane, live, stream, exc)
        raise
    except Exception as exc:  # a bug must not stand under a green light
        words = f"{type(exc).__name__} in the adapter {live.manifest.name}"
        _note_failure(hub, lane, live, stream, RetryableError(words))
        raise
    with hub.database.write() as conn:
        lane.hold(conn)
        if done:
            _complete(conn, live, stream, began)
        came_back = connections.set_state(conn, connection, "ok")
    if came_back:
        log.info("connection is back", extra={"connection": connection})
    return done


def _complete(conn: Connection, live: Live, stream: str, began: datetime) -> None:
    """Note the end; after a read from the beginning, compare what came with what is held."""
    if checkpoints.get(conn, live.name, stream).get("completed_at") is None:
        news.of_first_load(conn, live.name, stream)
    seen = checkpoints.complete(conn, live.name, stream, live.every_s(stream), began)
    if seen is None:
        return
    alerts.close(conn, EXPIRED, live.name, stream)
    held = records.count(conn, live.name, stream)
    if not live.streams[stream].whole or not is_drop(seen, held):
        alerts.close(conn, COUNT_DROP, live.name, stream)
        return
    words = f"{live.name}/{stream} gave {seen} rows, the hub holds {held}"
    hint = "Nothing was deleted. Look whether a filter or a permission hides rows at the source."
    if alerts.open_(conn, COUNT_DROP, live.name, stream, words, hint):
        facts = {"connection": live.name, "stream": stream, "seen": seen, "held": held}
        log.error("far fewer rows than before", extra=facts)


def is_drop(seen: int, held: int) -> bool:
    """Whether a read from beginning to end gave far fewer rows than are held."""
    return seen < held * FEW and held - seen >= FEWER_BY


def _pull(hub: Hub, lane: Lane, live: Live, stream: str) -> bool:
    try:
        return _follow(hub, lane, live, stream)
    except CursorExpiredError as exc:
        with hub.database.write() as conn:
            lane.hold(conn)
            had_one = checkpoints.get(conn, live.name, stream)["cursor"] is not None
            if had_one:
                _begin_anew(conn, live, stream, exc)
        if not had_one:
            raise  # refused at the very beginning: that is another fault
    return _follow(hub, lane, live, stream)


def _begin_anew(conn: Connection, live: Live, stream: str, exc: CursorExpiredError) -> None:
    """Forget the cursor: rows that are as before cost nothing, what changed meanwhile is news."""
    checkpoints.restart(conn, live.name, stream)
    hint = exc.hint or "Nothing is to be done: the stream is read from the beginning."
    alerts.open_(conn, EXPIRED, live.name, stream, str(exc), hint)
    facts = {"connection": live.name, "stream": stream}
    log.warning("cursor expired, reading everything anew", extra=facts)


def _follow(hub: Hub, lane: Lane, live: Live, stream: str) -> bool:
    """Pages from the checkpoint on; whether the end was reached within this slice."""
    with hub.database.read() as conn:
        checkpoint = checkpoints.get(conn, live.name, stream)
    quiet = checkpoint.get("completed_at") is None  # the first load is history, not news
    cursor: str | None = checkpoint["cursor"]
    if cursor is None:
        with hub.database.write() as conn:
            lane.hold(conn)
            checkpoints.begin(conn, live.name, stream)
    live.adapter.heard[stream] = checkpoint.get("word", "")
    pages = prefetched(live.adapter.pull(live.streams[stream], cursor))
    coming = advancing(f"{live.name}/{stream}: the cursor", pages)
    for page, batches in ahead(_prepared(hub, live, stream, coming)):
        _absorb_page(hub, lane, live, stream, page, batches, quiet=quiet)
        if not lane.has_time:
            return False
    return True


def advancing(what: str, pages: Iterator[tuple[datetime, Page]]) -> Iterator[tuple[datetime, Page]]:
    """The pages, as long as their cursors lead on.

    Raises:
        RetryableError: one came back. Only the last page may repeat a cursor, and must be empty.
    """
    circle, last, over = Circle(what), None, False
    for began, page in pages:
        if page.cursor == last and not over and not page.records and not page.deleted:
            over = True
        else:
            circle.check(page.cursor)
        last = page.cursor
        yield began, page


def _prepared(
    hub: Hub, live: Live, stream: str, pages: Iterator[tuple[datetime, Page]]
) -> Iterator[tuple[Page, list[Batch]]]:
    """Each page with its rows mapped, so that this is done while the page before is written."""
    for began, page in pages:
        batches = in_batches(arrived(stream, page, began))
        yield page, [(rows, prepare(hub, live, rows)) for rows in batches]


def _absorb_page(
    hub: Hub,
    lane: Lane,
    live: Live,
    stream: str,
    page: Page,
    batches: Sequence[Batch],
    *,
    quiet: bool,
) -> None:
    def advance(conn: Connection) -> None:
        checkpoints.advance(conn, live.name, stream, page.cursor, len(page.records))

    *first, (last, ready_last) = batches
    for rows, ready in first:
        absorb(hub, live, rows, begin=lane.hold, quiet=quiet, ready=ready)
    absorb(hub, live, last, advance, begin=lane.hold, quiet=quiet, ready=ready_last)


def arrived(stream: str, page: Page, began: datetime) -> list[Arrived]:
    """The rows of a page whose fetching began then."""
    rows = [Arrived(Row(stream, raw), began) for raw in page.records]
    return rows + [Arrived(Deleted(stream, id_), began) for id_ in page.deleted]


def in_batches(rows: Sequence[Arrived]) -> list[Sequence[Arrived]]:
    """The rows in parts for ``absorb``; at least one, which may be empty."""
    return [rows[i : i + BATCH_MAX] for i in range(0, len(rows), BATCH_MAX)] or [[]]


def prefetched(pages: Iterator[Page]) -> Iterator[tuple[datetime, Page]]:
    """Each page with the instant its fetching began; the next one is fetched meanwhile."""
    return ahead(_timed(pages))


def _timed(pages: Iterator[Page]) -> Iterator[tuple[datetime, Page]]:
    began = leases.now()
    for page in pages:
        yield began, page
        began = leases.now()


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The items; the next one is made in a thread while this one is worked on."""
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item


def _note_failure(hub: Hub, lane: Lane, live: Live, stream: str, exc: HubError) -> None:
    state = "degraded"
    if isinstance(exc, AuthError):
        state = "auth_failed"
    elif not isinstance(exc, RemoteError | ConfigError):
        state = ""  # our own trouble says nothing about the vendor
    with hub.database.write() as conn:
        lane.hold(conn)
        failures = checkpoints.get(conn, live.name, stream)["failures"]
        after_s = float(RETRY_S[min(failures, len(RETRY_S) - 1)])
        if isinstance(exc, RetryableError) and exc.retry_after_s:
            after_s = max(after_s, exc.retry_after_s)
        checkpoints.postpone(conn, live.name, stream, after_s, str(exc))
        if state and connections.set_state(conn, live.name, state, str(exc)):
            log.warning(
                "connection is unavailable", extra={"connection": live.name, "state": state}
            )
