"""Systems joined by a TOML file alone: pulled, profiled, written to, and heard."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from flask.testing import FlaskClient

from adapters.rest.load import SYSTEMS
from hub.errors import ConfigError
from hub.registry import Hub
from hub.store.db import Database
from tests.story.helpers import account, customer, demo, drain, pull, reconcile, scalar
from webhooks.app import create_app

Open = Callable[..., Hub]
Answer = tuple[int, dict[str, str], str]

HELPDESK = {
    "adapter": "rest",
    "system": "systems/helpdesk.toml",
    "secrets": {"token": "helpdesk-token-EXAMPLE"},
    "webhook_secrets": ["helpdesk-hook-EXAMPLE"],
    "page_size": 2,
}
TO_HELPDESK = {
    "id": "request-to-helpdesk",
    "when": "Ticket created",
    "if": [{"field": "connection", "is": "shop"}],
    "then": {
        "write": "helpdesk/tickets",
        "fields": {"subject": "{subject}", "requester": "{party}"},
    },
}


class Vendor:
    """The vendor's side of an exchange: a function per path, and what was asked of it."""

    def __init__(self, base: str, **answers: Callable[[dict[str, Any]], Any]) -> None:
        self.base, self.answers = base, answers
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    @contextmanager
    def answering(self) -> Iterator[None]:
        with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
            for method in ("GET", "POST", "PUT", "PATCH"):
                mock.add_callback(method, re.compile(".*"), self._answer)
            yield

    def _answer(self, request: requests.PreparedRequest) -> Answer:
        path = str(request.url).partition("?")[0].removeprefix(self.base)
        body = json.loads(request.body or "{}")
        told = dict(getattr(request, "params", {})) | body
        self.asked.append((str(request.method), path, told))
        for name, answer in self.answers.items():
            if re.fullmatch(name, path):
                found = answer({**told, "method": request.method, "path": path})
                status, body = found if isinstance(found, tuple) else (200, found)
                return status, {"Content-Type": "application/json"}, json.dumps(body)
        return 404, {"Content-Type": "application/json"}, "{}"


@contextmanager
def door(hub: Hub) -> Iterator[FlaskClient]:
    app = create_app(hub.settings)
    database: Database = app.extensions["hub.database"]
    with closing(database), app.test_client(use_cookies=False) as client:
        yield client


def page(rows: list[dict[str, Any]], asked: dict[str, Any], of: str) -> dict[str, Any]:
    """A page of the helpdesk's tickets, oldest change first."""
    kept = [row for row in rows if row["changed_at"] >= asked.get("changed_from", "")]
    kept.sort(key=lambda row: row["changed_at"])
    size = int(asked["per_page"])
    start = (int(asked["page"]) - 1) * size
    return {of: kept[start : start + size], "has_more": start + size < len(kept)}


