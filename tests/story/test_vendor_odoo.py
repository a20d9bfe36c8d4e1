"""Odoo: partners, orders and invoices become a profile; a rule makes one lead, whatever is lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
import requests
import responses

from adapters.odoo.models import COMMON, FIELDS, MODELS
from hub.errors import ConfigError
from hub.registry import Hub
from hub.store.db import Database
from tests.story.helpers import account, customer, demo, drain, pull, reconcile, scalar
from webhooks.app import create_app

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

Open = Callable[..., Hub]
URL = "https://odoo.example.org"
STREAM_OF = {model: stream for stream, model in MODELS.items()}
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda mine, theirs: bool(mine == theirs),
    ">": lambda mine, theirs: bool(mine > theirs),
    ">=": lambda mine, theirs: bool(mine >= theirs),
    "in": lambda mine, theirs: mine in theirs,
}
RULES: list[dict[str, Any]] = [
    {
        "id": "lead",
        "when": "Ticket created",
        "if": [{"field": "connection", "is": "desk"}],
        "then": {"write": "erp/leads", "fields": {"name": "{subject}"}},
    },
]


class Odoo:
    """The vendor's side by JSON-RPC: Community edition, so without Helpdesk."""

    def __init__(self, mock: responses.RequestsMock) -> None:
        self.rows: dict[str, dict[int, dict[str, Any]]] = {m: {} for m in MODELS.values()}
        del self.rows["helpdesk.ticket"]
        self.rows["ir.model.data"] = {}
        self.lose = 0
        mock.add_callback("POST", f"{URL}/jsonrpc", self._called)

    def put(self, model: str, id_: int, at: str = "2026-11-20 08:00:05", **values: Any) -> None:
        empty = dict.fromkeys(FIELDS.get(STREAM_OF.get(model, ""), "").split(), False)
        told = {"id": id_, "create_date": at, "write_date": at, "active": True, **values}
        self.rows[model][id_] = {**empty, **told}

    def _called(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        params = json.loads(request.body or b"{}")["params"]
        if params["service"] == "common":
            told: dict[str, Any] = {"result": 2}
        else:
            *_, model, method, args, named = params["args"]
            told = getattr(self, f"_{method}")(model, *args, **named)
        if "load" in params["args"] and self.lose:
            self.lose -= 1
            raise requests.ConnectionError("the answer is lost")
        return 200, {"Content-Type": "application/json"}, json.dumps({"jsonrpc": "2.0", **told})

    def _fields_get(self, model: str, **_: Any) -> dict[str, Any]:
        if model not in self.rows:
            data = {"name": "odoo.exceptions.UserError", "message": f"{model} doesn't exist"}
            return {"error": {"code": 200, "message": "Odoo Server Error", "data": data}}
        return {"result": {n: {} for n in [*COMMON, *FIELDS[STREAM_OF[model]].split()]}}

    def _search_read(
        self, model: str, *, domain: list[Any], fields: list[str], limit: int, **_: Any
    ) -> dict[str, Any]:
        rows = [row for _, row in sorted(self.rows[model].items())]
        for name, compare, value in domain:
            rows = [row for row in rows if COMPARE[compare](row[name], value)]
        return {"result": [{name: row[name] for name in ("id", *fields)} for row in rows[:limit]]}

    def _load(self, model: str, *, fields: list[str], data: list[list[str]]) -> dict[str, Any]:
        ((xml_id, *cells),) = data
        module, _, name = xml_id.partition(".")
        known = [row for row in self.rows["ir.model.data"].values() if row["name"] == name]
        id_ = known[0]["res_id"] if known else 40 + len(self.rows[model])
        if not known:
            told = {"module": module, "name": name, "model": model, "res_id": id_}
            self.rows["ir.model.data"][id_] = {"id": id_, **told}
        self.put(model, id_, **dict(zip(fields[1:], cells, strict=True)))
        return {"result": {"ids": [id_], "messages": []}}


@pytest.fixture
def odoo() -> Iterator[Odoo]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield Odoo(mock)


@pytest.fixture
def hub(open_with: Open, odoo: Odoo) -> Hub:
    erp = {
        "adapter": "odoo",
        "url": URL,
        "database": "production",
        "login": "hub@example.org",
        "api_key": "key",
        "page_size": 2,
        "path_tokens": ["secret-path"],
    }
    return open_with({"erp": erp, "desk": demo()}, RULES)


COMPANY = {"name": "上海晨光有限公司", "is_company": True, "phone": "+86 21 6234 5678"}
PERSON = {"name": "𠮷田娜", "email": "na@example.com", "parent_id": [8, "上海晨光有限公司"]}


def test_what_the_erp_knows_stands_in_the_profile(hub: Hub, odoo: Odoo) -> None:
    odoo.put("res.partner", 8, **COMPANY)
    odoo.put("res.partner", 9, **PERSON)
    for number in range(10, 15):  # one call wrote them all, and pages hold two
        odoo.put("res.partner", number, name=f"Other {number}")
    sale = {
        "partner_id": [9, "x"],
        "state": "sale",
        "amount_total": 1130.0,
        "currency_id": [6, "CNY"],
    }
    odoo.put("sale.order", 7, name="S00007", date_order="2026-11-02 09:00:00", **sale)
    bill = {"move_type": "out_invoice", "state": "posted", "payment_state": "partial"}
    owed = {"amount_total": 1130.0, "amount_residual": 130.0, "currency_id": [6, "CNY"]}
    odoo.put("account.move", 31, name="INV/1", partner_id=[9, "x"], **bill, **owed)
    odoo.put("account.move", 32, name="BILL/1", partner_id=[9, "x"], move_type="in_invoice")
    pull(hub, "erp", "partners", "orders", "invoices")
    told = customer(hub, "email", "na@example.com")
    assert told.name is not None
    assert told.name.value == "𠮷田娜"
    assert told.organization is not None
    assert told.organization.value == "上海晨光有限公司"
    assert [fact.source.ref for fact in told.orders] == ["erp/orders/7"]
    assert [fact.source.ref for fact in told.invoices] == ["erp/invoices/31"]


def test_a_missing_module_leaves_the_other_streams_alone(hub: Hub, odoo: Odoo) -> None:
    odoo.put("res.partner", 8, **COMPANY)
    with pytest.raises(ConfigError, match=r"helpdesk\.ticket"):
        pull(hub, "erp", "tickets")
    pull(hub, "erp", "partners")
    assert scalar(hub, "SELECT count(*) FROM record WHERE kind = 'Organization'") == 1


def test_a_webhook_and_a_deletion(hub: Hub, odoo: Odoo) -> None:
    odoo.put("res.partner", 8, **COMPANY)
    odoo.put("res.partner", 57, name="网钩客户", phone="+8613811112222")
    event = {"_action": "hub(#1)", "_id": 57, "_model": "res.partner"}
    body = json.dumps({**event, "write_date": "2026-11-21 18:59:16.883248"})
    app = create_app(hub.settings)
    database: Database = app.extensions["hub.database"]
    with closing(database), app.test_client(use_cookies=False) as client:
        told = [client.post("/hooks/erp/secret-path", data=body).status_code for _ in range(14)]
        assert told == [202] + [200] * 13  # so many does Odoo send for one creation
        assert client.post("/hooks/erp/guessed", data=body).status_code == 401
    drain(hub)
    name = customer(hub, "phone", "+8613811112222").name
    assert name is not None
    assert name.value == "网钩客户"
    pull(hub, "erp", "partners")
    del odoo.rows["res.partner"][57]  # unlink leaves nothing behind
    reconcile(hub, "erp", "partners")
    alive = "SELECT count(*) FROM record WHERE kind = 'Person' AND deleted_at IS NULL"
    assert scalar(hub, alive) == 0


def test_a_rule_makes_one_lead_though_the_answer_is_lost(
    hub: Hub, odoo: Odoo, clock: Callable[[timedelta], None]
) -> None:
    pull(hub, "desk")
    odoo.lose = 1
    account(hub, "desk").put("tickets", {"id": "7", "subject": "想买维保 😀"})
    pull(hub, "desk")
    drain(hub)
    clock(timedelta(hours=1))
    drain(hub)
    (lead,) = odoo.rows["crm.lead"].values()
    assert lead["name"] == "想买维保 😀"
    assert len(odoo.rows["ir.model.data"]) == 1
    assert scalar(hub, "SELECT count(*) FROM delivery WHERE state = 'confirmed'") == 1
