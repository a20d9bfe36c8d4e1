"""Zendesk: tickets, users and comments become a profile; the card and notes go back to tickets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses

from adapters.zendesk.webhook import RECIPE
from hub.registry import Hub
from hub.sdk import HookRequest
from hub.sdk.signing import revealed
from tests.story.helpers import account, customer, demo, drain, pull, receive, scalar

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

Open = Callable[..., Hub]
Answer = tuple[int, dict[str, str], str]
API = "https://acme.zendesk.com/api/v2"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)

OVERLAY = """
push:
  extra.card_summary: custom_fields[id=360017].value
  extra.card_url: custom_fields[id=360018].value
"""
CARD = {"card_summary": "{customer.summary}", "card_url": "{customer.card_url}"}
RULES: list[dict[str, Any]] = [
    {
        "id": "card-in-zendesk",
        "when": "Ticket changed",
        "if": [{"field": "connection", "is": "desk"}],
        "then": {"write": "desk/tickets", "keep": True, "fields": {"extra": CARD}},
    },
    {
        "id": "note-for-agents",
        "when": "Ticket created",
        "if": [{"field": "connection", "is": "desk"}],
        "then": {
            "write": "desk/ticket_comments",
            "fields": {"ticket": "{ref}", "channel": "note", "text": "{customer.summary}"},
        },
    },
]


class Zendesk:
    """The vendor's side: an account as far as these stories need it."""

    def __init__(self, mock: responses.RequestsMock) -> None:
        self.tickets: dict[int, dict[str, Any]] = {}
        self.audits: list[dict[str, Any]] = []
        self.writes: list[dict[str, Any]] = []
        self.users = [
            {"id": 1, "name": "客服 王", "role": "agent", "email": "wang@acme.example"},
            {"id": 2, "name": "李娜 𠮷", "role": "end-user", "email": "li@example.com"},
        ]
        self.conflicts = 0
        self._clock = NOW
        for method, path, answer in (
            ("GET", r"/incremental/(tickets|users)/cursor\.json", self._exported),
            ("GET", r"/incremental/(ticket_events|organizations)\.json", self._by_time),
            ("GET", r"/users\.json", lambda _: {"users": self.users[:1]}),
            ("GET", r"/tickets/\d+/audits\.json", lambda _: {"audits": self.audits}),
            ("GET", r"/tickets/\d+\.json", self._shown),
            ("PUT", r"/tickets/\d+\.json", self._changed),
        ):
            mock.add_callback(method, re.compile(API + path + r"(\?.*)?$"), _as_json(answer))

    def open(self, id_: int, subject: str) -> None:
        self._clock += timedelta(seconds=1)
        now = f"{self._clock:%Y-%m-%dT%H:%M:%SZ}"
        told = {"id": id_, "subject": subject, "status": "new", "requester_id": 2}
        self.tickets[id_] = {**told, "created_at": now, "updated_at": now, "tags": []}

    def _exported(self, request: requests.PreparedRequest) -> dict[str, Any]:
        kind = "tickets" if "/tickets/" in str(request.url) else "users"
        rows = [*self.tickets.values()] if kind == "tickets" else self.users
        stamps = [str(r.get("updated_at", "")) for r in rows]
        return {kind: rows, "after_cursor": max(stamps, default="") or "c", "end_of_stream": True}

    def _by_time(self, request: requests.PreparedRequest) -> dict[str, Any]:
        if "organizations" in str(request.url):
            return {"organizations": [], "end_time": None, "end_of_stream": True}
        said = {"id": 70, "type": "Comment", "author_id": 2, "body": "坏了 🔥", "public": True}
        event = {"ticket_id": 7, "child_events": [{**said, "created_at": "2026-11-21T12:00:00Z"}]}
        events = [event] if 7 in self.tickets else []
        return {"ticket_events": events, "end_time": 1795262400, "end_of_stream": True}

    def _shown(self, request: requests.PreparedRequest) -> dict[str, Any]:
        id_ = int(re.findall(r"/tickets/(\d+)", str(request.url))[0])
        assert parse_qs(urlsplit(str(request.url)).query)["include"] == ["users"]
        return {"ticket": self.tickets[id_], "users": self.users}

    def _changed(self, request: requests.PreparedRequest) -> dict[str, Any] | None:
        self._clock += timedelta(seconds=1)
        ticket = self.tickets[int(re.findall(r"/tickets/(\d+)", str(request.url))[0])]
        asked = json.loads(request.body or b"{}")["ticket"]
        if asked.get("updated_stamp", ticket["updated_at"]) != ticket["updated_at"]:
            self.conflicts += 1
            return None
        self.writes.append(asked)
        ticket["updated_at"] = f"{self._clock:%Y-%m-%dT%H:%M:%SZ}"
        ticket["custom_fields"] = asked.get("custom_fields", [])
        if "comment" in asked:
            made = {"id": 100 + len(self.audits), "type": "Comment", "author_id": 1}
            audit = {"metadata": {"custom": asked["metadata"]}, "created_at": ticket["updated_at"]}
            self.audits.append({**audit, "events": [{**made, **asked["comment"]}]})
        return {"ticket": ticket, "audit": self.audits[-1] if self.audits else {}}


