"""The desk in Matrix rooms: ``!360 13812345678`` is answered with a short card.

Source: https://spec.matrix.org/latest/client-server-api/#mroommessage-msgtypes (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from fnmatch import fnmatchcase
from html import escape
from typing import Any, Literal

from pydantic import Field

from hub.sdk import ConnectionConfig, Desk, Query, Raw, Shown, View

ROOM, PRIVATE = "matrix_room", "matrix_private_room"
"""What an address names: a room, or one that is to be private still when the message arrives."""


class MatrixDeskConfig(ConnectionConfig):
    command: str = Field(
        default="!360", pattern=r"^\S{1,20}$", description="What a question to the desk begins with"
    )
    rooms: Literal["private", "any"] = Field(
        default="private",
        description="Where the desk answers: only in rooms into which one is invited and where "
        "everybody may ask; or in any, without personal data in the others",
    )
    askers: tuple[str, ...] = Field(
        default=(),
        description="Who may ask, as patterns such as @*:example.com; none = everybody of the "
        "bot's own homeserver",
    )
    desk_rooms: tuple[str, ...] = Field(
        default=(), description="Ids of the rooms in which the desk answers; none = all it is in"
    )
    customers: tuple[str, ...] = Field(
        default=(),
        description="Who is a customer, as patterns such as @wa_*:example.com: what they write, "
        "and what answers it, becomes part of their timeline",
    )

    def may_ask(self, user: str, me: str) -> bool:
        """Whether they may ask the bot of that id; a customer never may."""
        askers = self.askers or (f"@*:{me.partition(':')[2]}",)
        return fits(user, askers) and not fits(user, self.customers)


class MatrixDesk(Desk[MatrixDeskConfig]):
    """One bot, in the rooms it is in."""

    def ask(self, body: bytes) -> Query | None:
        item = json.loads(body)
        event = item["event"]
        if not is_question(self.config, event):
            return None
        text = str(event["content"]["body"]).strip().removeprefix(self.config.command).strip()
        return Query(
            text=text,
            asker=event["sender"],
            place=item["room_id"],
            message=event["event_id"],
            private=bool(item.get("private")),
            refused=self._refused(item),
        )

    def show(self, query: Query, view: View) -> Raw:
        parts = [*([view.note] if view.note else []), *map(_text, view.customers)]
        html = [*([escape(view.note)] if view.note else []), *map(_html, view.customers)]
        place = PRIVATE if query.private and view.customers else ROOM
        return {
            "to": [{"type": place, "value": query.place}],
            "subject": view.elsewhere,
            "text": "\n\n".join(parts),
            "html": "<br><br>".join(html),
            "automatic": True,
        }

    def _refused(self, item: Raw) -> str:
        if not item.get("known"):
            return "asker"
        rooms = self.config.desk_rooms
        is_here = not rooms or item["room_id"] in rooms
        return "" if is_here and (item.get("private") or self.config.rooms == "any") else "place"


def is_question(config: MatrixDeskConfig, event: Raw) -> bool:
    """Whether somebody asks the desk; an edit of a question is none, nor is what a bot says."""
    content = event["content"]
    if event["type"] != "m.room.message" or content.get("msgtype") != "m.text":
        return False
    words = str(content.get("body", "")).split()
    return len(words) > 1 and words[0] == config.command and "m.new_content" not in content


def replied_to(event: Raw) -> str | None:
    """The message it answers."""
    return _event_id(_relation(event).get("m.in_reply_to"))


def replaced(event: Raw) -> str | None:
    """The message it is an edit of."""
    relation = _relation(event)
    return _event_id(relation) if relation.get("rel_type") == "m.replace" else None


def fits(user: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns means this user."""
    return any(fnmatchcase(user, pattern) for pattern in patterns)


def _relation(event: Raw) -> Raw:
    # Whoever writes into a room writes this too, well or badly.
    found = event["content"].get("m.relates_to")
    return found if isinstance(found, dict) else {}


def _event_id(relation: Any) -> str | None:
    found = relation.get("event_id") if isinstance(relation, dict) else None
    return found if isinstance(found, str) and found else None


def _text(one: Shown) -> str:
    return "\n".join([*filter(None, [one.title]), *one.lines, f"{one.link_text}: {one.link}"])


def _html(one: Shown) -> str:
    head = [f"<strong>{escape(one.title)}</strong>"] if one.title else []
    link = f'<a href="{escape(one.link)}">{escape(one.link_text)}</a>'
    return "<br>".join([*head, *map(escape, one.lines), link])
