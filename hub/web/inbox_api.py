"""The API of the inbox: events that came in, and requests that were refused."""

from __future__ import annotations

import base64
import re
from datetime import datetime
from functools import partial
from typing import Any, Literal, cast

from flask import Blueprint, Flask, Response, abort
from pydantic import AwareDatetime, BaseModel, Field

from hub import pipeline
from hub.pipeline import REPLAY, SKIP, Verb
from hub.profiles.mask import mask_text
from hub.store import audit, events, refusals
from hub.store.events import Filter, Mark, Shown, Visible
from hub.web import lookup
from hub.web.auth import OPERATORS, caller, requires
from hub.web.context import hub
from hub.web.endpoints import (
    Paged,
    Query,
    as_json,
    documented,
    parameters,
    promised,
)

blueprint = Blueprint("inbox_api", __name__, url_prefix="/api/v1")

INBOX_READERS = (*OPERATORS, "auditor")
BULK_MAX = 10_000
"""Events of one request that are replayed or skipped; `next` goes on."""

_NUMBER = re.compile(r"\d{1,18}")
_RECORD = r"^[^/]+/[^/]+/.+$"


class Sieve(Query):
    """Which events."""

    connection: str | None = Field(default=None, min_length=1, max_length=100)
    type: str | None = Field(
        default=None, min_length=1, max_length=500, description="the vendor's word"
    )
    state: Literal["received", "retry", "done", "quarantined", "skipped"] | None = None
    since: AwareDatetime | None = Field(default=None, description="received then or later")
    until: AwareDatetime | None = Field(default=None, description="received before")
    record: str | None = Field(
        default=None, max_length=1000, pattern=_RECORD, description="about this: shop/orders/17"
    )
    text: str | None = Field(
        default=None, min_length=1, max_length=200, description="in id, type, order key or body"
    )

    @property
    def filter(self) -> Filter:
        """For the store."""
        return Filter(**{name: getattr(self, name) for name in Sieve.model_fields})


class EventQuery(Sieve, Paged):
    """A page of events."""


class BulkQuery(Sieve):
    """Events to do something to; at least one filter must be given."""

    dry_run: bool = Field(default=False, description="only count them")
    cursor: str | None = Field(
        default=None, max_length=4096, description="`next` of the answer before"
    )


class OneQuery(Query):
    """How an event is shown."""

    raw: bool = Field(default=False, description="with its bytes, for administrators; audited")


class RefusalQuery(Paged):
    """A page of refusals."""

    connection: str | None = Field(default=None, min_length=1, max_length=100)


class ListedEvent(BaseModel):
    """One event of a list."""

    id: int
    connection: str
    event_id: str
    type: str
    order_key: str | None
    state: str
    attempts: int
    received_at: datetime
    available_at: datetime
    done_at: datetime | None
    expired_at: datetime | None
    error: str
    hint: str


class Events(BaseModel):
    """A page of events."""

    items: list[ListedEvent]
    next: str | None = Field(description="`cursor` of the page behind this one, null on the last")
    looked_at: int | None = Field(
        description="so many events were looked at and there are more: `next` goes on; null: all"
    )


class EventDocument(Shown):
    """One event, without secrets."""

    raw: str | None = Field(description="base64, when asked for")


class Changed(BaseModel):
    """What was done to events."""

    events: int = Field(description="changed, or with `dry_run` those that would be")
    left: int = Field(description="found, but expired or over already")
    next: str | None = Field(description="`cursor` to go on with, null when that was all")


class RefusedRequest(BaseModel):
    """Similar requests that were refused; the first of them is described."""

    id: int
    connection: str = Field(description="or the unknown name that was asked for")
    known: bool = Field(description="there is such a connection")
    status: int
    reason: str
    hint: str
    remote: str = Field(description="the address it came from")
    method: str
    path: str = Field(description="what may be secret is hidden")
    headers: dict[str, str] = Field(description="secrets are hidden, their length is told")
    size_bytes: int
    body_sha256: str = Field(description="empty when the body was not read")
    body_start: str = Field(description="the first 512 bytes, secrets hidden")
    count: int
    first_at: datetime
    at: datetime = Field(description="the last of them")


class RefusedRequests(BaseModel):
    """A page of refusals, newest first."""

    items: list[RefusedRequest]
    next: str | None = Field(description="`cursor` of the page behind this one, null on the last")


@blueprint.get("/inbox")
@documented(Events, "Events that came in", query=EventQuery)
@requires(*INBOX_READERS)
def inbox() -> Response:
    """Newest first. By type and text only the newest are looked through, page by page."""
    asked = parameters(EventQuery)
    after = place("inbox", asked.cursor)
    with hub().database.read() as conn:
        page = events.page(conn, asked.filter, after=after, limit=asked.limit, visible=visible())
    items = [promised(row, ListedEvent) for row in page.items]
    onward = lookup.cursor("inbox", page.next)
    return as_json({"items": items, "looked_at": page.looked_at, "next": onward})


