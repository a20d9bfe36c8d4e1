"""The API: customers as JSON. Its OpenAPI document is made from the models in here."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import orjson
from flask import Blueprint, Flask, Response, abort, url_for
from pydantic import AwareDatetime, BaseModel, Field

from hub.models import Level
from hub.pipeline.identity import explain
from hub.profiles.build import fact_of
from hub.profiles.document import Fact, Profile
from hub.store import alerts, audit, certificates, read
from hub.store.trace import Trace, trace
from hub.web import auth, formats, lookup
from hub.web.auth import OPERATORS, READERS, caller, requires
from hub.web.context import hub
from hub.web.endpoints import (
    Paged,
    Query,
    as_json,
    as_seen,
    documented,
    parameters,
    promised,
    revalidated,
)

blueprint = Blueprint("api", __name__, url_prefix="/api/v1")


class CustomerQuery(Paged):
    """Whom to look for: at most one of the first four; without any, all customers."""

    phone: str | None = Field(
        default=None, min_length=1, max_length=64, description="in any writing: 138 0013 8000, +86…"
    )
    email: str | None = Field(default=None, min_length=1, max_length=320)
    identifier: str | None = Field(
        default=None,
        max_length=320,
        pattern=lookup.IDENTIFIER,
        description="type:value, such as tax_id:91310000MA1K00000X",
    )
    q: str | None = Field(
        default=None,
        min_length=1,
        max_length=read.NAME_MAX,
        description="part of a name, in 汉字 or pinyin; every word must be found",
    )


class Identifier(BaseModel):
    """One contact point or identifier."""

    type: str
    value: str
    level: Level


class Summary(BaseModel):
    """One customer of a list; "" where nothing is known."""

    id: str
    kind: str
    name: str
    organization: str
    title: str
    tier: str
    owner: str
    tags: list[str]
    contacts: list[Identifier] = Field(description="the first few")
    open_requests: int
    built_at: datetime = Field(description="when the profile was last put together")


class Customers(BaseModel):
    """A page of customers."""

    items: list[Summary]
    next: str | None = Field(description="`cursor` of the page behind this one, null on the last")


class CustomerAt(Query):
    """When the profile is looked at."""

    at: AwareDatetime | None = Field(
        default=None, description="as it was shown at an instant, such as 2026-05-03T14:32:00+08:00"
    )


class Timeline(BaseModel):
    """A page of what happened, newest first."""

    customer_id: str
    items: list[Fact]
    next: str | None = Field(description="`cursor` of the page behind this one, null on the last")


class Decided(BaseModel):
    """One decision about which records are the customer."""

    id: int
    verb: str = Field(description="new, match, merge, split, confirm, reject")
    customer_id: str
    other_id: str | None = Field(description="the customer merged away, or split off from")
    a: str | None
    b: str | None
    evidence: Any
    actor: str
    at: datetime
    why: str = Field(description="in the words of the person who decided")
    weights: str = Field(description="version of the weights it was decided under")


class MemberRecord(BaseModel):
    """One party record the customer is made of."""

    ref: str
    kind: str
    name: str
    mapping_version: str
    seen_at: datetime | None
    identifiers: list[Identifier]


class WhyCustomer(BaseModel):
    """Why these records are one customer."""

    customer_id: str
    members: list[MemberRecord]
    decisions: list[Decided] = Field(description="oldest first")


class WhyQuery(Query):
    """Two party records."""

    a: str = Field(min_length=5, max_length=1000, description="connection/stream/id")
    b: str = Field(min_length=5, max_length=1000, description="connection/stream/id")


class Weighed(BaseModel):
    """One line of the evidence table."""

    field: str
    level: str = Field(description="how the two values stand to each other")
    bits: float = Field(description="log2(m / u): what speaks for is above 0")


class WhyPair(BaseModel):
    """Why two party records are one customer or not."""

    evidence: list[Weighed]
    prior_bits: float = Field(description="against two records picked at random")
    bits: float = Field(description="log2 of the odds that they are one customer")
    verdict: str = Field(description="of the two alone: match, review, no match")
    guards: list[str] = Field(description="what forbids a match")
    weights: str = Field(description="version")
    customers: dict[str, str | None] = Field(description="record → customer, as of now")
    decisions: list[Decided] = Field(description="that name them, oldest first")


class StreamState(BaseModel):
    """How far one stream has been read."""

    stream: str
    rows: int = Field(description="ever received")
    due_at: datetime
    advanced_at: datetime | None
    completed_at: datetime | None
    failures: int = Field(description="in a row")
    error: str


class ConnectionState(BaseModel):
    """One connection, without its settings."""

    name: str
    adapter: str
    state: str
    reason: str
    managed_by: str
    changed_at: datetime
    checked_at: datetime | None
    streams: list[StreamState]


class Connections(BaseModel):
    """All connections."""

    items: list[ConnectionState]


class CertificateState(BaseModel):
    """What the newest reconciliation of a stream found true."""

    method: str = Field(description="survey, tally or scan")
    source_count: int
    hub_count: int
    missing: int = Field(description="at the source, still not in the hub")
    stale: int = Field(description="still newer at the source")
    extra: int = Field(description="still in the hub, gone at the source")
    repaired: int = Field(description="gaps found and mended")
    complete: bool
    note: str
    began_at: datetime
    checked_at: datetime
    valid_until: datetime


class CertifiedStream(BaseModel):
    """How one stream is doing."""

    connection: str
    stream: str
    status: str = Field(description="green, amber or red")
    reason: str = Field(description="why it is not green")
    rows: int = Field(description="ever received")
    due_at: datetime
    completed_at: datetime | None
    failures: int = Field(description="in a row")
    error: str
    certificate: CertificateState | None


class Streams(BaseModel):
    """All streams."""

    items: list[CertifiedStream]


class AlertState(BaseModel):
    """What a person must know of, until it is over."""

    id: int
    kind: str
    connection: str
    subject: str = Field(description="a stream or a record")
    message: str
    hint: str
    opened_at: datetime


class Alerts(BaseModel):
    """Alerts that are not over."""

    items: list[AlertState] = Field(description="oldest first")


class TraceQuery(Query):
    """What to follow."""

    ref: str = Field(
        min_length=1,
        max_length=1000,
        description="connection/stream/id, event:7, delivery:7, a customer's id, or the id a vendor"
        " gave an event",
    )


class CardQuery(Query):
    """What the link is good for."""

    read_only: bool = Field(
        default=False, description="nothing can be done with it, whatever your role may do"
    )


class CardLink(BaseModel):
    """An address that opens one customer's card without signing in."""

    url: str
    expires_at: datetime