@pytest.fixture
def helpdesk(own_settings: Path) -> Vendor:
    """A helpdesk the project never heard of, and the file that describes it."""
    folder = own_settings.parent / "systems"
    folder.mkdir()
    text = (SYSTEMS / "example.toml").read_text("utf-8")
    (folder / "helpdesk.toml").write_text(text, "utf-8")
    contacts = [
        {"id": n, "name": name, "email": f"lina{n}@example.com", "phone": f"1390000111{n}",
         "company": "示例制造有限公司", "labels": None, "created_at": "2026-11-01T00:00:00Z",
         "updated_at": "2026-11-20T00:00:00Z", "deleted_at": None}
        for n, name in enumerate(["李娜 𠮷", "王伟", "Jane Doe"], start=1)
    ]  # fmt: skip
    tickets = [
        {"id": 2**53 + n, "title": f"空调不制冷 {n} 🥶", "text": None, "state": "open", "prio": 2,
         "contact_id": 1, "agent": None, "created_at": "2026-11-20T08:00:00Z",
         "changed_at": f"2026-11-20T08:00:0{n}Z", "done_at": None}
        for n in (1, 2, 3)
    ]  # fmt: skip
    made: list[dict[str, Any]] = []

    def one_page_of_contacts(asked: dict[str, Any]) -> Any:
        start = int(asked.get("after") or 0)
        size = int(asked["limit"])
        more = start + size < len(contacts)
        return {
            "contacts": contacts[start : start + size], "next": f"{start + size}" if more else None
        }  # fmt: skip

    def of_tickets(asked: dict[str, Any]) -> Any:
        if asked["method"] == "POST":
            made.append(asked)
            return {"ticket": {"id": 900 + len(made)}}
        if "external_ref" in asked:
            known = [m for m in made if m["external_ref"] == asked["external_ref"]]
            return {"tickets": [{"id": 900 + made.index(m) + 1} for m in known]}
        return page(tickets, asked, "tickets")

    def of_one(asked: dict[str, Any]) -> Any:
        found = [t for t in tickets if str(t["id"]) == asked["path"].rpartition("/")[2]]
        return {"ticket": found[0]} if found else (404, {"error": {"code": "not_found"}})

    answers = {"/contacts": one_page_of_contacts, "/tickets": of_tickets, r"/tickets/\d+": of_one}
    vendor = Vendor("https://helpdesk.example.com/api", **answers, **{"/me": lambda _: {}})
    vendor.tickets, vendor.made = tickets, made  # type: ignore[attr-defined]
    return vendor


def test_a_system_the_project_never_heard_of(open_with: Open, helpdesk: Vendor) -> None:
    hub = open_with({"helpdesk": HELPDESK, "shop": demo()}, [TO_HELPDESK])
    with helpdesk.answering():
        hub.registry.get("helpdesk").adapter.check()
        pull(hub, "helpdesk")
    found = customer(hub, "email", "lina1@example.com")
    assert found.name.value == "李娜 𠮷"
    assert scalar(hub, "SELECT count(*) FROM record WHERE kind = 'Ticket'") == 3
    assert scalar(hub, "SELECT count(*) FROM record WHERE kind = 'Person'") == 3


def test_what_a_rule_writes_is_made_once_in_it(open_with: Open, helpdesk: Vendor) -> None:
    hub = open_with({"helpdesk": HELPDESK, "shop": demo()}, [TO_HELPDESK])
    with helpdesk.answering():
        pull(hub, "helpdesk")
        pull(hub, "shop")
        shop = account(hub, "shop")
        shop.put(
            "customers", {"id": "C1", "kind": "person", "name": "李娜 𠮷", "phone": "13900001111"}
        )
        shop.put("tickets", {"id": "T1", "subject": "退货 🧾", "customer_id": "C1"})
        pull(hub, "shop", "customers", "tickets")
        drain(hub)
        drain(hub)
    (made,) = helpdesk.made  # type: ignore[attr-defined]
    assert made["ticket"]["title"] == "退货 🧾"
    assert made["ticket"]["contact_id"] == "1"
    assert made["notify"] is False
    assert scalar(hub, "SELECT count(*) FROM delivery WHERE state = 'confirmed'") == 1


def test_what_it_tells_by_webhook_is_believed_only_when_signed(
    open_with: Open, helpdesk: Vendor
) -> None:
    hub = open_with({"helpdesk": HELPDESK})
    with helpdesk.answering():
        pull(hub, "helpdesk")
    receiver = hub.registry.get("helpdesk").receiver
    event = {"event_id": "e9", "event": "updated", "object": "tickets",
             "data": {**helpdesk.tickets[0], "title": "改了", "changed_at": "2026-11-21T09:00:00Z"}}  # type: ignore[attr-defined]  # fmt: skip
    bare = replace(receiver.sample(datetime.now(UTC)), body=json.dumps(event).encode())
    recipe = receiver.hook.recipe
    assert recipe is not None
    signed = recipe.sign(bare, "helpdesk-hook-EXAMPLE")
    with door(hub) as client:
        sent = {"data": signed.body, "headers": dict(signed.headers)}
        assert client.post("/hooks/helpdesk", **sent).data == b"ok"
        assert client.post("/hooks/helpdesk", **sent).status_code == 200
        forged = {**sent, "data": signed.body.replace(b"updated", b"removed")}
        assert client.post("/hooks/helpdesk", **forged).status_code == 401
    drain(hub)
    assert scalar(hub, "SELECT count(*) FROM inbox") == 1
    documents = scalar(hub, "SELECT count(*) FROM record WHERE document LIKE '%改了%'")
    assert documents == 1


