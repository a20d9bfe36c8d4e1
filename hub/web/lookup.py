"""From what somebody typed, or a program asked, to a list of customers; the same everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import orjson
from cryptography.fernet import InvalidToken
from flask import abort
from sqlalchemy import Connection

from hub.models.normalise import identifier_value
from hub.pipeline import customer
from hub.profiles.mask import masked
from hub.store import read
from hub.web.auth import Caller
from hub.web.context import hub

IDENTIFIER = r"^[a-z][a-z0-9_]*:.+$"
"""Type and value of what a customer is known by."""

_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_PHONE_LIKE = re.compile(r"\+?[\d\s().\-–—]{5,}(?:(?:转|x|ext\.?|#)\s*\d+)?", re.IGNORECASE)
_NOT_READABLE = {"phone": "That is not a phone number.", "email": "That is not a mail address."}


def checked_id(customer_id: str) -> str:
    """The id, or 404 for what cannot be one."""
    if not is_id(customer_id):
        abort(404, "There is no such customer.")
    return customer_id


def is_id(text: str) -> bool:
    """Whether it can be a customer's id."""
    return _ID.fullmatch(text) is not None


def spellings(conn: Connection, type_: str, value: str) -> list[str]:
    """An identifier as it may be stored: a phone without country may be of any of ours."""
    is_whole = type_ == "email" or (type_ == "phone" and value.lstrip().startswith(("+", "＋")))
    return spelled(type_, value, [read.REGION] if is_whole else read.regions(conn))


def spelled(type_: str, value: str, regions: Iterable[str]) -> list[str]:
    """As ``spellings``, where the regions are known."""
    if not value.isprintable():
        return []
    found = (identifier_value(type_, value, region) for region in regions)
    return list(dict.fromkeys(spelling for spelling in found if spelling))


def not_readable(type_: str) -> str:
    """Why a value of this type cannot be looked up."""
    return _NOT_READABLE.get(type_, f"That is not a {type_}.")


def guessed(typed: str) -> str:
    """The type of identifier somebody typed into a search box; "" means it is a name."""
    return "email" if "@" in typed else "phone" if _PHONE_LIKE.fullmatch(typed.strip()) else ""


def typed_page(
    conn: Connection, typed: str, limit: int, after: read.Mark | None
) -> read.Page[read.Listed]:
    """Customers for the text of a search box: a phone, an address or part of a name."""
    if not typed.strip():
        return read.customers(conn, limit, after)
    if (type_ := guessed(typed)) and (values := spellings(conn, type_, typed)):
        return read.holders(conn, type_, values, limit, after)
    return read.search(conn, "".join(c for c in typed if c.isprintable()), limit, after)


def profile(
    conn: Connection, customer_id: str, who: Caller, at: datetime | None = None
) -> dict[str, Any] | None:
    """The customer 360 as this caller may see it, now or as it was shown at an instant.

    None when there is no such customer; 404 or 410 when there was none then, or nothing is kept.
    """
    found = customer.profile(conn, hub().catalogue, checked_id(customer_id), at)
    if found is None and at is not None:
        if customer.is_forgotten(at, hub().settings.history_days):
            abort(410, "What was shown then is no longer kept.")
        abort(404, "There was no such customer then.")
    seen: dict[str, Any] | None = found and seen_by(
        who, orjson.loads(orjson.dumps(found, option=orjson.OPT_UTC_Z))
    )
    return seen


def document(text: str, who: Caller) -> dict[str, Any]:
    """A stored document as this caller may see it."""
    seen: dict[str, Any] = seen_by(who, orjson.loads(text))
    return seen


def seen_by(who: Caller, value: Any) -> Any:
    """Anything on its way out, as this caller may see it. Every answer goes through here."""
    return masked(value) if who.sees_masked else value


def summary(row: read.Listed, who: Caller) -> dict[str, Any]:
    """One customer of a list."""
    profile = document(row.document, who)
    names = {
        field: (profile.get(field) or {}).get("value", "")
        for field in ("name", "organization", "title", "tier", "owner")
    }
    return {
        "id": row.customer_id,
        "kind": profile["kind"],
        **names,
        "tags": profile.get("tags", []),
        "contacts": [
            {"type": c["type"], "value": c["value"], "level": c["level"]}
            for c in profile.get("contacts", [])[:4]
        ],
        "open_requests": len(profile.get("open_requests", [])),
        "built_at": row.built_at.isoformat(),
    }


def cursor(of: str, mark: read.Mark | None) -> str | None:
    """A mark as text nobody can read or forge; ``of`` names the list it continues."""
    if mark is None:
        return None
    return hub().cipher().encrypt(orjson.dumps([of, *mark])).decode()


def mark(of: str, text: str | None) -> read.Mark | None:
    """The mark behind a cursor, or 400."""
    if not text:
        return None
    try:
        kind, *parts = orjson.loads(hub().cipher().decrypt(text.encode()))
    except (InvalidToken, ValueError):
        kind, parts = "", []
    if kind != of:
        abort(400, "That cursor is not one of this list's.")
    return tuple(parts)
