"""From what somebody typed, or a program asked, to a list of customers; the same everywhere."""

from __future__ import annotations

import re
from typing import Any

import orjson
from cryptography.fernet import InvalidToken
from flask import abort
from sqlalchemy import Connection

from hub.models.normalise import identifier_value
from hub.store import read
from hub.web.auth import Caller
from hub.web.context import hub
from hub.web.mask import masked

_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_PHONE_LIKE = re.compile(r"\+?[\d\s().\-–—]{5,}(?:(?:转|x|ext\.?|#)\s*\d+)?", re.IGNORECASE)
NOT_READABLE = {"phone": "That is not a phone number.", "email": "That is not a mail address."}


def checked_id(customer_id: str) -> str:
    """The id, or 404 for what cannot be one."""
    if not _ID.fullmatch(customer_id):
        abort(404, "There is no such customer.")
    return customer_id


def spellings(conn: Connection, type_: str, value: str) -> list[str]:
    """An identifier as it may be stored: a phone without country may be of any of ours."""
    if not value.isprintable():
        return []
    found = (identifier_value(type_, value, region) for region in read.regions(conn))
    return list(dict.fromkeys(spelled for spelled in found if spelled))


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