def test_a_ticket_deleted_there_is_swept_out_here(open_with: Open, helpdesk: Vendor) -> None:
    hub = open_with({"helpdesk": HELPDESK})
    with helpdesk.answering():
        pull(hub, "helpdesk")
        del helpdesk.tickets[1]  # type: ignore[attr-defined]
        certificate = reconcile(hub, "helpdesk", "tickets")
    assert (certificate.complete, certificate.source_count, certificate.hub_count) == (True, 2, 2)
    assert certificate.method == "survey"


def test_a_file_with_a_fault_is_refused_before_anything_is_stored(
    open_with: Open, own_settings: Path
) -> None:
    folder = own_settings.parent / "systems"
    folder.mkdir()
    text = (SYSTEMS / "example.toml").read_text("utf-8")
    broken = text.replace('subject = "title"', 'subjct = "title"', 1).replace("{size}", "{siz}")
    (folder / "helpdesk.toml").write_text(broken, "utf-8")
    with pytest.raises(ConfigError, match=r"helpdesk.toml \[streams.*siz"):
        open_with({"helpdesk": HELPDESK})
    (folder / "helpdesk.toml").write_text(broken.replace("{siz}", "{size}"), "utf-8")
    place = r"systems/helpdesk.toml \[streams.tickets.mapping\]"
    with pytest.raises(ConfigError, match=rf'{place}:\d+: unknown field "subjct"; did you mean'):
        open_with({"helpdesk": HELPDESK})


# The systems that come with the hub


