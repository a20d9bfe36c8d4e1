"""钉钉: an external contact becomes a customer, an approval a ticket; colleagues are told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses

from hub.pipeline import acts
from hub.registry import Hub
from hub.sdk import Item, auth
from hub.store import outbox
from tests.story.helpers import account, customer, demo, drain, pull, receive, scalar
from tests.story.test_deliver import free_lanes

Open = Callable[..., Hub]
Answer = tuple[int, dict[str, str], str]

API, OAPI = "https://api.dingtalk.com", "https://oapi.dingtalk.com"
CARD = '<a href="{customer.card_url}">打开客户卡片</a>'
TO = [{"type": "dingtalk_user", "value": "manager01"}]
RULES = [
    {
        "id": "tell-the-manager",
        "when": "Ticket created",
        "if": [{"field": "connection", "is": "desk"}],
        "then": {
            "write": "ding/notices",
            "fields": {"to": TO, "subject": "新工单", "text": "{subject}", "html": CARD},
        },
    },
    {
        "id": "to-do",
        "when": "Ticket created",
        "if": [{"field": "priority", "is": "urgent"}],
        "then": {"write": "ding/todos", "fields": {"subject": "{subject}", "status": "open"}},
    },
]
CONNECTION = {
    "adapter": "dingtalk",
    "owner_keys": ["dingappkeyEXAMPLE"],
    "app_secrets": ["SECexample0123456789"],
    "address_book": ["extcontacts"],
    "process_codes": ["PROC-A"],
    "agent_id": 41605932,
    "todo_operator": "unionEXAMPLE",
}


class Company:
    """The company's side of it: tokens, contacts, approvals, to-dos, and who was told what."""

    def __init__(self) -> None:
        self.given, self.token = 0, ""
        self.contacts: list[dict[str, Any]] = []
        self.approvals: dict[str, dict[str, Any]] = {}
        self.todos: dict[str, dict[str, Any]] = {}
        self.told: dict[str, list[str]] = {}
        self.loses_answers = 0

    def forget_token(self) -> None:
        """Whatever was handed out is taken no longer."""
        self.token = ""

    def answer(self, request: requests.PreparedRequest) -> Answer:
        url = urlsplit(str(request.url))
        body = json.loads(request.body) if request.body else {}
        if url.path == "/v1.0/oauth2/accessToken":
            self.given += 1
            self.token = f"token-{self.given}"
            return _ok({"accessToken": self.token, "expireIn": 7200})
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        shown = query.get("access_token") or request.headers.get("x-acs-dingtalk-access-token")
        if shown != self.token:
            return self._no_token(old=url.netloc.startswith("oapi"))
        if url.path == "/topapi/extcontact/list":
            return _ok({"errcode": 0, "results": self.contacts[body["offset"] :]})
        if url.path == "/topapi/message/corpconversation/asyncsend_v2":
            return self._tell(body)
        if url.path == "/v1.0/workflow/processInstances":
            return _ok({"result": self.approvals[query["processInstanceId"]]})
        return self._todo(url.path, body, makes=request.method == "POST")

    def _no_token(self, *, old: bool) -> Answer:
        if old:
            return _ok({"errcode": 88, "sub_code": "40014", "sub_msg": "不合法的access_token"})
        return 400, {}, json.dumps({"code": "InvalidAuthentication", "message": "x"})

    def _tell(self, body: dict[str, Any]) -> Answer:
        """What somebody was told in the same words today is dropped."""
        words = json.dumps(body["msg"], ensure_ascii=False)
        for user in body["userid_list"].split(","):
            heard = self.told.setdefault(user, [])
            heard += [words] if words not in heard else []
        return self._perhaps({"errcode": 0, "task_id": 256271667526})

    def _todo(self, path: str, body: dict[str, Any], *, makes: bool) -> Answer:
        source = path.rpartition("/sources/")[2]
        if makes:
            assert body["sourceId"] not in self.todos
            self.todos[body["sourceId"]] = {"id": f"task-{len(self.todos)}", **body}
            return self._perhaps(self.todos[body["sourceId"]])
        if source in self.todos:
            return _ok(self.todos[source])
        return 404, {}, json.dumps({"code": "task.notExist", "message": "任务不存在"})

    def _perhaps(self, told: dict[str, Any]) -> Answer:
        if self.loses_answers:
            self.loses_answers -= 1
            raise requests.ReadTimeout
        return _ok(told)


