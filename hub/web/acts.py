"""What people do for a customer: requests, replies and notes, and what became of them."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from hashlib import blake2b
from typing import Annotated

from flask import Blueprint, Flask, Response, abort, request
from flask_babel import gettext as _
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from sqlalchemy import Connection

from hub.errors import ConfigError
from hub.models import Priority
from hub.pipeline import acts
from hub.pipeline.acts import NOTE, REPLY, REQUEST, Way, Words
from hub.profiles.document import Profile
from hub.store import outbox, read
from hub.store.schema import STOPPED
from hub.web import lookup
from hub.web.auth import ACTORS, READERS, caller, requires
from hub.web.context import hub, registry
from hub.web.endpoints import Query, as_json, as_seen, content, documented, parameters, promised

log = logging.getLogger(__name__)

blueprint = Blueprint("acts", __name__, url_prefix="/api/v1/customers")

Line = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
Ref = Annotated[str, StringConstraints(max_length=1000)]


class Said(BaseModel):
    """What somebody wrote, and where it is to go if that matters."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    text: Text
    connection: str | None = Field(
        default=None, max_length=100, description="the likeliest unless given"
    )


class NewRequest(Said):
    """A matter for a desk."""

    subject: Line
    priority: Priority | None = None


class NewReply(Said):
    """Words to the customer."""

    subject: str | None = Field(default=None, max_length=200)
    answers: Ref | None = Field(default=None, description="the ticket or message that is answered")
    to: str | None = Field(
        default=None, max_length=320, description="one of the customer's addresses"
    )


class NewNote(Said):
    """Words for colleagues."""

    answers: Ref | None = Field(default=None, description="the ticket it belongs to")


class Queued(BaseModel):
    """It is written down and will be done."""

    delivery: int


class WayState(BaseModel):
    """One place where something can go."""

    verb: str = Field(description="request, reply or note")
    connection: str
    stream: str
    channel: str = Field(description="email, note …; empty: as the system decides")
    answers: str = Field(description="the ticket or message that is answered, empty for none")
    title: str = Field(description="what that is called")
    to: str = Field(description="the address it goes to, empty where the system knows it")


class MadeState(BaseModel):
    """What somebody had written, and what became of it."""

    id: int = Field(description="the delivery")
    verb: str
    actor: str
    connection: str
    stream: str
    subject: str
    text: str
    state: str = Field(description="queued, sending, retry, confirmed, unknown, dead, skipped …")
    copy_ref: str | None = Field(description="the record it became")
    hint: str = Field(description="what to do about it, when it failed")
    created_at: datetime
    done_at: datetime | None


class Acts(BaseModel):
    """What can be done for a customer, and what was done lately."""

    ways: list[WayState] = Field(description="of each verb the likeliest first")
    made: list[MadeState] = Field(description="newest first")


@blueprint.get("/<customer_id>/acts")
@documented(Acts, "What can be done, and what was", errors=(404,))
@requires(*READERS)
def listed(customer_id: str) -> Response:
    """Where a request, a reply or a note can go, and what became of those of the last day and of
    those that are not over.
    """  # noqa: D205 - one paragraph of the OpenAPI document
    parameters(Query)
    with hub().database.read() as conn:
        p = whole(conn, customer_id)
        open_ = ways_for(p, read.connection_states(conn))
        made = outbox.made_by_hand(conn, p.id)
    ways = [promised({**asdict(way), **way.outlet._asdict()}, WayState) for way in open_]
    return as_json(as_seen({"ways": ways, "made": [promised(asdict(m), MadeState) for m in made]}))


@blueprint.post("/<customer_id>/requests")
@documented(Queued, "Ask a desk", body=NewRequest, errors=(404, 409, 413), status=202)
@requires(*ACTORS)
def create_request(customer_id: str) -> Response:
    """Opens a ticket for the customer in the system that is named, else in the one that knows them.
    It is done by the time `state` under `/acts` says confirmed. The same `Idempotency-Key` and
    words again open no second one. 409: no system takes it.
    """  # noqa: D205 - one paragraph of the OpenAPI document
    asked = content(NewRequest)
    words = Words(asked.text, asked.subject, asked.priority or Priority.NORMAL)
    return _queued(customer_id, REQUEST, words, connection=asked.connection or "")


