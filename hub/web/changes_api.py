"""The change feed: what changed among customers and requests, for programs that keep a copy."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from flask import Blueprint, Flask, Response, abort
from pydantic import BaseModel, Field

from hub.store import changes as store
from hub.store import news
from hub.store.news import News
from hub.web import lookup
from hub.web.auth import READERS, requires
from hub.web.context import hub
from hub.web.endpoints import Query, as_json, documented, parameters

blueprint = Blueprint("changes_api", __name__, url_prefix="/api/v1")

EXPIRED = "What follows that cursor is kept no longer. Begin again: leave `cursor` out."


class ChangeQuery(Query):
    """Where to go on, or how to begin."""

    cursor: str | None = Field(
        default=None, max_length=4096, description="`next` of the answer before"
    )
    begin: Literal["all", "now"] = Field(
        default="all",
        description="without a cursor: every customer first, or only what happens from now on",
    )
    limit: int = Field(default=100, ge=1, le=1000, description="how many at most")


class Change(BaseModel):
    """One thing that happened: names, no values. Ask for those."""

    id: str | None = Field(description="the same whenever it is told; null for customer.present")
    type: str = Field(description=", ".join((store.PRESENT, *news.TYPES)))
    at: datetime
    customer_id: str | None
    ref: str | None = Field(description="the record or stream, of request.* and stream.loaded")
    changed: list[str] = Field(description="fields that say something else, of *.updated")
    status: str | None = Field(description="of a request")
    merged_into: str | None = Field(description="of customer.merged: who they are now")
    cause: str = Field(description="the connection it came from; empty = the hub")


class Changes(BaseModel):
    """A page of what changed, in order."""

    items: list[Change]
    next: str = Field(description="`cursor` to go on with, now or later; keep it")
    more: bool = Field(description="ask again at once; else there is nothing further yet")


@blueprint.get("/changes")
@documented(Changes, "What changed", query=ChangeQuery, errors=(410,))
@requires(*READERS)
def changes() -> Response:
    """Without `cursor` every customer once, as `customer.present`, then whatever happens, in order
    and without a gap. Events are kept for `event_days`; an older cursor is answered 410: begin
    again. A stream's first load is silent until `stream.loaded`: begin again then.
    """  # noqa: D205 - one paragraph of the OpenAPI document
    asked = parameters(ChangeQuery)
    mark = lookup.mark("changes", asked.cursor)
    with hub().database.read() as conn:
        place = mark or store.beginning(conn, listed=asked.begin == "all")
        told = store.page(conn, place, asked.limit)
    if told is None:
        abort(410, EXPIRED)
    items = [_change(item) for item in told.items]
    onward = lookup.cursor("changes", told.next)
    return as_json({"items": items, "next": onward, "more": told.more})


def install(app: Flask) -> None:
    """Add this address to the API."""
    app.register_blueprint(blueprint)


def _change(item: News) -> dict[str, Any]:
    is_customer = item.type.startswith("customer.")
    return {
        "id": None if item.type == store.PRESENT else item.name,
        "type": item.type,
        "at": item.at,
        "customer_id": item.subject if is_customer else item.data.get("customer_id"),
        "ref": None if is_customer else item.subject,
        "changed": item.data.get("changed", []),
        "status": item.data.get("status"),
        "merged_into": item.data.get("into"),
        "cause": item.cause,
    }
