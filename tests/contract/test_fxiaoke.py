"""Fxiaoke: tokens are renewed in both styles, and what cannot be trusted is no page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
import requests
import responses

from adapters.fxiaoke.adapter import FxiaokeAdapter
from adapters.fxiaoke.config import FxiaokeConfig
from hub.sdk import Change, ConfigError, Raw, RecordRef, RemoteError, Stream, UnknownOutcomeError
from hub.sdk.auth import MemoryTokens, Tokens

URL = "https://open.fxiaoke.com"
QUERY, CREATE = f"{URL}/cgi/crm/v2/data/query", f"{URL}/cgi/crm/v2/data/create"
ACCOUNTS = Stream("accounts", writable=True)
REFUSED = {"errorCode": 20016, "errorMessage": "authorization is error"}
STYLES = {
    "header": (f"{URL}/oauth2.0/token", {"accessToken": "new", "ea": "company1"}),
    "body": (
        f"{URL}/cgi/corpAccessToken/get/V2",
        {"corpAccessToken": "new", "corpId": "company1"},
    ),
}


def adapter(age: timedelta = timedelta(0), **more: Any) -> FxiaokeAdapter:
    secrets = {"app_secret": "s1", "permanent_code": "p1"}
    fxiaoke = FxiaokeAdapter(FxiaokeConfig.model_validate({"app_id": "FSAID_1", **secrets, **more}))
    told = {"company": "company1"}
    old = Tokens("old", since=datetime.now(UTC) - age, told=told, version=1)
    fxiaoke.tokens = MemoryTokens(old)
    return fxiaoke


def rows(*found: Raw) -> dict[str, Any]:
    return {"errorCode": 0, "data": {"dataList": list(found)}}


@pytest.fixture
def mock() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def shown(call: Any) -> list[Any]:
    """Token, company and who acts, wherever a request shows them."""
    headers, body = call.request.headers, json.loads(call.request.body)
    if "x-fs-ea" in headers:
        return [headers["Authorization"], headers["x-fs-ea"], headers["x-fs-userid"]]
    return [body["corpAccessToken"], body["corpId"], body["currentOpenUserId"]]


@pytest.mark.parametrize("style", STYLES)
def test_a_token_that_ended_is_replaced_once(mock: responses.RequestsMock, style: str) -> None:
    path, told = STYLES[style]
    fxiaoke = adapter(timedelta(hours=1), style=style, user_id="u1")
    mock.post(QUERY, json=REFUSED)
    mock.post(path, json={"errorCode": 0, "expiresIn": 7084, **told})
    mock.post(QUERY, json=rows({"_id": "a1", "name": "示例"}))
    (page,) = fxiaoke.pull(ACCOUNTS, None)
    assert [row["_id"] for row in page.records] == ["a1"]
    first, renewed, second = mock.calls
    mark = "Bearer " if style == "header" else ""
    assert shown(first) == [f"{mark}old", "company1", "u1"]
    assert shown(second) == [f"{mark}new", "company1", "u1"]
    secrets = {"appId": "FSAID_1", "appSecret": "s1", "permanentCode": "p1"}
    assert json.loads(renewed.request.body or b"").items() >= secrets.items()
    traces = [parse_qs(urlsplit(call.request.url).query)["thirdTraceId"][0] for call in mock.calls]
    assert {UUID(trace).version for trace in traces} == {4}
    assert len({*traces}) == 3


@pytest.mark.parametrize(
    ("answer", "ids"),
    [
        (rows({"_id": "a1"}), ["a1"]),
        ({"errorCode": 0, "dataList": [{"_id": "a1"}]}, ["a1"]),
        ({"errorCode": 0, "data": {"_id": "a1", "name": "示例"}}, ["a1"]),
        (rows(), []),
        ({"errorCode": 0, "data": None}, []),
    ],
)
def test_rows_are_found_wherever_the_documentation_shows_them(
    mock: responses.RequestsMock, answer: dict[str, Any], ids: list[str]
) -> None:
    mock.post(QUERY, json=answer)
    found = [row["_id"] for page in adapter().pull(ACCOUNTS, None) for row in page.records]
    assert found == ids


def test_records_in_another_order_than_asked_for_are_no_page(mock: responses.RequestsMock) -> None:
    mock.post(QUERY, json=rows({"_id": "a2"}, {"_id": "a1"}))
    with pytest.raises(RemoteError, match="another order"):
        [*adapter().pull(ACCOUNTS, None)]


def test_objects_of_the_company_have_an_address_of_their_own(mock: responses.RequestsMock) -> None:
    mock.post(f"{URL}/cgi/crm/custom/v2/data/query", json=rows())
    [*adapter(objects={"cases": "repair__c"}).pull(Stream("cases"), None)]
    (call,) = mock.calls
    assert json.loads(call.request.body or b"")["data"]["dataObjectApiName"] == "repair__c"


def test_a_voided_record_is_gone(mock: responses.RequestsMock) -> None:
    mock.post(QUERY, json=rows({"_id": "a1", "life_status": "invalid"}))
    assert adapter().fetch(RecordRef("accounts", "a1")) is None


def test_a_create_whose_answer_is_lost_is_looked_up_first(mock: responses.RequestsMock) -> None:
    fxiaoke, change = adapter(), Change(None, {"name": "示例"}, "k", marker="hub-1")
    mock.post(QUERY, json=rows())
    mock.post(CREATE, body=requests.ReadTimeout())
    with pytest.raises(UnknownOutcomeError):
        fxiaoke.push(ACCOUNTS, change)
    mock.replace("POST", QUERY, json=rows({"_id": "a7", "hub_ref__c": "hub-1"}))
    assert fxiaoke.push(ACCOUNTS, change).id == "a7"
    made = [
        json.loads(c.request.body or b"") for c in mock.calls if c.request.url.startswith(CREATE)
    ]
    assert len(made) == 1
    assert made[0]["data"]["object_data"]["hub_ref__c"] == "hub-1"


def test_a_connection_that_only_receives_asks_nobody(mock: responses.RequestsMock) -> None:
    fxiaoke = adapter(app_secret="")
    fxiaoke.check()
    assert not fxiaoke.reads(ACCOUNTS)
    with pytest.raises(ConfigError):
        fxiaoke.push(ACCOUNTS, Change(None, {}, "k"))
    assert not mock.calls


def test_fields_that_are_chosen_hide_no_voided_record(mock: responses.RequestsMock) -> None:
    """Otherwise it would exist for the hub as long as the field is not among them."""
    mock.post(QUERY, json=rows({"_id": "a1", "life_status": "invalid", "name": "示例"}))
    crm = adapter(fields={"accounts": ("name",)})
    assert crm.fetch(RecordRef("accounts", "a1")) is None
    asked = json.loads(mock.calls[0].request.body or "{}")["data"]["search_query_info"]
    assert {"_id", "life_status", "is_deleted", "name"} <= {*asked["fieldProjection"]}