@blueprint.get("/customers")
@documented(Customers, "Find customers", query=CustomerQuery, tagged=True)
@requires(*READERS)
def customers() -> Response:
    """By phone, e-mail or any identifier, the surest holders first; by part of a name; or all, the
    newest-built first.
    """  # noqa: D205 - one paragraph of the OpenAPI document
    asked = parameters(CustomerQuery)
    with hub().database.glance() as conn:
        page, kind = _found(conn, asked)
    items = [lookup.summary(row, caller()) for row in page.items]
    return revalidated(as_json({"items": items, "next": lookup.cursor(kind, page.next)}))


@blueprint.get("/customers/<customer_id>")
@documented(Profile, "The customer 360", query=CustomerAt, errors=(404, 410), tagged=True)
@requires(*READERS)
def customer(customer_id: str) -> Response:
    """The whole profile, with where each value comes from. Fields that are not required are left
    out when empty. An id that was merged into another answers with the customer it is today; its
    current id is the document's `id` and in `Content-Location`. With `at`, what was shown then, to
    whoever asked under that id; 410 when that is no longer kept.
    """  # noqa: D205 - one paragraph of the OpenAPI document
    asked = parameters(CustomerAt)
    with hub().database.glance() as conn:
        found = lookup.profile(conn, customer_id, caller(), asked.at)
    if found is None:
        abort(404, "There is no such customer.")
    answer = as_json(found)
    answer.headers["Content-Location"] = url_for("api.customer", customer_id=found["id"])
    return revalidated(answer)


@blueprint.get("/customers/<customer_id>/timeline")
@documented(Timeline, "What happened", query=Paged, errors=(404,))
@requires(*READERS)
def timeline(customer_id: str) -> Response:
    """Every record of the customer, newest first; records without an instant come last."""
    asked = parameters(Paged)
    before = lookup.mark("timeline", asked.cursor)
    with hub().database.read() as conn:
        now = _current(conn, customer_id)
        page = read.timeline(conn, now, before, asked.limit)
    items = [fact_of(held).model_dump(mode="json", exclude_defaults=True) for held in page.items]
    document = {"customer_id": now, "items": items, "next": None}
    return as_json({**as_seen(document), "next": lookup.cursor("timeline", page.next)})


@blueprint.get("/customers/<customer_id>/why")
@documented(WhyCustomer, "Why these records are one customer", errors=(404,))
@requires(*READERS)
def why(customer_id: str) -> Response:
    """The party records, what identifies each, and every decision that joined or parted them."""
    parameters(Query)
    with hub().database.read() as conn:
        found = read.why(conn, lookup.checked_id(customer_id))
    if found is None:
        abort(404, "There is no such customer.")
    return as_json(as_seen(why_document(found)))


@blueprint.get("/why")
@documented(WhyPair, "Why two records are one customer or not", query=WhyQuery, errors=(404,))
@requires(*READERS)
def why_pair() -> Response:
    """The evidence table with what each field weighs, the guards that speak, and what was decided
    of the two before.
    """  # noqa: D205 - one paragraph of the OpenAPI document
    asked = parameters(WhyQuery)
    with hub().database.read() as conn:
        found = explain(conn, asked.a, asked.b)
    if found is None:
        abort(404, "One of them is no party record.")
    return as_json(as_seen(found))


