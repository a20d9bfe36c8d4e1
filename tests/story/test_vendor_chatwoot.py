"""Chatwoot: conversations become requests, the card goes to the contact, a note to the agents."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses

from hub.registry import Hub
from hub.sdk import Item
from tests.story.helpers import customer, drain, pull, receive, reconcile, scalar

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

Open = Callable[..., Hub]
Answer = tuple[int, dict[str, str], str]
HOME = "https://chatwoot.example.com"
API = f"{HOME}/api/v1/accounts/1"

OVERLAY = """
fields:
  contact_points:
    - {type: phone, path: phone_number, level: proven}
push:
  extra.card_summary: custom_attributes.card_summary
"""
SUMMARY = "{customer.summary}"
RULES: list[dict[str, Any]] = [
    {
        "id": "card-in-chatwoot",
        "when": "Person changed",
        "then": {
            "write": "chat/contacts",
            "keep": True,
            "fields": {"extra": {"card_summary": SUMMARY}},
        },
    },
    {
        "id": "note-for-agents",
        "when": "Ticket created",
        "then": {
            "write": "chat/messages",
            "fields": {"ticket": "{ref}", "channel": "note", "text": SUMMARY},
        },
    },
]


class Chatwoot:
    """The vendor's side: an account as far as these stories need it."""

    def __init__(self, mock: responses.RequestsMock) -> None:
        self.contacts: dict[int, dict[str, Any]] = {}
        self.conversations: dict[int, dict[str, Any]] = {}
        self.messages: dict[int, list[dict[str, Any]]] = {}
        self.writes: list[tuple[str, dict[str, Any]]] = []
        for method, path, answer in (
            ("GET", r"/contacts", self._contacts),
            ("GET", r"/contacts/\d+", self._contact),
            ("PUT", r"/contacts/\d+", self._contact),
            ("GET", r"/conversations", self._conversations),
            ("GET", r"/conversations/\d+/messages", self._messages),
            ("POST", r"/conversations/\d+/messages", self._messages),
        ):
            mock.add_callback(method, re.compile(API + path + r"(\?.*)?$"), _as_json(answer))

    def say(self, conversation: int, contact: int, text: str, at: int) -> None:
        """A customer writes."""
        sender = {"id": contact, "name": "王伟 𠮷", "phone_number": f"+861380000000{contact}"}
        self.contacts[contact] = {
            "custom_attributes": {}, **self.contacts.get(contact, sender),
            "last_activity_at": at, "created_at": 1795000000,
        }  # fmt: skip
        told = {"status": "open", "labels": [], "meta": {"sender": sender}, "created_at": at}
        self.conversations[conversation] = {"id": conversation, "timestamp": at, **told}
        self._add(conversation, {"message_type": 0, "content": text, "sender": sender}, at)

    def _add(self, conversation: int, message: dict[str, Any], at: int) -> dict[str, Any]:
        said = self.messages.setdefault(conversation, [])
        id_ = conversation * 100 + len(said)
        said.append({"id": id_, "conversation_id": conversation, "created_at": at, **message})
        return said[-1]

    def _contacts(self, request: requests.PreparedRequest) -> Any:
        return {"payload": _page(request, self.contacts.values(), "last_activity_at")}

    def _conversations(self, request: requests.PreparedRequest) -> Any:
        return {"data": {"payload": _page(request, self.conversations.values(), "timestamp")}}

    def _contact(self, request: requests.PreparedRequest) -> Any:
        found = self.contacts.get(int(str(request.url).rpartition("/")[2]))
        if found and request.method == "PUT":
            asked = json.loads(request.body or b"{}")
            self.writes.append(("contact", asked))
            found["custom_attributes"] |= asked["custom_attributes"]
        return found and {"payload": found}

    def _messages(self, request: requests.PreparedRequest) -> Any:
        conversation = int(str(request.url).split("/")[-2])
        if request.method == "POST":
            asked = json.loads(request.body or b"{}")
            self.writes.append(("message", asked))
            return self._add(conversation, {**asked, "message_type": 1}, now())
        before = parse_qs(urlsplit(str(request.url)).query).get("before", ["99999"])
        found = self.messages.get(conversation, [])
        return {"payload": [m for m in found if m["id"] < int(before[0])][-20:]}


def now() -> int:
    return int(time.time())


def _page(request: requests.PreparedRequest, rows: Any, stamp: str) -> list[dict[str, Any]]:
    page = int(parse_qs(urlsplit(str(request.url)).query)["page"][0])
    return sorted(rows, key=lambda row: -row[stamp])[(page - 1) * 2 : page * 2]


def _as_json(answer: Callable[[Any], Any]) -> Callable[[Any], Answer]:
    def told(request: requests.PreparedRequest) -> Answer:
        body = answer(request)
        status = 200 if body is not None else 404
        return status, {"Content-Type": "application/json"}, json.dumps(body or {"error": "no"})

    return told


@pytest.fixture
def chatwoot() -> Iterator[Chatwoot]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield Chatwoot(mock)


@pytest.fixture
def hub(open_with: Open, own_settings: Path) -> Hub:
    overlay = own_settings.parent / "overlays" / "chat" / "contacts.yaml"
    overlay.parent.mkdir(parents=True)
    overlay.write_text(OVERLAY, "utf-8")
    chat = {"adapter": "chatwoot", "url": HOME, "api_access_token": "t", "path_tokens": ["p"]}
    return open_with({"chat": chat}, RULES, language="en")


def settle(hub: Hub) -> None:
    for _ in range(3):
        pull(hub, "chat")
        drain(hub)


def test_what_is_said_is_on_the_card_and_the_card_beside_it(hub: Hub, chatwoot: Chatwoot) -> None:
    for n in (1, 2, 3):
        chatwoot.say(n, n, f"旧的 {n}", 1795000000 + n)
    settle(hub)  # the first load is silent
    assert chatwoot.writes == []
    chatwoot.say(9, 3, "空调不制冷 🥵", now())
    settle(hub)
    found = customer(hub, "phone", "+8613800000003")
    said = {fact.summary for fact in found.timeline if fact.kind == "Message"}
    assert {"旧的 3", "空调不制冷 🥵"} <= said
    notes = [told for kind, told in chatwoot.writes if kind == "message"]
    assert [n["private"] for n in notes] == [True]
    assert notes[0]["content"].startswith("open requests: 2")
    before = len(chatwoot.writes)
    settle(hub)
    assert len(chatwoot.writes) == before


def test_the_card_is_kept_at_the_contact(hub: Hub, chatwoot: Chatwoot) -> None:
    chatwoot.say(1, 1, "你好", now())
    settle(hub)
    chatwoot.contacts[1]["name"] = "王伟"
    event = {"event": "contact_updated", "id": 1, "name": "王伟"}
    receive(hub, "chat", Item(json.dumps(event).encode(), "d1", "contacts/1", event["event"]))
    drain(hub)  # it was fetched, and is news
    assert chatwoot.contacts[1]["custom_attributes"]["card_summary"].startswith("open requests: 1")
    before = len(chatwoot.writes)
    settle(hub)
    assert len(chatwoot.writes) == before


def test_who_was_deleted_is_found_by_asking(hub: Hub, chatwoot: Chatwoot) -> None:
    for n in (1, 2, 3):
        chatwoot.say(n, n, "你好", now() + n)
    settle(hub)
    del chatwoot.contacts[2]
    reconcile(hub, "chat", "contacts")
    held = "SELECT count(*) FROM record WHERE ref LIKE 'chat/contacts/%' AND deleted_at IS NULL"
    assert scalar(hub, held) == 2
