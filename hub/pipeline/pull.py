"""A stream from its checkpoint to its end: pages in, profiles and deliveries out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from sqlalchemy import Connection

from hub.errors import (
    AuthError,
    ConfigError,
    HubError,
    LeaseLostError,
    RemoteError,
    RetryableError,
)
from hub.pipeline.absorb import BATCH_MAX, Arrived, absorb
from hub.pipeline.lane import Lane
from hub.registry import Hub, Live
from hub.sdk import Deleted, Page, Row
from hub.store import checkpoints, connections, leases

log = logging.getLogger(__name__)

RETRY_S = (5, 15, 60, 300, 900)


def lease_name(connection: str, stream: str) -> str:
    """The lease a pull works under."""
    return f"pull:{connection}:{stream}"


def pull(hub: Hub, lane: Lane, connection: str, stream: str) -> bool:
    """Go on from the checkpoint; whether the end was reached within this slice.

    Raises:
        HubError: it stopped; the checkpoint stands behind the last whole page.
    """
    live = hub.registry.get(connection)
    try:
        done = _pull(hub, lane, live, stream)
    except LeaseLostError:
        raise  # whoever took it over notes how it goes
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
            checkpoints.complete(conn, connection, stream, live.every_s(stream))
        came_back = connections.set_state(conn, connection, "ok")
    if came_back:
        log.info("connection is back", extra={"connection": connection})
    return done


def _pull(hub: Hub, lane: Lane, live: Live, stream: str) -> bool:
    with hub.database.read() as conn:
        checkpoint = checkpoints.get(conn, live.name, stream)
    quiet = checkpoint.get("completed_at") is None  # the first load is history, not news
    last: str | None = None
    for began, page in _prefetched(live.adapter.pull(live.streams[stream], checkpoint["cursor"])):
        if page.cursor == last and page.records:
            raise RetryableError(
                f"{live.name}/{stream}: the cursor does not advance",
                hint="The vendor sends the same page again and again.",
            )
        last = page.cursor
        _absorb_page(hub, lane, live, stream, page, began, quiet=quiet)
        if not lane.has_time:
            return False
    return True


def _absorb_page(
    hub: Hub, lane: Lane, live: Live, stream: str, page: Page, began: datetime, *, quiet: bool
) -> None:
    rows = [Arrived(Row(stream, raw), began) for raw in page.records]
    rows += [Arrived(Deleted(stream, id_), began) for id_ in page.deleted]
    batches = [rows[i : i + BATCH_MAX] for i in range(0, len(rows), BATCH_MAX)] or [[]]

    def advance(conn: Connection) -> None:
        checkpoints.advance(conn, live.name, stream, page.cursor, len(page.records))

    for batch in batches[:-1]:
        absorb(hub, live, batch, begin=lane.hold, quiet=quiet)
    absorb(hub, live, batches[-1], advance, begin=lane.hold, quiet=quiet)


def _prefetched(pages: Iterator[Page]) -> Iterator[tuple[datetime, Page]]:
    """Each page with the instant its fetching began; the next one is fetched meanwhile."""

    def step() -> tuple[datetime, Page | None]:
        began = leases.now()
        return began, next(pages, None)

    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as pool:
        coming = pool.submit(step)
        while True:
            began, page = coming.result()
            if page is None:
                return
            coming = pool.submit(step)
            yield began, page


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