@blueprint.post("/customers/<customer_id>/card")
@documented(CardLink, "A link that opens the card", query=CardQuery, errors=(404,), status=201)
@requires(*READERS)
def card_link(customer_id: str) -> Response:
    """For a frame in another system: whoever opens the link within its time sees this customer
    with your role, and nothing else, and may write to the customer in your name.
    """  # noqa: D205 - one paragraph of the OpenAPI document
    asked = parameters(CardQuery)
    actor = "" if asked.read_only else caller().name
    with hub().database.write() as conn:
        now = _current(conn, customer_id)
        audit.note(conn, caller().name, "card link", f"customer:{now}")
    path = url_for("card.card", t=auth.card_token(now, caller(), actor=actor))
    expires_at = formats.now() + timedelta(seconds=auth.CARD_TOKEN_LIFETIME_S)
    url = hub().settings.public_url.rstrip("/") + path
    return as_json({"url": url, "expires_at": expires_at}, 201, plain=True)


@blueprint.get("/connections")
@documented(Connections, "Connections and how far their streams have been read")
@requires(*OPERATORS)
def connections() -> Response:
    """For administrators and operators."""
    parameters(Query)
    with hub().database.read() as conn:
        found = read.connections(conn)
    items = [{**c._asdict(), "streams": [s._asdict() for s in c.streams]} for c in found]
    return as_json({"items": items})


@blueprint.get("/streams")
@documented(Streams, "How fresh and how complete every stream is")
@requires(*OPERATORS)
def streams() -> Response:
    """With the newest certificate of each. A stream is green only while a complete one is valid
    and nothing fails. For administrators and operators.
    """  # noqa: D205 - one paragraph of the OpenAPI document
    parameters(Query)
    with hub().database.read() as conn:
        found = certificates.streams(conn)
    return as_json({"items": [promised(asdict(stream), CertifiedStream) for stream in found]})


@blueprint.get("/alerts")
@documented(Alerts, "What a person must know of")
@requires(*OPERATORS)
def open_alerts() -> Response:
    """For administrators and operators."""
    parameters(Query)
    with hub().database.read() as conn:
        found = alerts.every(conn)
    return as_json({"items": [promised(alert, AlertState) for alert in found]})


@blueprint.get("/trace")
@documented(Trace, "The whole way of one record", query=TraceQuery, errors=(404,))
@requires(*OPERATORS, "auditor")
def trace_of() -> Response:
    """From the event to the receipt, with times: what came, what it was mapped to, whose it is and
    why, what of the profile comes from it, and what was written because of it. Contents that were
    replaced are kept for `history_days`.
    """  # noqa: D205 - one paragraph of the OpenAPI document
    asked = parameters(TraceQuery)
    with hub().database.read() as conn:
        found = trace(conn, asked.ref)
    if found is None:
        abort(404, "Nothing of that name is known.")
    return as_json(as_seen(found.model_dump(mode="json")))


def why_document(found: read.Why) -> dict[str, Any]:
    """The reasons as the API and the page tell them."""
    carried: dict[str, list[dict[str, str]]] = {}
    for known in found.identifiers:
        row = {"type": known.type, "value": known.value, "level": known.level}
        carried.setdefault(known.ref, []).append(row)
    return {
        "customer_id": found.customer_id,
        "members": [
            {
                "ref": m.ref,
                "kind": m.kind,
                "name": orjson.loads(m.document or b"{}").get("name", ""),
                "mapping_version": m.mapping_version,
                "seen_at": m.seen_at,
                "identifiers": carried.get(m.ref, []),
            }
            for m in found.members
        ],
        "decisions": [
            {**d._asdict(), "evidence": orjson.loads(d.evidence)} for d in found.decisions
        ],
    }


def install(app: Flask) -> None:
    """Add the API."""
    app.register_blueprint(blueprint)


def _found(conn: Any, asked: CustomerQuery) -> tuple[read.Page[read.Listed], str]:
    """The page, and the name its cursor goes by."""
    given = {k: v for k in ("phone", "email", "identifier", "q") if (v := getattr(asked, k))}
    if len(given) > 1:
        abort(400, f"Ask by one of {', '.join(given)}, not by several.")
    kind = next(iter(given), "all")
    after = lookup.mark(kind, asked.cursor)
    if kind == "all":
        return read.customers(conn, asked.limit, after), kind
    if kind == "q":
        return read.search(conn, given["q"], asked.limit, after), kind
    type_, _, value = (
        given[kind].partition(":") if kind == "identifier" else (kind, "", given[kind])
    )
    values = lookup.spellings(conn, type_, value)
    if not values:
        abort(400, lookup.not_readable(type_))
    return read.holders(conn, type_, values, asked.limit, after), kind


def _current(conn: Any, customer_id: str) -> str:
    now = read.current_id(conn, lookup.checked_id(customer_id))
    if now is None:
        abort(404, "There is no such customer.")
    return now
