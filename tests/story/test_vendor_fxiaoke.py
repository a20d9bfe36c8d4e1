"""纷享销客: a company with its people, orders and cases; a ticket of a desk becomes one case."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import responses

from hub.registry import Hub
from tests.story.helpers import account, customer, demo, drain, pull, reconcile, scalar

Open = Callable[..., Hub]

URL = "https://open.fxiaoke.com"
FXIAOKE = {
    "adapter": "fxiaoke",
    "app_id": "FSAID_1",
    "app_secret": "secretEXAMPLE",
    "permanent_code": "codeEXAMPLE",
    "page_size": 2,
}
RULE = {
    "id": "tickets-become-cases",
    "when": "Ticket created",
    "if": [{"field": "connection", "is": "desk"}],
    "then": {
        "write": "crm/cases",
        "fields": {"subject": "{subject}", "requester": "{requester}", "priority": "{priority}"},
    },
}


class Company:
    """As much of the CRM as the story needs: records by object.

    Attributes:
        lose: a create is done, and its answer does not arrive.
    """

    def __init__(self) -> None:
        self.records: dict[str, dict[str, dict[str, Any]]] = {}
        self.created: list[dict[str, Any]] = []
        self.lose = False

    def put(self, object_: str, id_: str, **fields: Any) -> None:
        at = time.time_ns() // 1_000_000
        told = {"life_status": "normal", "create_time": at, "last_modified_time": at}
        kept = self.records.setdefault(object_, {})
        kept[id_] = {**kept.get(id_, {}), "_id": id_, **told, **fields}

    def __call__(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        path, body = str(request.url).partition("?")[0], json.loads(request.body or b"{}")
        if path.endswith("/oauth2.0/token"):
            said: dict[str, Any] = {"accessToken": "token1", "ea": "fx1", "expiresIn": 7084}
        elif path.endswith("/query"):
            said = {"data": {"dataList": self._query(body["data"])}}
        else:
            said = self._create(body["data"]["object_data"])
            if self.lose:
                self.lose = False
                raise requests.ReadTimeout
        return 200, {"Content-Type": "application/json"}, json.dumps({"errorCode": 0, **said})

    def _query(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        search = asked["search_query_info"]
        rows = sorted(self.records.get(asked["dataObjectApiName"], {}).values(), key=_id)
        for test in search["filters"]:
            name, (value,) = test["field_name"], test["field_values"]
            match test["operator"]:
                case "GT":
                    rows = [row for row in rows if str(row[name]) > value]
                case "GTE":
                    rows = [row for row in rows if int(row[name]) >= int(value)]
                case "EQ":
                    rows = [row for row in rows if row.get(name) == value]
        return rows[: search["limit"]]

    def _create(self, told: dict[str, Any]) -> dict[str, Any]:
        object_, fields = told["dataObjectApiName"], dict(told)
        del fields["dataObjectApiName"]
        self.created.append(told)
        self.put(object_, f"e{len(self.created)}", **fields)
        return {"dataId": f"e{len(self.created)}"}


def _id(row: dict[str, Any]) -> str:
    return str(row["_id"])


@pytest.fixture
def company() -> Iterator[Company]:
    vendor = Company()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add_callback("POST", re.compile(f"{URL}/.*"), vendor)
        vendor.put("AccountObj", "a1", name="示例制造有限公司", tel="021-50801234")
        yield vendor


def test_a_company_with_its_people_orders_and_cases(open_with: Open, company: Company) -> None:
    for number in range(2, 6):
        company.put("AccountObj", f"a{number}", name=f"客户{number}有限公司")
    company.put("ContactObj", "b1", name="李四", mobile1="13912345670", account_id="a1")
    order = {"account_id": "a1", "order_amount": "11300.00", "order_status": "7"}
    company.put("SalesOrderObj", "c1", name="20240302-1", **order)
    company.put("CasesObj", "d1", name="GD1", account_id="a1", status="处理中", priority="high")
    hub = open_with({"crm": FXIAOKE})
    pull(hub, "crm")
    profile = customer(hub, "phone", "+862150801234")
    assert [fact.source.ref for fact in profile.orders] == ["crm/orders/c1"]
    assert [fact.status for fact in profile.open_requests] == ["open"]
    person = customer(hub, "phone", "+8613912345670")
    assert [employer.ref for employer in person.companies] == ["crm/accounts/a1"]
    assert scalar(hub, "SELECT count(*) FROM record WHERE ref LIKE 'crm/accounts/%'") == 5
    assert scalar(hub, "SELECT count(*) FROM quarantine") == 0


def test_voided_and_deleted_records_are_gone(open_with: Open, company: Company) -> None:
    for number in range(2, 6):
        company.put("AccountObj", f"a{number}", name=f"客户{number}有限公司")
    hub = open_with({"crm": FXIAOKE})
    pull(hub, "crm")
    gone = "SELECT count(*) FROM raw WHERE deleted_at IS NOT NULL"
    company.put("AccountObj", "a2", life_status="invalid")
    pull(hub, "crm")
    assert scalar(hub, gone) == 1
    del company.records["AccountObj"]["a3"]
    certificate = reconcile(hub, "crm", "accounts")
    assert (certificate.complete, certificate.source_count) == (True, 3)
    assert scalar(hub, gone) == 2


def test_a_ticket_becomes_one_case_of_the_same_customer(open_with: Open, company: Company) -> None:
    hub = open_with({"crm": FXIAOKE, "desk": demo()}, [RULE])
    pull(hub, "crm")
    pull(hub, "desk")  # what is there at first is no news
    desk = account(hub, "desk")
    desk.put(
        "customers",
        {"id": "7", "name": "示例制造有限公司", "phone": "021 5080 1234", "kind": "organization"},
    )
    desk.put(
        "tickets", {"id": "t1", "subject": "空调不制冷", "customer_id": "7", "priority": "urgent"}
    )
    company.lose = True
    pull(hub, "desk")
    for _ in range(2):
        drain(hub)
        with hub.database.write() as conn:
            conn.exec_driver_sql("UPDATE delivery SET available_at = 0")
    assert scalar(hub, "SELECT state FROM delivery") == "confirmed"
    (case,) = company.created
    assert (case["name"], case["account_id"], case["priority"]) == ("空调不制冷", "a1", "urgent")
    assert case["hub_ref__c"].startswith("hub-")
    pull(hub, "crm")
    facts = customer(hub, "phone", "+862150801234").open_requests
    assert {fact.source.ref for fact in facts} == {"crm/cases/e1", "desk/tickets/t1"}
