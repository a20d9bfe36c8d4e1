"""飞书: a row of a table becomes a customer and goes again; a card is sent once, and kept so."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses

from hub.registry import Hub
from hub.sdk import Item
from hub.store import read
from tests.story.helpers import account, customer, demo, drain, pull, receive, reconcile, scalar
from tests.story.test_vendor_dingtalk import hasten

Open = Callable[..., Hub]
Answer = tuple[int, dict[str, str], str]

TABLE = "/open-apis/bitable/v1/apps/bascnEXAMPLE/tables/tblEXAMPLE/records"
CONNECTION = {
    "adapter": "feishu",
    "app_id": "cli_example",
    "app_secret": "app-secret-EXAMPLE",
    "bitable_app": "bascnEXAMPLE",
    "bitable_table": "tblEXAMPLE",
    "bitable_modified": "最后更新时间",
}
TOLD = {
    "to": [{"type": "feishu_chat", "value": "oc_desk"}],
    "subject": "{customer.name}",
    "text": "{subject}（{status}）",
    "html": '<a href="{customer.card_url}">打开客户卡片</a>',
}
RULES = [
    {
        "id": "card-of-a-ticket",
        "when": "Ticket changed",
        "if": [{"field": "connection", "is": "desk"}],
        "then": {"write": "lark/messages", "fields": TOLD},
    }
]


class Tenant:
    """The tenant's side of it: a table, and what was said in a chat."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.said: dict[str, dict[str, Any]] = {}
        self.names: dict[str, str] = {}
        self.loses_answers = 0

    def answer(self, request: requests.PreparedRequest) -> Answer:
        url = urlsplit(str(request.url))
        body = json.loads(request.body) if request.body else {}
        if url.path.endswith("/tenant_access_token/internal"):
            return 200, {}, json.dumps({"code": 0, "tenant_access_token": "t-1", "expire": 7200})
        assert request.headers["Authorization"] == "Bearer t-1"
        if url.path == f"{TABLE}/search":
            return _ok({"items": [*self.rows.values()], "has_more": False})
        if url.path == f"{TABLE}/batch_get":
            (id_,) = body["record_ids"]
            return _ok({"records": [self.rows[id_]] if id_ in self.rows else []})
        if request.method == "PATCH":
            self.said[url.path.rpartition("/")[2]] |= body
            return _ok({})
        assert parse_qs(url.query) == {"receive_id_type": ["chat_id"]}
        return self._say(body)

    def _say(self, body: dict[str, Any]) -> Answer:
        """The same uuid is the same message."""
        id_ = self.names.setdefault(body["uuid"], f"om_{len(self.names)}")
        self.said.setdefault(id_, body)
        if self.loses_answers:
            self.loses_answers -= 1
            raise requests.ReadTimeout
        return _ok({"message_id": id_})

    def cards(self) -> list[dict[str, Any]]:
        return [json.loads(message["content"]) for message in self.said.values()]


def _ok(data: dict[str, Any]) -> Answer:
    return 200, {}, json.dumps({"code": 0, "msg": "success", "data": data})


def row(id_: str, name: str, phone: str, modified: int) -> dict[str, Any]:
    fields = {"客户名称": [{"type": "text", "text": name}], "电话": phone}
    return {"record_id": id_, "fields": fields, "last_modified_time": modified}


@pytest.fixture
def tenant() -> Iterator[Tenant]:
    made = Tenant()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        for method in ("GET", "POST", "PUT", "PATCH"):
            mock.add_callback(method, re.compile(r"https://open\.feishu\.cn/.*"), made.answer)
        yield made


@pytest.fixture
def hub(open_with: Open, tenant: Tenant) -> Hub:
    return open_with({"lark": CONNECTION, "desk": demo()}, RULES)


def test_a_row_becomes_a_customer_and_goes_again(hub: Hub, tenant: Tenant) -> None:
    tenant.rows = {
        "rec1": row("rec1", "示例制造有限公司", "13900001111", 1_795_262_399_000),
        "rec2": row("rec2", "李四", "13900002222", 1_795_262_399_001),
        "rec3": row("rec3", "王五", "13900003333", 1_795_262_399_002),
    }
    pull(hub, "lark", "records")
    assert customer(hub, "phone", "+8613900001111").kind == "Organization"
    changed = row("rec2", "李四 👍", "13900002222", 1_795_262_500_000)
    tenant.rows["rec2"] = changed
    acts = [{"action": "record_edited", "record_id": "rec2"}]
    receive(hub, "lark", event(acts))
    drain(hub)
    found = customer(hub, "phone", "+8613900002222")
    assert found.name
    assert found.name.value == "李四 👍"
    del tenant.rows["rec3"]  # nobody tells us: a reconciliation finds it
    certificate = reconcile(hub, "lark", "records")
    assert (certificate.method, certificate.source_count, certificate.complete) == (
        "survey",
        2,
        True,
    )
    with hub.database.read() as conn:
        assert not read.find(conn, "phone", "+8613900003333")


def event(acts: list[dict[str, Any]]) -> Item:
    told = {"file_token": "bascnEXAMPLE", "table_id": "tblEXAMPLE", "action_list": acts}
    header = {"event_id": "e1", "event_type": "drive.file.bitable_record_changed_v1"}
    body = json.dumps({"schema": "2.0", "header": header, "event": told}).encode()
    return Item(body, "e1", None, header["event_type"])


def test_a_card_is_sent_once_and_follows_its_ticket(hub: Hub, tenant: Tenant) -> None:
    desk = account(hub, "desk")
    pull(hub, "desk", "customers", "tickets")
    desk.put("customers", {"id": "C1", "name": "李娜", "phone": "13912345670"})
    desk.put("tickets", {"id": "T1", "subject": "异响", "status": "new", "customer_id": "C1"})
    tenant.loses_answers = 3
    pull(hub, "desk", "customers", "tickets")
    drain(hub)
    hasten(hub, "lark")
    (card,) = tenant.cards()
    assert card["header"]["title"]["content"] == "李娜"
    words, buttons = card["elements"]
    assert words["text"] == {"tag": "plain_text", "content": "异响（new）"}
    assert buttons["actions"][0]["url"].startswith("http")
    desk.put("tickets", {"id": "T1", "subject": "异响", "status": "solved", "customer_id": "C1"})
    pull(hub, "desk", "tickets")
    drain(hub)
    (card,) = tenant.cards()
    assert card["elements"][0]["text"]["content"] == "异响（solved）"
    assert scalar(hub, "SELECT count(*) FROM delivery WHERE state = 'confirmed'") == 2
