"""Chatwoot's lists: by page, what was active last comes first, and that is all they can do.

So they are read from now back to where the last scan began. Whoever becomes active meanwhile moves
to the front and pushes others onto later pages: some are seen twice, none is missed but who moved,
and that one belongs to the next scan.

Source: https://github.com/chatwoot/chatwoot, app/finders (checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hub.sdk import Http, Raw, at, instant

SPOKEN = (0, 1, 3, "incoming", "outgoing", "template")
"""Kinds of messages that are words with a customer; the rest tells what agents did."""

NEVER = datetime.min.replace(tzinfo=UTC)

Read = Callable[[datetime | None, str], tuple[list[Raw], str | None]]


@dataclass(frozen=True)
class Listing:
    """A list and the orders to read it in; the second finds what was made and never active."""

    path: str
    rows: str
    orders: tuple[tuple[Mapping[str, str], str], ...]

    def read(self, http: Http) -> Read:
        """As ``scan`` reads: positions are order and page."""

        def read(since: datetime | None, position: str) -> tuple[list[Raw], str | None]:
            order, page = map(int, (position or "0:1").split(":"))
            query, stamp = self.orders[order]
            rows = at(self.rows, http.get(self.path, params={**query, "page": page})) or []
            passed = since is not None and any(_at(row, stamp) < since for row in rows)
            if rows and not passed:
                return rows, f"{order}:{page + 1}"
            more = since is not None and order + 1 < len(self.orders)
            return rows, f"{order + 1}:1" if more else None

        return read


CONTACTS = Listing(
    "/contacts",
    "payload",
    (({"sort": "-last_activity_at"}, "last_activity_at"), ({"sort": "-created_at"}, "created_at")),
)
CONVERSATIONS = Listing(
    "/conversations",
    "data.payload",
    (
        (
            {"status": "all", "assignee_type": "all", "sort_by": "last_activity_at_desc"},
            "timestamp",
        ),
    ),
)


def read_messages(http: Http) -> Read:
    """Messages of the conversations that were active; as many calls as conversations, not rows."""
    conversations = CONVERSATIONS.read(http)

    def read(since: datetime | None, position: str) -> tuple[list[Raw], str | None]:
        rows, onward = conversations(since, position)
        found = [
            message
            for row in rows
            for message in _since(talk(http, row["id"]), since or NEVER)
            if is_spoken(message)
        ]
        return found, onward

    return read


def talk(http: Http, conversation: Any) -> Iterator[Raw]:
    """The messages of a conversation, newest first; none when it is gone."""
    before: dict[str, Any] = {}
    path = f"/conversations/{conversation}/messages"
    while told := (http.find(path, params=before) or {}).get("payload"):
        yield from sorted(told, key=lambda message: -message["id"])
        before = {"before": min(message["id"] for message in told)}


def is_spoken(message: Raw) -> bool:
    """Whether it is part of what was said with the customer."""
    return message.get("message_type") in SPOKEN and not message.get("private")


def _since(messages: Iterator[Raw], since: datetime) -> Iterator[Raw]:
    for message in messages:
        if _at(message, "created_at") < since:
            return
        yield message


def _at(row: Raw, stamp: str) -> datetime:
    """When it was active; who never was stands at the end of a list."""
    return (instant(row[stamp]) if row.get(stamp) else None) or NEVER
