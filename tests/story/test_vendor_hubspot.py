"""HubSpot: contacts and tickets become a profile, a merge leaves one, a rule leaves one note."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
import responses

from adapters.hubspot.webhook import RECIPES
from hub.registry import Hub
from hub.sdk import HookRequest, instant, written
from hub.store.db import Database
from tests.story.helpers import customer, drain, pull, reconcile, scalar
from webhooks.app import create_app

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

Open = Callable[..., Hub]
API = "https://api.hubapi.com"
SECRET = "client-secret-of-the-app"
STAGES = [{"id": "1", "label": "New", "metadata": {"ticketState": "OPEN"}}]
RULES: list[dict[str, Any]] = [
    {
        "id": "note",
        "when": "Ticket created",
        "if": [{"field": "connection", "is": "crm"}],
        "then": {
            "write": "crm/notes",
            "fields": {"ticket": "{ref}", "text": "{customer.summary} <1 & 2>"},
        },
    },
]


class Portal:
    """The vendor's side: objects of every kind, their links, and searches oldest change first."""

    def __init__(self, mock: responses.RequestsMock) -> None:
        self.objects: dict[str, dict[str, dict[str, Any]]] = {}
        self.links: dict[tuple[str, str, str], list[str]] = {}
        self.merged: dict[str, str] = {}
        self.lose = 0
        self._clock = datetime(2026, 11, 20, 8, tzinfo=UTC)
        for method, path, answer in (
            ("POST", r"/crm/v3/objects/(\w+)/search", self._searched),
            ("POST", r"/crm/v3/objects/(\w+)/batch/read", self._read),
            ("POST", r"/crm/v3/objects/(\w+)", self._created),
            ("GET", r"/crm/v3/objects/(\w+)", self._listed),
            ("GET", r"/crm/v3/pipelines/\w+", lambda _: {"results": [{"stages": STAGES}]}),
            ("POST", r"/crm/v4/associations/(\w+)/(\w+)/batch/read", self._linked),
        ):
            pattern = re.compile(rf"{API}{path}(\?.*)?$")
            mock.add_callback(method, pattern, self._answer(pattern, answer))

    def put(self, stream: str, id_: str, **properties: Any) -> None:
        self._clock += timedelta(milliseconds=7)
        at = f"{written(self._clock, '%Y-%m-%dT%H:%M:%S.%f')[:-3]}Z"
        told = {**properties, "lastmodifieddate": at, "hs_lastmodifieddate": at}
        row = {"id": id_, "properties": told, "createdAt": at, "updatedAt": at, "archived": False}
        self.objects.setdefault(stream, {})[id_] = row

    def link(self, stream: str, id_: str, other: str, theirs: str) -> None:
        for key, end in (((stream, id_, other), theirs), ((other, theirs, stream), id_)):
            self.links.setdefault(key, []).append(end)

    def merge(self, winner: str, loser: str) -> None:
        del self.objects["contacts"][loser]
        self.merged[loser] = winner

    def _answer(self, pattern: re.Pattern[str], answer: Callable[..., Any]) -> Callable[..., Any]:
        def told(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
            found = pattern.match(str(request.url))
            assert found is not None
            assert request.headers["Authorization"] == "Bearer token"
            asked = json.loads(request.body or b"{}")
            names = [name for name in found.groups() if name and not name.startswith("?")]
            body = json.dumps(answer(asked, *names))
            return 200, {"Content-Type": "application/json"}, body

        return told

    def _searched(self, asked: dict[str, Any], stream: str) -> dict[str, Any]:
        rows = sorted(self.objects.get(stream, {}).values(), key=lambda row: row["updatedAt"])
        for group in asked["filterGroups"]:
            (one,) = group["filters"]
            rows = [r for r in rows if written(_at(r), "ms") >= str(one["value"])]
        start = int(asked.get("after", 0))
        page = rows[start : start + asked["limit"]]
        more = {"paging": {"next": {"after": str(start + len(page))}}}
        return {"results": page, **(more if start + len(page) < len(rows) else {})}

    def _read(self, asked: dict[str, Any], stream: str) -> dict[str, Any]:
        ids = [self.merged.get(one["id"], one["id"]) for one in asked["inputs"]]
        known = self.objects.get(stream, {})
        return {"results": [known[id_] for id_ in ids if id_ in known]}

    def _listed(self, _: Any, stream: str) -> dict[str, Any]:
        return {"results": list(self.objects.get(stream, {}).values())}

    def _created(self, asked: dict[str, Any], stream: str) -> dict[str, Any]:
        id_ = str(3000 + len(self.objects.get(stream, {})))
        self.put(stream, id_, **asked["properties"])
        for one in asked["associations"]:
            assert [type_["associationTypeId"] for type_ in one["types"]] == [228]
            self.link(stream, id_, "tickets", one["to"]["id"])
        if self.lose:
            self.lose -= 1
            raise requests.ConnectionError("the answer is lost")
        return {"id": id_}

    def _linked(self, asked: dict[str, Any], stream: str, other: str) -> dict[str, Any]:
        found = {
            one["id"]: self.links.get((stream, one["id"], other), []) for one in asked["inputs"]
        }
        return {
            "results": [
                {
                    "from": {"id": id_},
                    "to": [{"toObjectId": int(end), "associationTypes": []} for end in ends],
                }
                for id_, ends in found.items()
                if ends
            ]
        }


def _at(row: dict[str, Any]) -> datetime:
    at = instant(row["updatedAt"])
    assert at is not None
    return at


@pytest.fixture
def portal() -> Iterator[Portal]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield Portal(mock)


@pytest.fixture
def hub(open_with: Open, portal: Portal) -> Hub:
    crm = {
        "adapter": "hubspot",
        "access_token": "token",
        "client_secrets": [SECRET],
        "page_size": 2,
    }
    return open_with({"crm": crm}, RULES)


def tell(hub: Hub, *events: dict[str, Any]) -> None:
    """HubSpot calls the front door."""
    at, url = datetime.now(UTC), "http://localhost/hooks/crm"
    base = {"subscriptionId": 1, "eventId": 1, "occurredAt": 1795262400000}
    body = json.dumps([{**base, **event} for event in events]).encode()
    headers = {"x-hubspot-request-timestamp": written(at, "ms")}
    signed = RECIPES["v3"].sign(HookRequest("POST", headers, {}, body, at, url=url), SECRET)
    app = create_app(hub.settings)
    database: Database = app.extensions["hub.database"]
    with closing(database), app.test_client(use_cookies=False) as client:
        answer = client.post("/hooks/crm", data=body, headers=dict(signed.headers))
        assert answer.status_code == 202
    drain(hub)


def people(hub: Hub) -> int:
    alive = "SELECT count(*) FROM record WHERE kind = 'Person' AND deleted_at IS NULL"
    return int(scalar(hub, alive))


def test_a_merge_leaves_one_contact(hub: Hub, portal: Portal) -> None:
    for number in range(1, 6):  # pages of two
        portal.put("contacts", f"50{number}", firstname="娜", email=f"li{number}@example.com")
    pull(hub, "crm", "contacts")
    assert people(hub) == 5
    portal.merge("501", "502")
    portal.put("contacts", "501", firstname="娜", lastname="𠮷田", email="li1@example.com")
    merged = {"objectId": 501, "primaryObjectId": 501, "mergedObjectIds": [502]}
    tell(hub, {**merged, "subscriptionType": "contact.merge"})
    assert people(hub) == 4
    name = customer(hub, "email", "li1@example.com").name
    assert name is not None
    assert name.value == "𠮷田娜"


def test_what_went_without_a_word_is_found_by_reconciliation(hub: Hub, portal: Portal) -> None:
    for number in (1, 2, 3):
        portal.put("contacts", f"50{number}", firstname="娜", email=f"li{number}@example.com")
    pull(hub, "crm", "contacts")
    del portal.objects["contacts"]["502"]
    pull(hub, "crm", "contacts")
    assert people(hub) == 3
    reconcile(hub, "crm", "contacts")
    assert people(hub) == 2


def test_a_rule_leaves_one_note_though_the_answer_is_lost(
    hub: Hub, portal: Portal, clock: Callable[[timedelta], None]
) -> None:
    portal.put("contacts", "501", firstname="娜", lastname="李", email="li@example.com")
    pull(hub, "crm")
    portal.put("tickets", "902", subject="漏水 😀", hs_pipeline="0", hs_pipeline_stage="1")
    portal.link("tickets", "902", "contacts", "501")
    portal.lose = 1
    tell(hub, {"objectId": 902, "subscriptionType": "ticket.creation"})
    told = customer(hub, "email", "li@example.com")
    assert [fact.summary for fact in told.open_requests] == ["漏水 😀"]
    clock(timedelta(hours=1))
    drain(hub)
    (note,) = portal.objects["notes"].values()
    body = note["properties"]["hs_note_body"]
    assert "&lt;1 &amp; 2&gt;" in body
    assert re.search(r"<p>\[hub-[\w-]+\]</p>$", body)
    assert scalar(hub, "SELECT count(*) FROM delivery WHERE state = 'confirmed'") == 1
    pull(hub, "crm", "notes")  # our own note comes back, and causes nothing
    drain(hub)
    assert len(portal.objects["notes"]) == 1
