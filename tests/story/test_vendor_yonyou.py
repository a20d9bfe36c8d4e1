"""用友 YonBIP: an event names a customer who is asked for, orders follow, deletions are checked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import responses

from hub.pipeline import due
from hub.registry import Hub
from hub.sdk import Item
from hub.store import certificates
from tests.story.helpers import (
    account,
    customer,
    demo,
    drain,
    pull,
    receive,
    reconcile,
    scalar,
)

Open = Callable[..., Hub]

GATEWAY, TOKENS = "https://c2.example.com/iuap-api-gateway", "https://c2.example.com/iuap-api-auth"
ADDRESSES = "https://apigateway.yonyoucloud.com/open-auth/dataCenter/getGatewayAddress"
YONYOU = {
    "adapter": "yonyou",
    "app_key": "appKeyEXAMPLE",
    "app_secrets": ["0123456789abcdef0123456789abcdef"],
    "tenant_id": "tenant1",
    "page_size": 2,
}
RULE = {
    "id": "customers-to-the-erp",
    "when": "Person created",
    "if": [{"field": "connection", "is": "crm"}],
    "then": {
        "write": "erp/customers",
        "fields": {"name": "{name}", "contact_points": "{contact_points}"},
    },
}
AT = "2026-11-01 09:00:00"


class Tenant:
    """As much of the tenant as the story needs."""

    def __init__(self) -> None:
        self.customers: dict[str, dict[str, Any]] = {}
        self.lines: list[dict[str, Any]] = []
        self.made: list[dict[str, Any]] = []
        self.asked_for_tokens = 0

    def put(self, number: int, name: str, **more: Any) -> None:
        told = {"name": {"simplifiedName": name}, "createTime": f"2026-11-0{number} 09:00:00"}
        self.customers[str(number)] = {"id": number, "code": f"C{number}", **told, **more}

    def __call__(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        path, body = str(request.url).partition("?")[0], json.loads(request.body or b"{}")
        said = {"code": "200", "message": "操作成功", "data": self._said(path, body)}
        return 200, {"Content-Type": "application/json"}, json.dumps(said)

    def _said(self, path: str, body: dict[str, Any]) -> Any:
        if path == ADDRESSES:
            return {"gatewayUrl": GATEWAY, "tokenUrl": TOKENS}
        if path.startswith(TOKENS):
            self.asked_for_tokens += 1
            return {"access_token": "token1", "expire": 7200}
        if path.endswith("newinsert"):
            self.made.append(body["data"])
            self.put(9, body["data"]["name"]["simplifiedName"], code=body["data"]["code"])
            self.customers["9"]["contactTel"] = body["data"]["contactTel"]
            return [{"id": 9, "code": body["data"]["code"]}]
        if path.endswith("merchant/newlist"):
            return self._customers(body)
        return {"recordList": self._lines(body) if "voucherorder" in path else []}

    def _customers(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        rows = [
            row
            for row in reversed(self.customers.values())
            if all(str(row[n]) == str(body[n]) for n in ("id", "code") if n in body)
            and body.get("beganTime", "") <= row["createTime"] <= body.get("endTime", "9")
        ]
        return rows[(body["pageIndex"] - 1) * body["pageSize"] :][: body["pageSize"]]

    def _lines(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        rows = self.lines
        for test in body["simpleVOs"]:
            wanted, greater = test["value1"], test["op"] == "gt"
            rows = [
                row
                for row in rows
                if (row[test["field"]] > wanted if greater else row[test["field"]] == wanted)
            ]
        return rows[(body["pageIndex"] - 1) * body["pageSize"] :][: body["pageSize"]]


@pytest.fixture
def tenant() -> Iterator[Tenant]:
    vendor = Tenant()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        for base in (ADDRESSES, GATEWAY, TOKENS):
            for method in ("GET", "POST"):
                mock.add_callback(method, re.compile(f"{base}.*"), vendor)
        yield vendor


def event(number: int, kind: str, **more: Any) -> Item:
    body = {"type": kind, "eventId": f"e{number}", **more}
    return Item(json.dumps(body).encode(), f"e{number}", f"customers/{number}", kind)


def test_an_event_brings_the_customer_and_the_pull_the_rest(
    open_with: Open, tenant: Tenant
) -> None:
    hub = open_with({"erp": YONYOU})
    tenant.put(3, "示例制造有限公司", contactTel="021-50801234")
    receive(hub, "erp", event(1, "YXYBASEDOC_AA_MERCHANT_INSERT", archive={"id": "3"}))
    drain(hub)
    name = customer(hub, "phone", "+862150801234").name
    assert name is not None
    assert name.value == "示例制造有限公司"
    for number in (1, 2, 4, 5):
        tenant.put(number, f"客户{number}有限公司")
    for order, count in (("11", 3), ("12", 1), ("13", 2)):
        head = {"id": order, "code": f"SO{order}", "agentId": "3", "pubts": AT, "payMoney": 10}
        told = {"currency_name": "人民币", "nextStatus": "DELIVERGOODS", "vouchdate": AT}
        lines = [{"lineno": n, "qty": n + 2, "productName": "压缩机"} for n in range(count)]
        tenant.lines += [{**head, **told, **line} for line in lines]
    pull(hub, "erp")
    assert scalar(hub, "SELECT count(*) FROM record WHERE ref LIKE 'erp/customers/%'") == 5
    orders = customer(hub, "phone", "+862150801234").orders
    assert {fact.source.ref: len(fact.fields["lines"]) for fact in orders} == {
        "erp/orders/11": 3, "erp/orders/12": 1, "erp/orders/13": 2,
    }  # fmt: skip
    assert scalar(hub, "SELECT count(*) FROM quarantine") == 0
    assert tenant.asked_for_tokens == 1


def test_what_is_gone_is_gone_by_event_and_by_the_sweep(open_with: Open, tenant: Tenant) -> None:
    hub = open_with({"erp": YONYOU})
    for number in range(1, 7):
        tenant.put(number, f"客户{number}有限公司")
    pull(hub, "erp")
    told = "YXYBASEDOC_AA_MERCHANT_DELETE"
    receive(hub, "erp", event(1, told, id=1))  # it is still there: the event alone is not believed
    del tenant.customers["2"]
    receive(hub, "erp", event(2, told, id=2))
    drain(hub)
    gone = "SELECT count(*) FROM raw WHERE deleted_at IS NOT NULL AND ref LIKE 'erp/customers/%'"
    assert scalar(hub, gone) == 1
    del tenant.customers["5"]
    certificate = reconcile(hub, "erp", "customers")
    assert (certificate.complete, certificate.source_count) == (True, 4)
    assert scalar(hub, gone) == 2


def test_a_new_customer_of_the_crm_is_made_once(open_with: Open, tenant: Tenant) -> None:
    hub = open_with({"crm": demo(), "erp": YONYOU}, [RULE])
    pull(hub, "crm")  # what is there at first is no news
    person = {"id": "1", "name": "李娜", "phone": "13912345678", "kind": "person"}
    account(hub, "crm").put("customers", person)
    pull(hub, "crm")
    drain(hub)
    assert scalar(hub, "SELECT state FROM delivery") == "confirmed"
    (made,) = tenant.made
    assert made["name"] == {"simplifiedName": "李娜"}
    assert len(made["resubmitCheckKey"]) <= 32
    pull(hub, "erp")
    members = customer(hub, "phone", "+8613912345678").members
    assert {member.source.ref for member in members} == {"crm/customers/1", "erp/customers/9"}


def test_a_connection_without_tenant_receives_and_asks_nobody(
    open_with: Open, tenant: Tenant
) -> None:
    hub = open_with({"erp": {**YONYOU, "tenant_id": ""}})
    receive(hub, "erp", event(1, "YXYBASEDOC_AA_MERCHANT_INSERT", archive={"id": "3"}))
    assert hub.registry.get("erp").pulled == []
    drain(hub)
    assert scalar(hub, "SELECT state FROM inbox") == "done"
    assert tenant.asked_for_tokens == 0


def test_what_is_not_read_any_more_is_neither_due_nor_late(open_with: Open, tenant: Tenant) -> None:
    hub = open_with({"erp": YONYOU})
    pull(hub, "erp", "customers")
    hub.close()
    hub = open_with({"erp": {**YONYOU, "tenant_id": ""}})
    assert due.pulls(hub) == []
    with hub.database.read() as conn:
        assert certificates.streams(conn) == []
