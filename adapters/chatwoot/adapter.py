"""Chatwoot: contacts, conversations and messages. A conversation's id is the one agents see.

Source: https://developers.chatwoot.com/api-reference/introduction and
https://github.com/chatwoot/chatwoot, app/controllers/api/v1 (checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from adapters.chatwoot.account import ChatwootConfig
from adapters.chatwoot.lists import CONTACTS, CONVERSATIONS, is_spoken, read_messages, talk
from hub.sdk import (
    Adapter,
    Change,
    ConflictError,
    Http,
    Page,
    Raw,
    Receipt,
    RecordRef,
    RejectedError,
    Stream,
    instant,
    scan,
)

READS = {"contacts": CONTACTS.read, "conversations": CONVERSATIONS.read, "messages": read_messages}

ACTS = {
    "status": "toggle_status",
    "priority": "toggle_priority",
    "labels": "labels",
    "custom_attributes": "custom_attributes",
}
"""What can be changed of a conversation, and where; each sets a value, however often it is sent."""

SOUGHT = 200
"""So many of a conversation's newest messages are looked through for our own."""


class ChatwootAdapter(Adapter[ChatwootConfig]):
    """One account. Rows are as the API has them, messages without notes and what agents did."""

    looks_up = True
    streams = (
        Stream("contacts", writable=True),
        Stream("conversations", writable=True),
        Stream("messages", writable=True, whole=False, fresh_s=30 * 86400.0),
    )

    def connect(self) -> Http:
        return self.config.http()

    def reads(self, stream: Stream) -> bool:
        return self.config.asks

    def check(self) -> None:
        if self.config.asks:  # who takes webhooks only has nothing to try
            self.http.get("/contacts", params={"page": 1})
            self.http.get("/conversations", params={"page": 1})

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        read = READS[stream.name](self.http)
        since, overlap_s = self.config.backfill_from, stream.overlap_s
        yield from scan(read, cursor, now=self.http.now, since=since, overlap_s=overlap_s)

    def fetch(self, ref: RecordRef) -> Raw | None:
        if ref.stream == "messages":
            raise RejectedError("Chatwoot shows messages only with their conversation")
        body = self.http.find(f"/{ref.stream}/{ref.id}")
        found: Raw | None = body["payload"] if body and ref.stream == "contacts" else body
        return found

    def find(self, stream: Stream, values: Raw) -> list[Raw]:
        names = ("email", "phone_number") if stream.name == "contacts" else ()
        told = [name for name in names if values.get(name)]
        return [*{r["id"]: r for name in told for r in self._search(name, values[name])}.values()]

    def push(self, stream: Stream, change: Change) -> Receipt:
        values = dict(change.values)
        if stream.name == "messages":
            return self._say(change, values)
        if stream.name == "conversations":
            return self._act(change, values)
        if change.id is not None:
            told = self.http.json("PUT", f"/contacts/{change.id}", json=values)
            return _receipt(told["payload"])
        ours = change.marker or change.key
        if found := self._search("identifier", ours):
            return _receipt(found[0])
        made = self.http.json("POST", "/contacts", json={"identifier": ours, **values})
        return _receipt(made["payload"]["contact"])

    def _search(self, name: str, value: str) -> list[Raw]:
        """Contacts with exactly that; the search itself finds parts as well."""
        found = self.http.get("/contacts/search", params={"q": value})["payload"]
        return [row for row in found if str(row.get(name) or "").lower() == value.lower()]

    def _act(self, change: Change, values: Raw) -> Receipt:
        """Change a conversation; its attributes are replaced as a whole, so ours are added."""
        row = self._conversation(change)
        now = instant(row.get("updated_at") or row["timestamp"])
        known = instant(change.version) if change.version else None
        if now and known and now > known:
            raise ConflictError(f"conversation {change.id} was changed meanwhile")
        if attributes := values.get("custom_attributes"):
            values["custom_attributes"] = {**(row.get("custom_attributes") or {}), **attributes}
        for name in (name for name in ACTS if name in values):
            path = f"/conversations/{change.id}/{ACTS[name]}"
            self.http.json("POST", path, json={name: values[name]}, repeatable=True)
        return Receipt(str(row["id"]), self._conversation(change))

    def _conversation(self, change: Change) -> Raw:
        row = self.fetch(RecordRef("conversations", change.id)) if change.id else None
        if row is None:
            raise RejectedError("a conversation begins with a customer, not with us")
        return row

    def _say(self, change: Change, values: Raw) -> Receipt:
        """A reply, or a note among agents."""
        conversation = values.pop("conversation_id", None)
        if change.id is not None or not conversation:
            raise RejectedError("a message is added to a conversation, not changed, not sent alone")
        values = {"message_type": "outgoing", "private": False, **values}
        if values["private"]:  # of a reply it would say that it was sent already
            values["source_id"] = change.marker or change.key
        if found := self._said(conversation, values):
            return _receipt(found)
        path = f"/conversations/{conversation}/messages"
        return _receipt(self.http.json("POST", path, json=values))

    def _said(self, conversation: Any, values: Raw) -> Raw | None:
        """Ours: a note by its mark; a reply by its words, said since the customer last wrote."""
        for message in islice(talk(self.http, conversation), SOUGHT):
            if values["private"]:
                if message.get("source_id") == values["source_id"]:
                    return message
            elif message.get("message_type") in (0, "incoming"):
                return None
            elif is_spoken(message) and message.get("content") == values.get("content"):
                return message
        return None


def _receipt(row: Raw) -> Receipt:
    return Receipt(str(row["id"]), row)