def _ok(told: dict[str, Any]) -> Answer:
    return 200, {}, json.dumps(told)


@pytest.fixture
def company() -> Iterator[Company]:
    made = Company()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        for method in ("GET", "POST", "PUT"):
            for base in (API, OAPI):
                mock.add_callback(method, re.compile(f"{re.escape(base)}/.*"), made.answer)
        yield made


@pytest.fixture
def hub(open_with: Open, company: Company) -> Hub:
    return open_with(
        {"ding": CONNECTION, "desk": demo()}, RULES, public_url="https://hub.example.org"
    )


def test_an_external_contact_becomes_a_customer(
    hub: Hub, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    company.contacts = [
        {"user_id": "ext-1", "name": "李四", "mobile": "13900001111", "state_code": "86"},
        {"user_id": "ext-2", "name": "𠮷田", "mobile": None, "company_name": "示例"},
    ]
    pull(hub, "ding", "extcontacts")
    found = customer(hub, "phone", "+8613900001111")
    assert found.name
    assert found.name.value == "李四"
    company.contacts[0]["name"] = "李四（采购）"
    company.forget_token()
    later = auth.now() + timedelta(minutes=5)
    monkeypatch.setattr(auth, "now", lambda: later)
    pull(hub, "ding", "extcontacts")
    found = customer(hub, "phone", "+8613900001111")
    assert found.name
    assert found.name.value == "李四（采购）"
    assert company.given == 2


def test_a_colleague_is_told_once_with_a_card(hub: Hub, company: Company) -> None:
    desk = account(hub, "desk")
    pull(hub, "desk", "customers", "tickets")
    desk.put("customers", {"id": "C1", "name": "李娜", "phone": "13912345670"})
    desk.put("tickets", {"id": "T1", "subject": "异响", "status": "new", "customer_id": "C1"})
    company.loses_answers = 1
    pull(hub, "desk", "customers", "tickets")
    drain(hub)
    assert scalar(hub, "SELECT state FROM delivery") == "retry"
    hasten(hub)
    assert scalar(hub, "SELECT state FROM delivery") == "confirmed"
    (words,) = company.told["manager01"]
    card = json.loads(words)["action_card"]
    assert (card["title"], card["single_title"]) == ("新工单", "打开客户卡片")
    assert card["single_url"].startswith("https://hub.example.org/")
    assert "异响" in card["markdown"]


def test_a_to_do_is_made_once(hub: Hub, company: Company) -> None:
    pull(hub, "desk", "tickets")
    urgent = {"id": "T2", "subject": "冒烟", "status": "new", "priority": "urgent"}
    account(hub, "desk").put("tickets", urgent)
    company.loses_answers = 2
    pull(hub, "desk", "tickets")
    for _ in range(3):
        drain(hub)
        hasten(hub)
    assert scalar(hub, "SELECT count(*) FROM delivery WHERE state = 'confirmed'") == 2
    (made,) = company.todos.values()
    assert (made["subject"], made["executorIds"]) == ("冒烟", ["unionEXAMPLE"])


def test_an_approval_is_fetched_when_it_changes(hub: Hub, company: Company) -> None:
    company.approvals["proc-1"] = {
        "title": "李四提交的报修",
        "status": "COMPLETED",
        "result": "agree",
        "createTime": "2026-11-21T11:00Z",
        "finishTime": "2026-11-21T11:45Z",
    }
    event = {"EventType": "bpms_instance_change", "processInstanceId": "proc-1", "type": "finish"}
    receive(hub, "ding", Item(json.dumps(event).encode(), "e1", "proc-1", event["EventType"]))
    drain(hub)
    document = json.loads(scalar(hub, "SELECT document FROM record WHERE kind = 'Ticket'"))
    assert (document["subject"], document["status"]) == ("李四提交的报修", "closed")


def test_people_are_offered_what_is_configured(hub: Hub) -> None:
    def offered(connection: str) -> set[str]:
        found = acts.outlets(hub.registry.all().values())
        return {one.stream for one in found if one.connection == connection}

    assert {"todos", "notices", "robot_messages"} == offered("ding")  # no originator, no robot
    assert offered("receiving") == set()


def hasten(hub: Hub, connection: str = "ding") -> None:
    """It is time for the next try."""
    with hub.database.write() as conn:
        outbox.hasten(conn, connection)
    free_lanes(hub)
    drain(hub)
