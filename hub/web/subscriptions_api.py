"""The API of subscriptions: who is told of the hub's own events. For administrators."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from flask import Blueprint, Flask, Response, abort
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from hub.errors import ConfigError, RetryableError
from hub.pipeline import publish
from hub.store import audit
from hub.store import subscriptions as store
from hub.store.crypto import Vault
from hub.store.subscriptions import Subscription
from hub.web.auth import caller, requires
from hub.web.context import hub, registry
from hub.web.endpoints import Query, as_json, content, documented, parameters, promised

blueprint = Blueprint("subscriptions_api", __name__, url_prefix="/api/v1/subscriptions")

Format = Literal["standard", "cloudevents-binary", "cloudevents-structured"]
Types = list[str]


class NewSubscription(BaseModel):
    """A receiver to be told what happens from now on."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=store.NAME)
    url: str = Field(max_length=2000, description="https, or http in one of `allow_networks`")
    types: Types = Field(
        default=[], max_length=50, description="such as customer.* or request.created; none = all"
    )
    format: Format = "standard"
    allow_networks: list[str] = Field(
        default=[], max_length=20, description="private networks it may be in, as CIDR"
    )


class SubscriptionChange(BaseModel):
    """What is to be different; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    url: str | None = Field(default=None, max_length=2000)
    types: Types | None = Field(default=None, max_length=50)
    format: Format | None = None
    allow_networks: list[str] | None = Field(default=None, max_length=20)
    state: Literal["active", "paused"] | None = Field(
        default=None, description="active goes on from where it was, also after it was disabled"
    )


class Replay(BaseModel):
    """Where to begin again."""

    model_config = ConfigDict(extra="forbid")

    since: AwareDatetime


class SubscriptionState(BaseModel):
    """One receiver, without its secrets."""

    name: str
    url: str = Field(description="its query, where tokens hide, is not shown")
    types: Types
    format: str
    allow_networks: list[str]
    state: str = Field(description="active, paused or disabled")
    reason: str = Field(description="why it fails or was disabled")
    waiting: int = Field(description="events it was not told yet")
    lost: int = Field(description="of them, no longer kept")
    attempts: int = Field(description="failed ones in a row")
    failing_since: datetime | None
    next_at: datetime = Field(description="nothing is sent before")
    created_at: datetime


class Subscriptions(BaseModel):
    """All receivers."""

    items: list[SubscriptionState]


class SubscriptionSecret(BaseModel):
    """What its messages are signed with."""

    name: str
    secret: str = Field(description="shown only here; for any Standard Webhooks library")


@blueprint.get("")
@documented(Subscriptions, "Who is told of events")
@requires("admin")
def subscriptions() -> Response:
    """By name."""
    parameters(Query)
    with hub().database.read() as conn:
        found = [_state(conn, one) for one in store.every(conn)]
    return as_json({"items": found})


@blueprint.post("")
@documented(SubscriptionSecret, "Subscribe", body=NewSubscription, errors=(409,), status=201)
@requires("admin")
def add_subscription() -> Response:
    """Events are sent in order, each at least once and under the same `webhook-id`, signed as
    Standard Webhooks says. They hold ids and names of fields; ask the API for more.
    """  # noqa: D205 - one paragraph of the OpenAPI document
    parameters(Query)
    asked = content(NewSubscription)
    _check_address(asked.url, asked.allow_networks)
    with hub().database.write() as conn:
        if store.get(conn, asked.name):
            abort(409, "There is a subscription of that name.")
        secret = store.add(
            conn,
            _vault(),
            asked.name,
            asked.url,
            types=_types(asked.types),
            format_=asked.format,
            allow_networks=asked.allow_networks,
        )
        _note(conn, "add", asked.name)
    return as_json({"name": asked.name, "secret": secret}, 201, plain=True)


@blueprint.get("/<name>")
@documented(SubscriptionState, "One subscription", errors=(404,))
@requires("admin")
def subscription(name: str) -> Response:
    """Where events are sent, which, and how far it has been told."""
    parameters(Query)
    with hub().database.read() as conn:
        return as_json(_state(conn, _found(conn, name)))


@blueprint.patch("/<name>")
@documented(SubscriptionState, "Change, pause or resume", body=SubscriptionChange, errors=(404,))
@requires("admin")
def change_subscription(name: str) -> Response:
    """A paused or disabled one goes on from where it was; nothing is lost as long as events are
    kept (`event_days`).
    """  # noqa: D205 - one paragraph of the OpenAPI document
    parameters(Query)
    asked = content(SubscriptionChange)
    given = asked.model_dump(exclude_none=True, exclude={"state"})
    with hub().database.read() as conn:
        one = _found(conn, name)
    if given.keys() & {"url", "allow_networks"}:
        _check_address(given.get("url", one.url), given.get("allow_networks", one.allow_networks))
    if "types" in given:
        given["types"] = _types(given["types"])
    with hub().database.write() as conn:
        if given:
            store.change(conn, one.name, **given)
            _note(conn, "change", one.name)
        if asked.state:
            begin = store.resume if asked.state == store.ACTIVE else store.pause
            begin(conn, one.name)
            _note(conn, "resume" if asked.state == store.ACTIVE else "pause", one.name)
        return as_json(_state(conn, _found(conn, name)))


@blueprint.delete("/<name>")
@documented(SubscriptionState, "Unsubscribe", errors=(404,))
@requires("admin")
def remove_subscription(name: str) -> Response:
    """What it was at last."""
    parameters(Query)
    with hub().database.write() as conn:
        last = _state(conn, _found(conn, name))
        store.remove(conn, name)
        _note(conn, "remove", name)
    return as_json(last)


@blueprint.post("/<name>/replay")
@documented(SubscriptionState, "Tell it again", body=Replay, errors=(404,))
@requires("admin")
def replay_subscription(name: str) -> Response:
    """Everything that happened at or after an instant and is still kept, under the same ids."""
    parameters(Query)
    asked = content(Replay)
    with hub().database.write() as conn:
        _found(conn, name)
        store.seek(conn, name, asked.since)
        _note(conn, "replay", name)
        return as_json(_state(conn, _found(conn, name)))


@blueprint.post("/<name>/rotate")
@documented(SubscriptionSecret, "A new secret", errors=(404,))
@requires("admin")
def rotate_subscription(name: str) -> Response:
    """Messages are signed with the old one as well for 24 hours."""
    parameters(Query)
    with hub().database.write() as conn:
        _found(conn, name)
        secret = store.rotate(conn, _vault(), name)
        _note(conn, "rotate", name)
    return as_json({"name": name, "secret": secret}, plain=True)


def install(app: Flask) -> None:
    """Add the addresses."""
    app.register_blueprint(blueprint)


def _found(conn: Connection, name: str) -> Subscription:
    found = store.get(conn, name) if re.fullmatch(store.NAME, name) else None
    if found is None:
        abort(404, "There is no such subscription.")
    return found


def _state(conn: Connection, one: Subscription) -> dict[str, Any]:
    return promised(store.overview(conn, one), SubscriptionState)


def _types(asked: Sequence[str]) -> tuple[str, ...]:
    try:
        return store.checked_types(asked)
    except ConfigError as exc:
        abort(400, f"{exc}. {exc.hint}")


def _check_address(url: str, allow_networks: Sequence[str]) -> None:
    try:
        publish.check_address(url, allow_networks)
    except (ConfigError, RetryableError) as exc:
        abort(400, f"{exc}. {exc.hint}")


def _vault() -> Vault:
    return registry().vault


def _note(conn: Connection, verb: str, name: str) -> None:
    audit.note(conn, caller().name, verb, f"subscription:{name}")