@blueprint.post("/<customer_id>/replies")
@documented(Queued, "Write to the customer", body=NewReply, errors=(404, 409, 413), status=202)
@requires(*ACTORS)
def create_reply(customer_id: str) -> Response:
    """By the way that fits what is given, the newest conversation first. `Idempotency-Key` as for
    requests. 409: there is no such way.
    """  # noqa: D205 - one paragraph of the OpenAPI document
    asked = content(NewReply)
    told = {"connection": asked.connection, "answers": asked.answers, "to": asked.to}
    chosen = {name: value or "" for name, value in told.items()}
    return _queued(customer_id, REPLY, Words(asked.text, asked.subject or ""), **chosen)


@blueprint.post("/<customer_id>/notes")
@documented(Queued, "Leave a note", body=NewNote, errors=(404, 409, 413), status=202)
@requires(*ACTORS)
def create_note(customer_id: str) -> Response:
    """Where colleagues find it; the customer never sees it. `Idempotency-Key` as for requests.
    409: no system keeps notes.
    """  # noqa: D205 - one paragraph of the OpenAPI document
    asked = content(NewNote)
    told = {"connection": asked.connection or "", "answers": asked.answers or ""}
    return _queued(customer_id, NOTE, Words(asked.text), **told)


def whole(conn: Connection, customer_id: str) -> Profile:
    """The profile with nothing hidden, or 404: what is written goes to true addresses."""
    found = read.profile_json(conn, lookup.checked_id(customer_id))
    if found is None:
        abort(404, "There is no such customer.")
    return Profile.model_validate_json(found.document, extra="ignore")


def ways_for(p: Profile, states: Mapping[str, str]) -> list[Way]:
    """The ways there are, without systems that cannot be written to now."""
    try:
        lives = registry().all().items()
    except ConfigError:  # a key is missing: what is known can still be read
        log.exception("the connections cannot be opened")
        return []
    usable = [live for name, live in lives if states.get(name) not in STOPPED]
    return acts.ways(acts.outlets(usable), p)


def way_name(way: Way) -> str:
    """Names a way in a form as long as it is open; nobody can tell from it to which address."""
    parts = "\n".join((way.verb, *way.outlet[:2], way.answers, way.to))
    return blake2b(parts.encode(), key=hub().keys[0], digest_size=16).hexdigest()


def typed_words(verb: str, form: Mapping[str, str]) -> Words:
    """What was typed into a form of the card.

    Raises:
        ValueError: something is missing or too long; says what, to people.
    """
    told = {name: form.get(name) or None for name in ("subject", "text", "priority")}
    fields = {name: value for name, value in told.items() if value}
    models: dict[str, type[Said]] = {REQUEST: NewRequest, REPLY: NewReply, NOTE: NewNote}
    try:
        said = models[verb].model_validate(fields)
    except ValidationError as exc:
        missing = any(fault["type"] in ("missing", "string_too_short") for fault in exc.errors())
        raise ValueError(
            _("Write something first.") if missing else _("That is too long.")
        ) from exc
    subject, priority = getattr(said, "subject", None), getattr(said, "priority", None)
    return Words(said.text, subject or "", priority or Priority.NORMAL)


def queue(p: Profile, way: Way, words: Words, key: str) -> int:
    """Have it done, in the caller's name; the delivery."""
    intent = acts.intent_of(way, words, p, key=key, actor=caller().name)
    return acts.carry_out(hub().database, intent, p.id)


def install(app: Flask) -> None:
    """Add these addresses to the API."""
    app.register_blueprint(blueprint)


def _queued(customer_id: str, verb: str, words: Words, **chosen: str) -> Response:
    parameters(Query)
    with hub().database.read() as conn:
        p = whole(conn, customer_id)
        open_ = ways_for(p, read.connection_states(conn))
    meant = {name: _meant(open_, name, value) for name, value in chosen.items()}
    way = acts.choose(open_, verb, **meant)
    if way is None:
        known = sorted({way.connection for way in open_ if way.verb == verb})
        abort(409, f"There is no such way; open for this are: {', '.join(known) or 'none'}.")
    given = request.headers.get("Idempotency-Key", "")[:200] or secrets.token_hex()
    return as_json({"delivery": queue(p, way, words, "\n".join([given, *meant.values()]))}, 202)


def _meant(open_: Iterable[Way], name: str, value: str) -> str:
    """The true value behind one that the caller was shown masked, where there is but one."""
    known = {str(getattr(way, name)) for way in open_}
    alike = {true for true in known if lookup.seen_by(caller(), {name: true})[name] == value}
    return alike.pop() if len(alike) == 1 else value
