"""Cards on desks: signed addresses for frames in other systems, asked for by a desk's server."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from flask import Blueprint, Flask, Response, abort
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from sqlalchemy import Connection

from hub.store import audit, card_tokens, read
from hub.store.card_tokens import CardToken
from hub.web import formats, lookup
from hub.web.api import CardLink
from hub.web.auth import READERS, caller, requires
from hub.web.context import hub
from hub.web.endpoints import Query, as_json, content, documented, parameters

blueprint = Blueprint("desks", __name__, url_prefix="/api/v1")

Origin = Annotated[
    str,
    StringConstraints(
        max_length=300,
        pattern=r"^(https?://[A-Za-z0-9.-]+(:\d{1,5})?|chrome-extension://[a-p]{32})$",
    ),
]
WHOM = ("customer", "phone", "email", "identifier")


class CardTokenRequest(BaseModel):
    """For whom a card is wanted, and who is to see it where. Exactly one of the first four."""

    model_config = ConfigDict(extra="forbid")

    customer: str | None = Field(default=None, pattern=r"^[0-9A-Za-z_-]{1,64}$")
    phone: str | None = Field(default=None, min_length=1, max_length=64, description="any writing")
    email: str | None = Field(default=None, min_length=1, max_length=320)
    identifier: str | None = Field(
        default=None, max_length=320, pattern=lookup.IDENTIFIER, description="type:value"
    )
    role: Literal["admin", "operator", "manager", "agent", "auditor"] | None = Field(
        default=None, description="as whom the card is seen: your role, or one behind it here"
    )
    lifetime_s: int = Field(default=card_tokens.LIFETIME_S, ge=10, le=card_tokens.LIFETIME_S)
    read_only: bool = Field(default=False, description="nothing can be done with it")
    frame_origin: Origin | None = Field(default=None, description="who may frame it")
    desk: str | None = Field(
        default=None, max_length=200, description="or: a connection, whose `frame_origins` may"
    )

    @model_validator(mode="after")
    def _clear(self) -> CardTokenRequest:
        if sum(getattr(self, name) is not None for name in WHOM) != 1:
            raise ValueError(f"give exactly one of {', '.join(WHOM)}")
        if self.frame_origin and self.desk:
            raise ValueError("give frame_origin or desk, not both")
        return self


@blueprint.post("/card-tokens")
@documented(
    CardLink, "A card for a desk", body=CardTokenRequest, errors=(404, 409), status=201
)  # fmt: skip
@requires(*READERS)
def card_tokens_() -> Response:
    """A short-lived address that opens one customer's card in a frame, without signing in. 404
    when nobody is known by that, 409 when several are: ask `/customers`, and for one of them then.
    """  # noqa: D205 - one paragraph of the OpenAPI document
    parameters(Query)
    asked = content(CardTokenRequest)
    role = asked.role or caller().role
    if not caller().may_lend(role):
        abort(403, "That role may see more than yours.")
    with hub().database.write() as conn:
        told = CardToken(
            _whom(conn, asked),
            role,
            masked=caller().sees_masked,
            actor="" if asked.read_only else caller().name,
            lifetime_s=asked.lifetime_s,
            ancestors=_ancestors(conn, asked),
        )
        audit.note(conn, caller().name, "card link", f"customer:{told.customer_id}")
    expires_at = formats.now() + timedelta(seconds=told.lifetime_s)
    url = card_tokens.link(hub().settings, hub().keys, told)
    return as_json({"url": url, "expires_at": expires_at}, 201, plain=True)


def install(app: Flask) -> None:
    """Add the addresses."""
    app.register_blueprint(blueprint)


def _whom(conn: Connection, asked: CardTokenRequest) -> str:
    """The one customer meant."""
    if asked.customer is not None:
        found = [now] if (now := read.current_id(conn, asked.customer)) else []
    else:
        type_, value = next((n, v) for n in WHOM[1:] if (v := getattr(asked, n)) is not None)
        if type_ == "identifier":
            type_, _, value = value.partition(":")
        values = lookup.spellings(conn, type_, value)
        found = read.find(conn, type_, *values) if values else []
    if len(found) > 1:
        abort(409, "Several customers are known by that.")
    if not found:
        abort(404, "There is no such customer.")
    return found[0]


def _ancestors(conn: Connection, asked: CardTokenRequest) -> str:
    """Who may frame it, as a CSP source list; "" leaves it to the settings."""
    if asked.desk is None:
        return asked.frame_origin or ""
    origins = read.frame_origins(conn, asked.desk)
    if not origins:
        abort(404, "There is no desk of that name with frame_origins.")
    return " ".join(origins)
