"""Kingdee: our requests are those of the vendor's client, and a session that ends is renewed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
import responses
from k3cloud_webapi_sdk.main import K3CloudApiSdk

from adapters.kingdee.adapter import KingdeeAdapter
from adapters.kingdee.config import KingdeeConfig
from hub.sdk import AuthError, Change, Page, RemoteError, RetryableError, Stream, http
from hub.sdk.auth import MemoryTokens, Tokens

URL, AT = "https://erp.example.com/k3cloud", datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
FORMS = f"{URL}/Kingdee.BOS.WebApi.ServicesStub.DynamicFormService"
LOGIN = f"{URL}/Kingdee.BOS.WebApi.ServicesStub.AuthService.LoginBySign.common.kdsvc"
WHO = {
    "acct_id": "5f000000000001",
    "app_id": "200001_ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7",
    "app_secret": "secretEXAMPLE0123456789abcdef0123",
}
LOST = [[{"Result": {"ResponseStatus": {"IsSuccess": False, "MsgCode": 1, "Errors": []}}}]]
SAVED = {"Result": {"ResponseStatus": {"IsSuccess": True}, "Id": 7, "Number": "hub-1"}}


def adapter(**more: Any) -> KingdeeAdapter:
    return KingdeeAdapter(KingdeeConfig(url=URL, username="集成用户", **{**WHO, **more}))


@pytest.fixture
def mock() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_utc_now", lambda: AT)
    monkeypatch.setattr(time, "time", AT.timestamp)


def told(call: Any) -> tuple[str, dict[str, str], Any]:
    """Address, proof and body of a request; of the headers those that are part of the protocol."""
    headers = call.request.headers.items()
    proof = {n.lower(): v for n, v in headers if n.lower().startswith("x-")}
    return call.request.url, proof, json.loads(call.request.body)


@pytest.mark.usefixtures("_clock")
@pytest.mark.parametrize("org_num", [0, 100])
def test_a_request_is_that_of_the_vendors_client(
    mock: responses.RequestsMock, org_num: int
) -> None:
    for operation in ("ExecuteBillQuery", "Save", "Submit", "Audit"):
        answer = [] if operation == "ExecuteBillQuery" else SAVED
        mock.post(f"{FORMS}.{operation}.common.kdsvc", json=answer)
    adapter(org_num=org_num).push(
        Stream("customers"), Change(None, {"FName": "示例制造有限公司"}, "k", marker="hub-1")
    )
    sent = [told(call) for call in mock.calls]
    sdk = K3CloudApiSdk(f"{URL}/")
    sdk.InitConfig(
        WHO["acct_id"], "集成用户", WHO["app_id"], WHO["app_secret"], f"{URL}/", 2052, org_num
    )
    query, save, submit, audit = (body for _, _, body in sent)
    sdk.ExecuteBillQuery(query["data"])
    sdk.Save(save["formid"], save["data"])
    sdk.Submit(submit["formid"], submit["data"])
    sdk.Audit(audit["formid"], audit["data"])
    assert sent == [told(call) for call in [*mock.calls][len(sent) :]]


def old_session(age: timedelta) -> MemoryTokens:
    return MemoryTokens(Tokens("old-session", since=datetime.now(UTC) - age, version=1))


def opened(mock: responses.RequestsMock) -> None:
    told = {"LoginResultType": 1, "KDSVCSessionId": "new-session", "Message": None}
    mock.post(LOGIN, json=told)


def test_a_session_that_ended_is_replaced_once_and_the_write_is_made_once(
    mock: responses.RequestsMock,
) -> None:
    kingdee = adapter(auth="login_sign")
    kingdee.tokens = old_session(timedelta(hours=1))
    mock.post(f"{FORMS}.ExecuteBillQuery.common.kdsvc", json=LOST)
    opened(mock)
    mock.post(f"{FORMS}.ExecuteBillQuery.common.kdsvc", json=[[7, "C"]])
    receipt = kingdee.push(
        Stream("customers"), Change(None, {"FName": "示例"}, "k", marker="hub-1")
    )
    assert receipt.id == "7"
    asked = [call.request for call in mock.calls]
    assert [request.headers.get("kdservice-sessionid") for request in asked] == [
        "old-session", None, "new-session",
    ]  # fmt: skip
    assert asked[2].headers["Cookie"] == "kdservice-sessionid=new-session"
    stored = kingdee.tokens.load()
    assert stored is not None
    assert stored.access == "new-session"


def test_a_new_session_that_is_refused_is_not_replaced_again(mock: responses.RequestsMock) -> None:
    kingdee = adapter(auth="login_sign")
    opened(mock)
    mock.post(f"{FORMS}.ExecuteBillQuery.common.kdsvc", json=LOST)
    with pytest.raises(AuthError):
        kingdee.check()
    assert len(mock.calls) == 2


def test_a_session_from_an_answer_does_not_replace_ours(mock: responses.RequestsMock) -> None:
    kingdee = adapter(auth="login_sign")
    kingdee.tokens = old_session(timedelta(0))
    cookie = {"Set-Cookie": "kdservice-sessionid=another; path=/"}
    mock.post(f"{FORMS}.ExecuteBillQuery.common.kdsvc", json=[], headers=cookie)
    kingdee.check()
    assert {call.request.headers["Cookie"] for call in mock.calls} == {
        "kdservice-sessionid=old-session"
    }


def test_a_step_whose_answer_is_lost_is_looked_up_before_it_is_done_again(
    mock: responses.RequestsMock,
) -> None:
    query = f"{FORMS}.ExecuteBillQuery.common.kdsvc"
    kingdee, change = adapter(), Change(None, {"FName": "示例"}, "k", marker="hub-1")
    mock.post(query, json=[])
    mock.post(f"{FORMS}.Save.common.kdsvc", body=requests.ReadTimeout())
    with pytest.raises(RemoteError):
        kingdee.push(Stream("customers"), change)
    mock.replace("POST", query, json=[[7, "A"]])
    mock.post(f"{FORMS}.Submit.common.kdsvc", body=requests.ReadTimeout())
    with pytest.raises(RemoteError):
        kingdee.push(Stream("customers"), change)
    mock.replace("POST", query, json=[[7, "B"]])
    mock.post(f"{FORMS}.Audit.common.kdsvc", json=SAVED)
    assert kingdee.push(Stream("customers"), change).id == "7"
    done = [str(call.request.url).split(".")[-3] for call in mock.calls]
    assert done.count("Save") == done.count("Submit") == done.count("Audit") == 1


def pulled(mock: responses.RequestsMock, answer: Any) -> list[Page]:
    mock.post(f"{FORMS}.ExecuteBillQuery.common.kdsvc", json=answer)
    return [*adapter().pull(Stream("customers"), None)]


@pytest.mark.parametrize("answer", [[[1, 2]], [7], {"rows": []}])
def test_an_answer_with_other_columns_is_no_page(mock: responses.RequestsMock, answer: Any) -> None:
    with pytest.raises(RemoteError):
        pulled(mock, answer)


def test_a_row_with_a_time_that_is_none_does_not_stop_its_page(
    mock: responses.RequestsMock,
) -> None:
    columns = len(adapter().cloud.columns("customers"))
    row = [1, "C1", "示例", *[None] * (columns - 5), "昨天", "昨天"]
    (page,) = pulled(mock, [row, [2, *row[1:-2], None, "2026-11-20T08:00:00"]])
    assert [one["modified_at"] for one in page.records] == ["昨天", "2026-11-20T00:00:00.000000Z"]


def test_a_gateway_that_does_not_get_through_is_tried_again(mock: responses.RequestsMock) -> None:
    """Only its codes of proof name a fault of ours."""
    body = {"errcode": 5001, "description": "timeout[GW]"}
    mock.post(f"{FORMS}.ExecuteBillQuery.common.kdsvc", status=519, json=body)
    with pytest.raises(RetryableError):
        adapter().check()


@pytest.mark.parametrize("body", ["null", "{}", '""', ""])
def test_no_answer_is_not_an_empty_one(mock: responses.RequestsMock, body: str) -> None:
    """Otherwise a survey would take everything for deleted."""
    mock.post(f"{FORMS}.ExecuteBillQuery.common.kdsvc", body=body)
    with pytest.raises(RemoteError):
        list(adapter().survey(Stream("customers"), None))


def test_a_head_without_lines_has_none(mock: responses.RequestsMock) -> None:
    def rows(request: Any) -> tuple[int, dict[str, str], str]:
        names = json.loads(request.body)["data"]["FieldKeys"].split(",")
        row = [20 if name == "FID" else None for name in names]
        return 200, {}, json.dumps([row])

    mock.add_callback("POST", f"{FORMS}.ExecuteBillQuery.common.kdsvc", rows)
    (page, *_) = adapter().pull(Stream("sales_orders"), None)
    assert page.records[0]["lines"] == []
