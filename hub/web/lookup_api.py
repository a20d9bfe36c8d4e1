"""Many customers looked up in one request, in as many statements as for one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from flask import Blueprint, Flask, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import Connection

from hub.pipeline import customer
from hub.profiles.document import Profile
from hub.store import read
from hub.web import lookup
from hub.web.auth import READERS, requires
from hub.web.context import hub
from hub.web.endpoints import Query, as_json, content, documented, parameters

blueprint = Blueprint("lookup_api", __name__, url_prefix="/api/v1")

ASKED_MAX, HOLDERS_MAX = 200, 5
Key = tuple[str, str]


class Asked(BaseModel):
    """Whom to look for: exactly one of these."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 1})

    id: str | None = Field(default=None, max_length=64, description="old ids lead to today's")
    phone: str | None = Field(default=None, max_length=64, description="in any writing")
    email: str | None = Field(default=None, max_length=320)
    identifier: str | None = Field(
        default=None, max_length=320, pattern=lookup.IDENTIFIER, description="type:value"
    )

    @model_validator(mode="after")
    def _one(self) -> Asked:
        if len(self.model_dump(exclude_none=True)) != 1:
            raise ValueError("give exactly one of id, phone, email, identifier")
        return self

    @property
    def key(self) -> Key:
        """Type and value."""
        ((type_, value),) = self.model_dump(exclude_none=True).items()
        if type_ == "identifier":
            type_, _, value = value.partition(":")
        return type_, value


class LookupRequest(BaseModel):
    """Up to 200 questions."""

    model_config = ConfigDict(extra="forbid")

    items: list[Asked] = Field(min_length=1, max_length=ASKED_MAX)
    profiles: bool = Field(default=False, description="with the profile of everybody found")


class LookedUp(BaseModel):
    """What one question found."""

    customer_ids: list[str] = Field(description="the surest first, five at most")
    more: bool = Field(description="others have it too: ask GET /api/v1/customers for all")
    problem: str = Field(description="why it cannot be read; empty when it can")


class LookupAnswer(BaseModel):
    """What was found, in the order of the questions."""

    items: list[LookedUp]
    profiles: dict[str, Profile] = Field(description="without `people`; empty unless asked for")


@blueprint.post("/customers/lookup")
@documented(LookupAnswer, "Find many customers", body=LookupRequest)
@requires(*READERS)
def look_up() -> Response:
    """By id, phone, e-mail or any identifier, up to 200 at once. Who is not found has no
    `customer_ids`; one question that cannot be read does not stop the others.
    """  # noqa: D205 - one paragraph of the OpenAPI document
    parameters(Query)
    asked = content(LookupRequest)
    with hub().database.read() as conn:
        spelled = _spelled(conn, asked.items)
        holders = read.find_many(conn, _flat(spelled), HOLDERS_MAX + 1)
        items = [_looked_up(question, keys, holders) for question, keys in spelled]
        known = read.profiles_json(conn, _wanted(asked, items))
        told = customer.profiles(
            conn, hub().catalogue, (one.document for one in known.values() if asked.profiles)
        )
    for question, item in zip(asked.items, items, strict=True):
        if question.id is not None:
            item["customer_ids"] = [known[question.id].customer_id] if question.id in known else []
    return as_json({"items": items, "profiles": told})


def install(app: Flask) -> None:
    """Add this address to the API."""
    app.register_blueprint(blueprint)


def _spelled(conn: Connection, items: Iterable[Asked]) -> list[tuple[Asked, list[Key]]]:
    """Each question with the keys what it asks for may be stored under."""
    regions = read.regions(conn)
    return [(one, _keys(one, regions)) for one in items]


def _keys(one: Asked, regions: Sequence[str]) -> list[Key]:
    type_, value = one.key
    if one.id is not None:
        return []
    return [(type_, spelled) for spelled in lookup.spelled(type_, value, regions)]


def _flat(spelled: Iterable[tuple[Asked, list[Key]]]) -> list[Key]:
    return [key for _, keys in spelled for key in keys]


def _looked_up(one: Asked, keys: Sequence[Key], holders: dict[Key, list[str]]) -> dict[str, Any]:
    found = list(dict.fromkeys(id_ for key in keys for id_ in holders[key]))
    is_read = bool(keys) or one.id is not None
    return {
        "customer_ids": found[:HOLDERS_MAX],
        "more": len(found) > HOLDERS_MAX,
        "problem": "" if is_read else lookup.not_readable(one.key[0]),
    }


def _wanted(asked: LookupRequest, items: Iterable[dict[str, Any]]) -> set[str]:
    """Ids that were asked for, which may be old ones, and of whom is shown."""
    ids = {one.id for one in asked.items if one.id is not None and lookup.is_id(one.id)}
    return ids | {id_ for item in items if asked.profiles for id_ in item["customer_ids"]}
