"""金蝶云星空: its customers and bills become one profile, and a new customer is approved once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import responses

from hub.registry import Hub
from tests.story.helpers import account, customer, demo, drain, pull, reconcile, scalar

Open = Callable[..., Hub]

URL = "https://erp.example.com/k3cloud"
SERVICE = re.compile(re.escape(URL) + r"/.*\.(\w+)\.common\.kdsvc")
KINGDEE = {
    "adapter": "kingdee",
    "url": URL,
    "acct_id": "5f000000000001",
    "username": "conduit",
    "app_id": "200001_ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7",
    "app_secret": "secretEXAMPLE",
    "page_size": 2,
    "defaults": {"customers": {"FCreateOrgId": {"FNumber": "100"}}},
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
DATES = {"FDocumentStatus": "C", "FCreateDate": "2026-11-01T09:00:00", "FModifyDate": None}


class Erp:
    """As much of the server as the story needs: rows by form, and operations that may lose answers.

    Attributes:
        lost: operations that are done, and whose answer does not arrive.
        done: what was written.
    """

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.lost: list[str] = []
        self.done: list[tuple[str, Any]] = []

    def put(self, form: str, **row: Any) -> None:
        self.rows.setdefault(form, []).append({**DATES, **row})

    def __call__(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        found = SERVICE.fullmatch(str(request.url))
        assert found is not None
        body = json.loads(request.body or b"{}")
        said = self._query(body["data"]) if "Query" in found[1] else self._write(found[1], body)
        if found[1] in self.lost:
            self.lost.remove(found[1])
            raise requests.ReadTimeout
        return 200, {"Content-Type": "application/json"}, json.dumps(said)

    def _query(self, asked: dict[str, Any]) -> list[list[Any]]:
        columns, where = asked["FieldKeys"].split(","), asked["FilterString"]
        lines = any(name.endswith("_FEntryID") for name in columns)
        rows = self.rows.get(asked["FormId"] + (".lines" if lines else ""), [])
        if after := re.search(r"(\w+) > (\d+)", where):
            rows = [row for row in rows if row[after[1]] > int(after[2])]
        if among := re.search(r"(\w+) in \(([\d,]+)\)", where):
            rows = [row for row in rows if str(row[among[1]]) in among[2].split(",")]
        if equal := re.findall(r"(\w+) = '([^']*)'", where):
            rows = [row for row in rows if any(row.get(n) == value for n, value in equal)]
        page = rows[asked["StartRow"] :][: asked["Limit"]]
        return [[row.get(name) for name in columns] for row in page]

    def _write(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        told, id_ = body["data"].get("Model"), 900
        self.done.append((operation, told or body["data"]))
        if told:
            self.put(body["formid"], FCUSTID=id_, **{**told, "FDocumentStatus": "A"})
        else:
            (row,) = [r for r in self.rows[body["formid"]] if str(r["FCUSTID"]) == str(id_)]
            row["FDocumentStatus"] = {"Submit": "B", "Audit": "C"}[operation]
        return {"Result": {"ResponseStatus": {"IsSuccess": True, "Errors": []}, "Id": id_}}


@pytest.fixture
def erp() -> Iterator[Erp]:
    server = Erp()
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add_callback("POST", SERVICE, server)
        yield server


def test_customers_orders_and_receivables_are_one_profile(open_with: Open, erp: Erp) -> None:
    hub = open_with({"erp": KINGDEE})
    erp.put("BD_MATERIAL", FMATERIALID=5, FNumber="M5", FName="压缩机")
    for number in range(1, 6):
        erp.put("BD_Customer", FCUSTID=number, FNumber=f"C{number}", FName=f"示例{number}有限公司")
    erp.rows["BD_Customer"][2]["FTEL"] = "021-50801234"
    bill = {"FCustId": 3, "FSettleCurrId.FNumber": "PRE001", "FBillAllAmount": 226.0}
    erp.put("SAL_SaleOrder", FID=20, FBillNo="XSDD20", FDate="2026-11-02T00:00:00", **bill)
    erp.put("SAL_SaleOrder", FID=21, FBillNo="XSDD21", FDate="2026-11-03T00:00:00", **bill)
    for entry in (2, 3, 4):
        line = {"FID": 20, "FSaleOrderEntry_FEntryID": entry, "FMaterialId": 5, "FQty": entry}
        erp.put("SAL_SaleOrder.lines", **line)
    owed = {"FCUSTOMERID": 3, "FCURRENCYID.FNumber": "PRE001", "FALLAMOUNTFOR": 226.0}
    erp.put("AR_receivable", FID=30, FBillNo="AR30", **owed)
    pull(hub, "erp")
    profile = customer(hub, "phone", "+862150801234")
    assert profile.name is not None
    assert profile.name.value == "示例3有限公司"
    facts = {fact.source.ref: fact for fact in (*profile.orders, *profile.invoices)}
    assert facts.keys() == {
        "erp/sales_orders/20", "erp/sales_orders/21", "erp/receivables/30",
    }  # fmt: skip
    assert [line["quantity"] for line in facts["erp/sales_orders/20"].fields["lines"]] == [
        "2", "3", "4",
    ]  # fmt: skip
    assert scalar(hub, "SELECT count(*) FROM quarantine") == 0


def test_a_deleted_order_is_found_by_the_sweep(open_with: Open, erp: Erp) -> None:
    hub = open_with({"erp": KINGDEE})
    for number in (20, 21, 22):
        erp.put("SAL_SaleOrder", FID=number, FBillNo=f"XSDD{number}")
    pull(hub, "erp")
    del erp.rows["SAL_SaleOrder"][1]
    certificate = reconcile(hub, "erp", "sales_orders")
    assert (certificate.complete, certificate.source_count, certificate.hub_count) == (True, 2, 2)
    gone = "SELECT deleted_at IS NOT NULL FROM raw WHERE ref = 'erp/sales_orders/21'"
    assert scalar(hub, gone)


@pytest.mark.parametrize("lost", ["Save", "Submit", "Audit"])
def test_a_new_customer_is_approved_once_whichever_answer_is_lost(
    open_with: Open, erp: Erp, lost: str
) -> None:
    hub = open_with({"crm": demo(), "erp": KINGDEE}, [RULE])
    erp.lost = [lost]
    pull(hub, "crm")  # what is there at first is no news
    account(hub, "crm").put(
        "customers", {"id": "1", "name": "李娜", "phone": "13912345678", "kind": "person"}
    )
    pull(hub, "crm")
    for _ in range(3):
        drain(hub)
        with hub.database.write() as conn:
            conn.exec_driver_sql("UPDATE delivery SET available_at = 0")
    assert scalar(hub, "SELECT state FROM delivery") == "confirmed"
    assert [operation for operation, _ in erp.done] == ["Save", "Submit", "Audit"]
    (_, model), *_ = erp.done
    assert (model["FName"], model["FTEL"]) == ("李娜", "13912345678")
    assert model["FCreateOrgId"] == {"FNumber": "100"}
    assert erp.rows["BD_Customer"][0]["FDocumentStatus"] == "C"
    pull(hub, "erp")
    members = customer(hub, "phone", "+8613912345678").members
    assert {member.source.ref for member in members} == {"crm/customers/1", "erp/customers/900"}