def test_jiandaoyun_by_toml_alone(open_with: Open) -> None:
    """简道云: a form is pulled, its webhook believed, and a request written into it once."""
    app, form = "59264073a2a60c0c08e20bfb", "59264073a2a60c0c08e20bfd"
    rows = [
        {"_id": f"59e9a2fe283ffa7c11b1ddb{n}", "appId": app, "entryId": form, "status": "处理中",
         "createTime": "2026-11-20T02:00:00.000Z", "updateTime": f"2026-11-20T03:00:0{n}.000Z",
         "description": f"空调不制冷 {n} 🥶", "contact_name": "李四 𠮷", "email": None,
         "phone": {"phone": f"1390000222{n}", "verified": False}}
        for n in (1, 2, 3)
    ]  # fmt: skip
    made: dict[str, str] = {}

    def listed(asked: dict[str, Any]) -> Any:
        assert (asked["app_id"], asked["entry_id"]) == (app, form)
        since = asked["filter"]["cond"][0]["value"][0] if "filter" in asked else ""
        kept = [r for r in rows if r["_id"] > asked.get("data_id", "") and r["updateTime"] >= since]
        return {"data": kept[: asked["limit"]]}

    def created(asked: dict[str, Any]) -> Any:
        id_ = made.setdefault(asked["transaction_id"], f"5a00{len(made)}")
        if len(made) == 1 and len(vendor.asked) % 2:
            return 502, {}  # it was made, and the answer was lost
        assert asked["data_list"] == [{"subject": {"value": "退货"}}]
        return {"status": "success", "success_count": 1, "success_ids": [id_]}

    vendor = Vendor(
        "https://api.jiandaoyun.com/api/v5/app",
        **{"/list": lambda _: {"apps": []}, "/entry/data/list": listed,
           "/entry/data/batch_create": created},
    )  # fmt: skip
    connection = {
        "adapter": "rest",
        "system": "jiandaoyun",
        "secrets": {"api_key": "jdy-EXAMPLE"},
        "webhook_secrets": ["test-secret"],
        "page_size": 2,
        "streams": {"repairs": {"of": "tickets", "app_id": app, "entry_id": form}},
    }
    rule = {
        "id": "to-forms",
        "when": "Ticket created",
        "if": [{"field": "connection", "is": "shop"}],
        "then": {"write": "forms/repairs", "fields": {"subject": "{subject}"}},
    }
    hub = open_with({"forms": connection, "shop": demo()}, [rule])
    assert hub.registry.get("forms").limits.per_s == 5  # the file says so
    with vendor.answering():
        hub.registry.get("forms").adapter.check()
        pull(hub, "forms")
        pull(hub, "shop")
        assert scalar(hub, "SELECT count(*) FROM record WHERE kind = 'Ticket'") == 3
        receiver = hub.registry.get("forms").receiver
        event = {"op": "data_update", "data": {**rows[0], "status": "已解决",
                 "updateTime": "2026-11-21T03:00:00.000Z"}}  # fmt: skip
        bare = replace(receiver.sample(datetime.now(UTC)), body=json.dumps(event).encode())
        assert receiver.hook.recipe
        signed = receiver.hook.recipe.sign(bare, "test-secret")
        with door(hub) as client:
            taken = client.post(
                "/hooks/forms",
                data=signed.body,
                headers=dict(signed.headers),
                query_string=dict(signed.query),
            )
            assert taken.status_code == 202
        account(hub, "shop").put("tickets", {"id": "T1", "subject": "退货"})
        pull(hub, "shop", "tickets")
        drain(hub)
    assert scalar(hub, "SELECT count(*) FROM record WHERE document LIKE '%solved%'") == 1
    assert scalar(hub, "SELECT count(*) FROM delivery WHERE state = 'confirmed'") == 1
    assert len(made) == 1


def test_zhidao_by_toml_alone(open_with: Open) -> None:
    """支道: log in, read an interface whose columns are the tenant's own."""
    rows = [
        {"客户编号": f"K{n}", "客户名称": f"示例制造{n}有限公司 𠮷", "手机": f"1390000333{n}",
         "更新时间": f"2026-11-2{n} 10:00:00"}
        for n in (0, 1, 2)
    ]  # fmt: skip
    logins: list[dict[str, Any]] = []

    def login(asked: dict[str, Any]) -> Any:
        logins.append(asked)
        token = {"accessToken": f"tok-{len(logins)}"}
        return {"code": "200", "success": True, "message": None, "data": token}

    def query(asked: dict[str, Any]) -> Any:
        start = (asked["pageNum"] - 1) * asked["pageSize"]
        some = rows[start : start + asked["pageSize"]]
        return {"code": "200", "success": True, "data": {"total": "3", "rows": some}}

    vendor = Vendor(
        "https://",
        **{r"user\.zdsztech\.com/.*/getTokenInfo": login,
           r"api\.zdsztech\.com/.*/external/queryData/Ab12Cd34Ef": query},
    )  # fmt: skip
    mapping = {
        "to": {"path": "客户名称 | party_kind", "default": "Organization"},
        "fields": {
            "name": "客户名称",
            "contact_points": [{"type": "phone", "path": "手机", "level": "recorded"}],
        },
    }
    columns = {"id": "客户编号", "changed": "更新时间", "mapping": mapping}
    connection = {
        "adapter": "rest",
        "system": "zhidao",
        "values": {"access_id": "id-EXAMPLE"},
        "secrets": {"access_secret_key": "zd-EXAMPLE"},
        "page_size": 2,
        "streams": {"customers": {"of": "query", "code": "Ab12Cd34Ef", **columns}},
    }
    hub = open_with({"zhidao": connection})
    with vendor.answering():
        pull(hub, "zhidao")
        pull(hub, "zhidao")
    assert customer(hub, "phone", "+8613900003332").name.value == "示例制造2有限公司 𠮷"
    assert scalar(hub, "SELECT count(*) FROM record") == 3
    assert len(logins) == 1
    sent = [asked for _, path, asked in vendor.asked if "queryData" in path]
    assert sent[0]["startDate"] == "2020-01-01"
    assert sent[0]["startDate"] < sent[-1]["startDate"] <= sent[-1]["endDate"]


