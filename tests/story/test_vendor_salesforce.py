"""Salesforce: a message at the door becomes a profile; a rule opens one case, whatever is lost."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses

from adapters.salesforce.soql import COMMON, FIELDS, OBJECTS
from hub.registry import Hub
from hub.store.db import Database
from tests.story.helpers import account, customer, demo, drain, pull, reconcile, scalar
from webhooks.app import create_app

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

Open = Callable[..., Hub]
ORG = "https://example.my.salesforce.com"
AT = "2026-11-20T08:00:00.000+0000"
MESSAGE = (
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
    '<notifications xmlns="http://soap.sforce.com/2005/09/outbound">'
    "<OrganizationId>00D000000000001EAA</OrganizationId><Notification><Id>04l1</Id>"
    '<sObject xsi:type="sf:Contact" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">'
    "<sf:Id>{id}</sf:Id></sObject></Notification></notifications></soapenv:Body></soapenv:Envelope>"
)
RULES: list[dict[str, Any]] = [
    {
        "id": "case",
        "when": "Ticket created",
        "if": [{"field": "connection", "is": "desk"}],
        "then": {
            "write": "crm/cases",
            "fields": {"subject": "{subject}", "priority": "urgent", "status": "new"},
        },
    },
]


class Org:
    """The vendor's side: rows by object, and as much SOQL as these stories need."""

    def __init__(self, mock: responses.RequestsMock) -> None:
        self.rows: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in OBJECTS.values()}
        self.lose = 0
        self.upserts = 0
        mock.post(
            "https://login.salesforce.com/services/oauth2/token",
            json={"access_token": "session", "instance_url": ORG},
        )
        for method, path, answer in (
            ("GET", r"/sobjects/(\w+)/describe", self._described),
            ("GET", r"/(query|queryAll)", self._queried),
            ("PATCH", r"/sobjects/(\w+)/Hub_Id__c/([\w-]+)", self._upserted),
        ):
            pattern = re.compile(rf"{ORG}/services/data/v67\.0{path}(\?.*)?$")
            mock.add_callback(method, pattern, self._answer(pattern, answer))

    def put(self, name: str, id_: str, **fields: Any) -> None:
        row = {"Id": id_, "IsDeleted": False, "CreatedDate": AT, "SystemModstamp": AT}
        self.rows[name][id_] = {**row, **fields}

    def _answer(self, pattern: re.Pattern[str], answer: Callable[..., Any]) -> Callable[..., Any]:
        def told(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
            found = pattern.match(str(request.url))
            assert found is not None
            body = json.dumps(answer(request, *found.groups()))
            return 200, {"Content-Type": "application/json"}, body

        return told

    def _described(self, _: Any, name: str, *__: Any) -> dict[str, Any]:
        stream = next(stream for stream, object_ in OBJECTS.items() if object_ == name)
        names = [*COMMON.split(), *FIELDS[stream].split()]
        parents = [{"name": "", "relationshipName": n.partition(".")[0]} for n in names if "." in n]
        return {"fields": [{"name": n} for n in names if "." not in n] + parents}

    def _queried(self, request: requests.PreparedRequest, verb: str, *_: Any) -> dict[str, Any]:
        (asked,) = parse_qs(urlsplit(str(request.url)).query)["q"]
        rows = list(self.rows[re.findall(r"FROM (\w+)", asked)[0]].values())
        for name, value in re.findall(r"\b(Id|Hub_Id__c) = '([^']*)'", asked):
            rows = [row for row in rows if row.get(name) == value]
        if verb == "query":
            rows = [row for row in rows if not row["IsDeleted"]]
        return {"done": True, "records": sorted(rows, key=lambda row: str(row["Id"]))}

    def _upserted(
        self, request: requests.PreparedRequest, name: str, marker: str, *_: Any
    ) -> dict[str, Any]:
        self.upserts += 1
        same = [row for row in self.rows[name].values() if row.get("Hub_Id__c") == marker]
        id_ = same[0]["Id"] if same else f"500xx000000{len(self.rows[name]):04}AAA"
        self.put(name, id_, Hub_Id__c=marker, **json.loads(request.body or b"{}"))
        if self.lose:
            self.lose -= 1
            raise requests.ConnectionError("the answer is lost")
        return {"id": id_, "success": True, "created": not same}


@pytest.fixture
def org() -> Iterator[Org]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield Org(mock)


@pytest.fixture
def hub(open_with: Open, org: Org) -> Hub:
    crm = {
        "adapter": "salesforce",
        "organization_ids": ["00D000000000001EAA"],
        "client_id": "KEY",
        "client_secret": "SECRET",
        "path_tokens": ["secret-path"],
    }
    return open_with({"crm": crm, "desk": demo()}, RULES)


def test_a_message_at_the_door_becomes_a_profile(hub: Hub, org: Org) -> None:
    org.put(
        "Contact",
        "003xx0000000001AAA",
        FirstName="娜",
        LastName="𠮷田",
        Phone="+86 139 1234 5678",
        Account={"Name": "上海晨光有限公司"},
        Owner={"Name": "王芳"},
    )
    app = create_app(hub.settings)
    database: Database = app.extensions["hub.database"]
    body = MESSAGE.format(id="003xx0000000001AAA")
    with closing(database), app.test_client(use_cookies=False) as client:
        for _ in range(2):  # Salesforce repeats what it thinks was not heard
            answer = client.post("/hooks/crm/secret-path", data=body)
            assert answer.status_code == 200
            assert b"<Ack>true</Ack>" in answer.data
        assert client.post("/hooks/crm/guessed", data=body).status_code == 401
    drain(hub)
    told = customer(hub, "phone", "+8613912345678")
    assert told.name.value == "𠮷田娜"
    assert scalar(hub, "SELECT count(*) FROM inbox WHERE state = 'done'") == 1


def test_what_was_deleted_there_is_gone_here(hub: Hub, org: Org) -> None:
    for number in (1, 2, 3):
        org.put("Contact", f"003xx000000{number:04}AAA", LastName=f"Li {number}")
    pull(hub, "crm", "contacts")
    org.rows["Contact"]["003xx0000000001AAA"]["IsDeleted"] = True  # in the recycle bin
    pull(hub, "crm", "contacts")
    alive = "SELECT count(*) FROM record WHERE kind = 'Person' AND deleted_at IS NULL"
    assert scalar(hub, alive) == 2
    del org.rows["Contact"]["003xx0000000002AAA"]  # purged, which no query tells
    pull(hub, "crm", "contacts")
    assert scalar(hub, alive) == 2
    reconcile(hub, "crm", "contacts")
    assert scalar(hub, alive) == 1


def test_a_rule_opens_one_case_though_the_answer_is_lost(
    hub: Hub, org: Org, clock: Callable[[timedelta], None]
) -> None:
    pull(hub, "desk")
    org.lose = 10  # also what the client tries by itself
    account(hub, "desk").put("tickets", {"id": "7", "subject": "空调不制冷 😀"})
    pull(hub, "desk")
    drain(hub)
    assert org.upserts
    org.lose = 0
    clock(timedelta(hours=1))
    drain(hub)
    (case,) = org.rows["Case"].values()
    assert (case["Subject"], case["Priority"], case["Status"]) == ("空调不制冷 😀", "High", "New")
    assert scalar(hub, "SELECT count(*) FROM delivery WHERE state = 'confirmed'") == 1
