"""The API of pins: which value of a field is right, said by a person."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, abort
from pydantic import BaseModel, ConfigDict, Field

from hub.errors import ConfigError
from hub.pipeline.customer import pin as set_pin
from hub.profiles.document import Profile
from hub.web import lookup
from hub.web.auth import OPERATORS, caller, requires
from hub.web.context import installation
from hub.web.endpoints import Query, as_json, content, documented, parameters

blueprint = Blueprint("pins_api", __name__, url_prefix="/api/v1/customers/<customer_id>/pins")


class NewPin(BaseModel):
    """The right value."""

    model_config = ConfigDict(extra="forbid")

    value: str = Field(min_length=1, max_length=500, pattern=r"^[^\x00]*$")


@blueprint.put("/<field>")
@documented(Profile, "Pin a value", errors=(404,), body=NewPin)
@requires(*OPERATORS)
def put_pin(customer_id: str, field: str) -> Response:
    """The field (name, organization, title, tier, owner or language) has this value from now on,
    whatever records say; the profile says who pinned it and when.
    """  # noqa: D205 - one paragraph of the OpenAPI document
    parameters(Query)
    return _pinned(customer_id, field, content(NewPin).value)


@blueprint.delete("/<field>")
@documented(Profile, "Take back what was pinned", errors=(404,))
@requires(*OPERATORS)
def delete_pin(customer_id: str, field: str) -> Response:
    """The field has the value that records give it, again."""
    parameters(Query)
    return _pinned(customer_id, field, None)


def install(app: Flask) -> None:
    """Add the endpoints."""
    app.register_blueprint(blueprint)


def _pinned(customer_id: str, field: str, value: str | None) -> Response:
    here = installation()
    id_, actor = lookup.checked_id(customer_id), caller().name
    try:
        here.database.run(lambda conn: set_pin(conn, here, id_, field, value, actor))
    except ConfigError as exc:
        abort(404, f"{exc}. {exc.hint}")
    with here.database.read() as conn:
        found = lookup.profile(conn, id_, caller())
    if found is None:
        abort(404, "There is no such customer.")
    return as_json(found)
