"""Inbox events → profiles and deliveries, one lane at a time, in order."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from hub.errors import AuthError, HubError, RecordError, RemoteError, RetryableError
from hub.models import is_short
from hub.pipeline import desks
from hub.pipeline.absorb import BATCH_MAX, Arrived, absorb, is_plain
from hub.pipeline.lane import HELD_S, Lane
from hub.registry import Hub, Live
from hub.sdk import Deleted, News, Query, RecordRef, Row, urgent
from hub.store import checkpoints, connections, inbox, leases
from hub.store.inbox import Event
from hub.store.schema import REFUSED

log = logging.getLogger(__name__)

RETRY_S = (2, 10, 60, 300, 1800, 3600)


@dataclass(slots=True)
class Read:
    """What a batch of events said."""

    arrived: list[Arrived] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    unreadable: dict[int, tuple[str, str]] = field(default_factory=dict)
    later: dict[int, tuple[float, str]] = field(default_factory=dict)
    asked: dict[int, Query] = field(default_factory=dict)
    news: dict[str, str] = field(default_factory=dict)
    """The newest word by stream, of those that are to be pulled."""
    refused: str = ""
    """Why the vendor refused our credentials; what follows was not looked at."""


def ingest(hub: Hub, lane: Lane) -> None:
    """Apply one batch; what came meanwhile takes its turn behind older work elsewhere.

    A lane drained to its end would keep its thread for as long as somebody sends.
    """
    with hub.database.read() as conn:
        events = inbox.due(conn, lane.names, BATCH_MAX)
        if not events and inbox.is_held_back(conn, lane.names):
            lane.rest_s = HELD_S
    if not events:
        return
    live = lane.ready(hub, events[0].connection, "parser")
    if live is not None:
        _ingest_batch(hub, live, lane, events)


def _ingest_batch(hub: Hub, live: Live, lane: Lane, events: Sequence[Event]) -> None:
    with lane.kept(hub):
        read = _read(live, lane, events)

    def finish(conn: Connection) -> None:
        inbox.finish(conn, read.done)
        desks.answer(conn, hub, live, read.asked)
        for stream, word in sorted(read.news.items()):
            checkpoints.stir(conn, live.name, stream, word)
        if read.refused and connections.set_state(conn, live.name, REFUSED, read.refused):
            log.error("credentials refused", extra={"connection": live.name})
        for id_, (error, hint) in read.unreadable.items():
            inbox.quarantine(conn, [id_], error, hint)
        for id_, (after_s, error) in read.later.items():
            inbox.retry(conn, [id_], after_s, error)

    absorb(hub, live, read.arrived, finish, begin=lane.hold)


def _read(live: Live, lane: Lane, events: Sequence[Event]) -> Read:
    """Parse the events and fetch what they only name; the story's only network use.

    It ends with the slice: a vendor that hangs at each fetch must not outlast the lease.
    """
    read = Read()
    waiting: set[str] = set()
    for event in events:
        if not lane.has_time:
            break
        if event.order_key is not None and event.order_key in waiting:
            continue  # an earlier event of the same record must come first
        try:
            said = list(live.parser.parse(event.body))
            news = {one.stream: _word(one) for one in said if isinstance(one, News)}
            arrived = [_arrived(live, event, one) for one in said if not isinstance(one, News)]
            asked = live.desk.ask(event.body) if live.desk else None
        except AuthError as exc:
            read.later[event.id] = (_after_s(exc, event.attempts), str(exc))
            read.refused = str(exc)
            break
        except RemoteError as exc:
            read.later[event.id] = (_after_s(exc, event.attempts), str(exc))
            if event.order_key is not None:
                waiting.add(event.order_key)
        except Exception as exc:  # noqa: BLE001 - verified bytes must never be lost to a bug
            log.warning("event quarantined", extra={"event": event.id, "fault": type(exc).__name__})
            read.unreadable[event.id] = _in_a_sentence(exc), getattr(exc, "hint", "")
        else:
            read.arrived += arrived
            read.news |= news
            read.asked |= {event.id: asked} if asked else {}
            read.done.append(event.id)
    return read


def _arrived(live: Live, event: Event, said: Row | RecordRef | Deleted) -> Arrived:
    # It may stand in a body as anything; a row that cannot even be put aside would block its lane.
    name = said.stream
    if type(name) is not str or not is_plain(name) or not is_short(name):
        raise RecordError("the event names a stream that cannot be one")
    if not isinstance(said, RecordRef):
        return Arrived(said, event.received_at, event.id)
    began = leases.now()
    with urgent():  # an event is what somebody just did
        raw = live.adapter.fetch(said)
    row = Row(said.stream, raw) if raw is not None else Deleted(said.stream, said.id)
    return Arrived(row, began, event.id)


def _word(news: News) -> str:
    if not is_plain(f"{news.stream}{news.word}") or not is_short(news.word):
        raise RecordError("the event says a word that cannot be kept")
    return news.word


def _after_s(exc: RemoteError, attempts: int) -> float:
    if isinstance(exc, RetryableError) and exc.retry_after_s is not None:
        return min(exc.retry_after_s, RETRY_S[-1])
    base = RETRY_S[min(attempts, len(RETRY_S) - 1)]
    return base * random.uniform(0.8, 1.2)  # noqa: S311 - jitter, not a secret


def _in_a_sentence(exc: Exception) -> str:
    if isinstance(exc, HubError):
        return str(exc)[:500]
    return f"{type(exc).__name__} while reading the event"