def _as_json(answer: Callable[[Any], Any]) -> Callable[[Any], Answer]:
    """As JSON; nothing at all is a conflict."""

    def told(request: requests.PreparedRequest) -> Answer:
        body = answer(request)
        status = 409 if body is None else 200
        return status, {"Content-Type": "application/json"}, json.dumps(body)

    return told


@pytest.fixture
def zendesk() -> Iterator[Zendesk]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield Zendesk(mock)


def opened(open_with: Open, own_settings: Path) -> Hub:
    overlay = own_settings.parent / "overlays" / "desk" / "tickets.yaml"
    overlay.parent.mkdir(parents=True)
    overlay.write_text(OVERLAY, "utf-8")
    access = {"subdomain": "acme", "email": "hub@example.com", "api_token": "t"}
    desk = {"adapter": "zendesk", "signing_secrets": ["s"], **access}
    hub = open_with({"crm": demo(), "desk": desk}, RULES, language="en")
    account(hub, "crm").put(
        "customers", {"id": "1", "name": "李娜", "verified_email": "li@example.com", "tier": "VIP"}
    )
    pull(hub, "crm")
    return hub


def settle(hub: Hub) -> None:
    for _ in range(3):
        pull(hub, "desk")
        drain(hub)


def test_the_card_and_a_note_reach_a_new_ticket_once(
    open_with: Open, own_settings: Path, zendesk: Zendesk
) -> None:
    hub = opened(open_with, own_settings)
    pull(hub, "desk")  # the first load is silent
    zendesk.open(7, "空调不制冷")
    settle(hub)
    written = len(zendesk.writes)
    settle(hub)  # echoes cause nothing
    assert len(zendesk.writes) == written
    fields = [w["custom_fields"] for w in zendesk.writes if "custom_fields" in w]
    notes = [w["comment"] for w in zendesk.writes if "comment" in w]
    assert zendesk.conflicts == 1  # the note had changed the ticket meanwhile
    told = {field["id"]: field["value"] for field in fields[-1]}
    assert told[360017] == "VIP · open requests: 1 · last contact 2026-11-21"
    assert "/card?customer=" in told[360018]
    assert notes == [{"body": "VIP · open requests: 1", "public": False}]
    found = customer(hub, "email", "li@example.com")
    assert [request.summary for request in found.open_requests] == ["空调不制冷"]
    said = {fact.summary for fact in found.timeline if fact.kind == "Message"}
    assert said == {"坏了 🔥", "VIP · open requests: 1"}


def test_an_event_is_fetched(open_with: Open, own_settings: Path, zendesk: Zendesk) -> None:
    hub = opened(open_with, own_settings)
    pull(hub, "desk")
    zendesk.open(7, "空调不制冷")
    event = {"id": "01J", "type": "zen:event-type:ticket.created", "subject": "zen:ticket:7"}
    bare = HookRequest("POST", {RECIPE.timestamp.partition(":")[2]: NOW.isoformat()}, {},
                       json.dumps(event).encode(), NOW)  # fmt: skip
    receiver = hub.registry.get("desk").receiver
    opened_ = receiver.open(RECIPE.sign(bare, revealed(receiver.config.signing_secrets)[0]))
    receive(hub, "desk", *opened_.items)  # type: ignore[union-attr]
    drain(hub)
    assert [r.summary for r in customer(hub, "email", "li@example.com").open_requests] == [
        "空调不制冷"
    ]


def test_who_only_hears_asks_nobody(open_with: Open, zendesk: Zendesk) -> None:
    hub = open_with({"desk": {"adapter": "zendesk", "signing_secrets": ["s"]}})
    assert hub.registry.get("desk").pulled == []
    hub.registry.get("desk").adapter.check()
    event = {"id": "01J", "type": "zen:event-type:ticket.created", "subject": "zen:ticket:7"}
    body = json.dumps(event).encode()
    assert list(hub.registry.get("desk").receiver.parse(body)) == []
    assert scalar(hub, "SELECT count(*) FROM inbox") == 0
