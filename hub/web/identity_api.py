"""Who is who, decided by people: doubts, confirm and reject, merge and split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from flask import Blueprint, Flask, Response, abort
from pydantic import BaseModel, ConfigDict, Field

from hub.errors import ConfigError
from hub.pipeline import identity
from hub.pipeline.identity import Outcome
from hub.registry import Hub
from hub.store import read, reviews
from hub.web import lookup
from hub.web.api import Weighed
from hub.web.auth import OPERATORS, caller, requires
from hub.web.context import hub, installation
from hub.web.endpoints import Query, as_json, as_seen, content, documented, parameters

blueprint = Blueprint("identity_api", __name__, url_prefix="/api/v1")

_PLAIN = r"^[^\x00]*$"  # PostgreSQL keeps no NUL
_Ref = Annotated[
    str, Field(min_length=5, max_length=1000, pattern=_PLAIN, description="connection/stream/id")
]
_Why = Annotated[
    str,
    Field(max_length=1000, pattern=_PLAIN, description="kept with the decision; no personal data"),
]


class Body(BaseModel):
    """A request's body; a misspelt name is refused, not ignored."""

    model_config = ConfigDict(extra="forbid")


class ReviewQuery(Query):
    """The nearest to a match."""

    limit: int = Field(default=20, ge=1, le=100, description="how many at most")


class ReviewSide(BaseModel):
    """One of the two."""

    ref: str
    customer: str
    name: str
    known: list[str] = Field(description="how they are reached")


class ReviewPair(BaseModel):
    """Two records that may be one customer."""

    a: ReviewSide
    b: ReviewSide
    bits: float = Field(description="log2 of the odds that they are one customer")
    evidence: list[Weighed]
    guards: list[str]
    weights: str = Field(description="version")


class Reviews(BaseModel):
    """What waits for a person."""

    items: list[ReviewPair]
    total: int


class Word(Body):
    """What a person says of two records."""

    verb: Literal["confirm", "reject"]
    a: _Ref
    b: _Ref
    why: _Why = ""


class Merge(Body):
    """Who is the same customer."""

    other: str = Field(
        min_length=1, max_length=100, pattern=_PLAIN, description="id of the other customer"
    )
    why: _Why = ""


class Split(Body):
    """Which records are somebody else's."""

    records: list[_Ref] = Field(min_length=1, max_length=1000)
    write_back: bool = Field(default=False, description="also write what is offered")
    why: _Why = ""


class WriteBack(BaseModel):
    """A value that a record has from one of whose customer it is no longer."""

    ref: str
    path: str
    shows: Any
    before: Any = Field(description="the last value that differed")
    source: str = Field(description="the record it came from")


class DecisionOutcome(BaseModel):
    """What came of it."""

    customers: list[str] = Field(description="whose the named records are now")
    writes: list[int] = Field(description="deliveries queued to bring copies in line")
    offers: list[WriteBack]


@blueprint.get("/reviews")
@documented(Reviews, "Pairs of records for a person to decide", query=ReviewQuery)
@requires(*OPERATORS)
def list_reviews() -> Response:
    """Nearest to a match first, with what speaks for and against."""
    asked = parameters(ReviewQuery)
    with hub().database.read() as conn:
        found = {"items": identity.doubts(conn, asked.limit), "total": reviews.count(conn)}
    return as_json(as_seen(found))


@blueprint.post("/decisions")
@documented(DecisionOutcome, "Say whether two records are one customer", body=Word, errors=(409,))
@requires(*OPERATORS)
def decide() -> Response:
    """Obeyed for ever; a newer word goes before an older one."""
    parameters(Query)
    told = content(Word)
    return _done(
        lambda one: identity.say(one, told.verb, told.a, told.b, actor=caller().name, why=told.why),
    )


@blueprint.post("/customers/<customer_id>/merge")
@documented(DecisionOutcome, "Make two customers one", body=Merge, errors=(404, 409))
@requires(*OPERATORS)
def merge(customer_id: str) -> Response:
    """Both ids lead to it from now on; copies that a sync keeps alike are brought in line."""
    parameters(Query)
    told, id_ = content(Merge), _known(customer_id)
    return _done(
        lambda one: identity.merge(one, id_, told.other, actor=caller().name, why=told.why),
    )


@blueprint.post("/customers/<customer_id>/split")
@documented(DecisionOutcome, "Take records out of a customer", body=Split, errors=(404, 409))
@requires(*OPERATORS)
def split(customer_id: str) -> Response:
    """What belongs to the records, and the copies made of them, follow. Values the parted have of
    one another are offered with what stood there before.
    """  # noqa: D205 - one paragraph of the OpenAPI document
    parameters(Query)
    told, id_ = content(Split), _known(customer_id)
    return _done(
        lambda one: identity.split(
            one,
            id_,
            told.records,
            actor=caller().name,
            why=told.why,
            write_back=told.write_back,
        ),
    )


def _known(customer_id: str) -> str:
    """The id, or 404 where it leads to nobody."""
    with hub().database.read() as conn:
        found = read.current_id(conn, lookup.checked_id(customer_id))
    return found or abort(404, "There is no such customer.")


def _done(story: Callable[[Hub], Outcome]) -> Response:
    """Its outcome, or 409 with what is wrong."""
    try:
        found = story(installation())
    except ConfigError as exc:
        abort(409, f"{exc}. {exc.hint}".strip())
    offers = [offer._asdict() for offer in found.offers]
    return as_json(as_seen({**found._asdict(), "offers": offers}))


def install(app: Flask) -> None:
    """Add these addresses to the API."""
    app.register_blueprint(blueprint)