@blueprint.get("/inbox/<event_id>")
@documented(EventDocument, "One event", query=OneQuery, errors=(404,))
@requires(*INBOX_READERS)
def event(event_id: str) -> Response:
    """With headers and body made readable and without secrets. `GET /api/v1/trace?ref=event:<id>`
    tells what became of it.
    """  # noqa: D205 - one paragraph of the OpenAPI document
    asked, id_ = parameters(OneQuery), event_number(event_id)
    raw = base64.b64encode(raw_bytes(id_)).decode() if asked.raw else None
    with hub().database.read() as conn:
        found = events.shown(conn, id_)
    if found is None:
        abort(404, "There is no such event.")
    return as_json({**found.model_dump(mode="json"), "raw": raw})


@blueprint.post("/inbox/<event_id>/replay")
@documented(Changed, "Apply an event again", errors=(404, 409))
@requires(*OPERATORS)
def replay_event(event_id: str) -> Response:
    """Whatever became of it, as long as its bytes have not expired. What has not changed since has
    no effect.
    """  # noqa: D205 - one paragraph of the OpenAPI document
    return _one(REPLAY, event_id, "The bytes of this event have expired: it cannot be replayed.")


@blueprint.post("/inbox/<event_id>/skip")
@documented(Changed, "Leave an event aside", errors=(404, 409))
@requires(*OPERATORS)
def skip_event(event_id: str) -> Response:
    """So that later ones of the same record go on."""
    return _one(SKIP, event_id, "This event is over already.")


@blueprint.post("/inbox/replay")
@documented(Changed, "Apply many events again", query=BulkQuery)
@requires(*OPERATORS)
def replay_events() -> Response:
    """All that the filter finds, newest first, up to 10000 looked at; go on with `next`. Those
    that come meanwhile are not touched. Safe to repeat.
    """  # noqa: D205 - one paragraph of the OpenAPI document
    return _all(REPLAY)


@blueprint.post("/inbox/skip")
@documented(Changed, "Leave many events aside", query=BulkQuery)
@requires(*OPERATORS)
def skip_events() -> Response:
    """All that the filter finds and that are not over, up to 10000 looked at; go on with `next`."""
    return _all(SKIP)


@blueprint.get("/refusals")
@documented(RefusedRequests, "Requests that were refused", query=RefusalQuery)
@requires(*INBOX_READERS)
def refused_requests() -> Response:
    """A sample, so that a sender can be debugged: similar ones are counted together, the newest 100
    of each connection are kept, for two weeks.
    """  # noqa: D205 - one paragraph of the OpenAPI document
    asked = parameters(RefusalQuery)
    after = place("refusals", asked.cursor)
    with hub().database.read() as conn:
        rows, onward = refusals.page(conn, asked.connection, after=after, limit=asked.limit)
    items = [promised(row, RefusedRequest) for row in rows]
    return as_json({"items": items, "next": lookup.cursor("refusals", onward)})


def install(app: Flask) -> None:
    """Add these addresses to the API."""
    app.register_blueprint(blueprint)


def visible() -> Visible:
    """What the caller may see of a text."""
    return mask_text if caller().sees_masked else str


def place(of: str, cursor: str | None) -> Mark | None:
    """Where a page of this list ended, or 400."""
    return cast("Mark | None", lookup.mark(of, cursor))


def event_number(event_id: str) -> int:
    """Our number of an event, or 404 for what cannot be one."""
    if not _NUMBER.fullmatch(event_id):
        abort(404, "There is no such event.")
    return int(event_id)


def raw_bytes(id_: int) -> bytes:
    """The bytes of an event as they came, for an administrator; noted in the audit."""
    if caller().role != "admin" or caller().sees_masked:
        abort(403, "Only an administrator may see the bytes as they came.")
    with hub().database.write() as conn:
        row = events.get(conn, id_)
        if row is None:
            abort(404, "There is no such event.")
        audit.note(conn, caller().name, "read raw", f"event:{id_}")
    return bytes(row["body"])


def do_one(verb: Verb, id_: int) -> bool | None:
    """Whether it was done; None when there is no such event."""

    def story(conn: Any) -> bool | None:
        if pipeline.do(conn, verb, [id_], caller().name):
            return True
        return None if events.get(conn, id_) is None else False

    return hub().database.run(story)


def _one(verb: Verb, event_id: str, otherwise: str) -> Response:
    parameters(Query)
    done = do_one(verb, event_number(event_id))
    if done is None:
        abort(404, "There is no such event.")
    if not done:
        abort(409, otherwise)
    return as_json({"events": 1, "left": 0, "next": None})


def _all(verb: Verb) -> Response:
    asked = parameters(BulkQuery)
    if asked.filter == Filter():
        abort(400, "Give at least one filter.")
    act = partial(pipeline.do_all, hub().database, verb, asked.filter, caller().name)
    tally = act(after=place("bulk", asked.cursor), most=BULK_MAX, dry_run=asked.dry_run)
    return as_json({**tally._asdict(), "next": lookup.cursor("bulk", tally.next)})