def test_mingdao_by_toml_alone(open_with: Open, clock: Callable[[timedelta], None]) -> None:
    """明道云: customers are pulled by change, one is written and found again by our mark."""
    rows = [
        {"rowid": f"r{n}", "name": f"示例制造{n}", "phone": f"1390000444{n}",
         "level": [{"key": "k", "value": "A"}], "_updatedAt": f"2026-11-20 10:00:0{n}"}
        for n in (1, 2, 3)
    ]  # fmt: skip
    made: list[dict[str, Any]] = []

    def listed(asked: dict[str, Any]) -> Any:
        kept = rows
        for condition in asked.get("filter", {}).get("children", ()):
            if condition["field"] == "hub_mark":
                kept = [row for row in made if row["hub_mark"] in condition["value"]]
            else:
                low, high = condition["value"]
                kept = [row for row in kept if low <= row["_updatedAt"] <= high]
        start = (asked["pageIndex"] - 1) * asked["pageSize"]
        some = kept[start : start + asked["pageSize"]]
        return {"success": True, "error_code": 1, "data": {"rows": some, "total": len(kept)}}

    def create(asked: dict[str, Any]) -> Any:
        assert asked["triggerWorkflow"] is False
        made.append({"rowid": f"n{len(made)}", **{f["id"]: f["value"] for f in asked["fields"]}})
        return 504, {}  # it was made, and the answer was lost

    vendor = Vendor(
        "https://api.mingdao.com/v3/app",
        **{"": lambda _: {"success": True, "error_code": 1, "data": {}},
           "/worksheets/customers/rows/list": listed, "/worksheets/customers/rows": create},
    )  # fmt: skip
    mapping = {
        "to": "Person",
        "fields": {
            "name": "name",
            "tier": "level[0].value",
            "contact_points": [{"type": "phone", "path": "phone", "level": "recorded"}],
        },
        "push": {"name": "name", "contact_points[type=phone].value": "phone"},
    }
    sheet = {"of": "written", "worksheet_id": "customers", "mark_field": "hub_mark"}
    connection = {
        "adapter": "rest",
        "system": "mingdao",
        "values": {"app_key": "key-EXAMPLE"},
        "secrets": {"sign": "md-EXAMPLE"},
        "page_size": 2,
        "requests_per_s": 3,
        "streams": {"customers": {**sheet, "mapping": mapping}},
    }
    rule = {
        "id": "to-sheet",
        "when": "Person created",
        "if": [{"field": "connection", "is": "shop"}],
        "then": {"write": "sheet/customers", "fields": {"name": "{name}"}},
    }
    hub = open_with({"sheet": connection, "shop": demo()}, [rule])
    assert hub.registry.get("sheet").limits.per_s == 3  # the connection's own word counts
    with vendor.answering():
        pull(hub, "sheet")
        pull(hub, "shop")
        assert customer(hub, "phone", "+8613900004441").tier.value == "A"
        account(hub, "shop").put("customers", {"id": "C1", "kind": "person", "name": "王五 𠮷"})
        pull(hub, "shop", "customers")
        drain(hub)
        clock(timedelta(minutes=10))
        drain(hub)
    assert len(made) == 1
    assert scalar(hub, "SELECT count(*) FROM delivery WHERE state = 'confirmed'") == 1
    headers = hub.registry.get("sheet").adapter.http._session.headers
    assert headers["HAP-Appkey"] == "key-EXAMPLE"
