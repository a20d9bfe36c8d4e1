"""钉钉 and 飞书: single records, tokens that end too early, places in lists that are forgotten."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import responses

from adapters.dingtalk.adapter import DingtalkAdapter
from adapters.dingtalk.config import DingtalkConfig
from adapters.feishu.adapter import FeishuAdapter
from adapters.feishu.config import FeishuConfig
from hub.errors import CursorExpiredError, RejectedError, UnsupportedError
from hub.sdk import Adapter, RecordRef, auth

DING, OAPI, LARK = (
    "https://api.dingtalk.com",
    "https://oapi.dingtalk.com/topapi",
    "https://open.feishu.cn/open-apis",
)
TABLE = f"{LARK}/bitable/v1/apps/bas/tables/tbl/records"
Json = dict[str, Any]


def dingtalk() -> DingtalkAdapter:
    given = {"owner_keys": ["key"], "app_secrets": ["secret"], "todo_operator": "op"}
    return DingtalkAdapter(DingtalkConfig.model_validate(given))


def feishu() -> FeishuAdapter:
    given = {"app_id": "cli", "app_secret": "secret", "bitable_app": "bas", "bitable_table": "tbl"}
    return FeishuAdapter(FeishuConfig.model_validate(given))


MAKERS: dict[str, Callable[[], Adapter[Any]]] = {"dingtalk": dingtalk, "feishu": feishu}


@pytest.fixture
def mock() -> Any:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as made:
        app = {"accessToken": "t", "expireIn": 7200}
        made.post(f"{DING}/v1.0/oauth2/accessToken", json=app)
        tenant = {"code": 0, "tenant_access_token": "t", "expire": 7200}
        made.post(f"{LARK}/auth/v3/tenant_access_token/internal", json=tenant)
        yield made


def ok(data: Any) -> Json:
    return {"code": 0, "data": data}


FETCHED: list[tuple[str, str, str, str, Json, Any]] = [
    ("dingtalk", "users", "POST", f"{OAPI}/v2/user/get", {"result": {"userid": "7"}}, "userid"),
    ("dingtalk", "extcontacts", "POST", f"{OAPI}/extcontact/get", {"result": {"user_id": "7"}},
     "user_id"),
    ("dingtalk", "process_instances", "GET", f"{DING}/v1.0/workflow/processInstances",
     {"result": {"status": "RUNNING"}}, "processInstanceId"),
    ("dingtalk", "todos", "GET", f"{DING}/v1.0/todo/users/op/tasks/7", {"id": "7"}, "id"),
    ("feishu", "users", "GET", f"{LARK}/contact/v3/users/7", ok({"user": {"open_id": "7"}}),
     "open_id"),
    ("feishu", "records", "POST", f"{TABLE}/batch_get", ok({"records": [{"record_id": "7"}]}),
     "record_id"),
    ("feishu", "instances", "GET", f"{LARK}/approval/v4/instances/7", ok({"form": "[]"}),
     "instance_code"),
]  # fmt: skip

GONE: dict[str, tuple[int, Json]] = {
    "users": (200, {"errcode": 60121, "errmsg": "找不到该用户"}),
    "extcontacts": (200, {"errcode": 88, "sub_code": "33012", "sub_msg": "无效的userId"}),
    "process_instances": (404, {"code": "processInstance.notFound", "message": "x"}),
    "todos": (404, {"code": "task.notExist", "message": "x"}),
    "records": (200, ok({"records": [], "absent_record_ids": ["7"]})),
    "instances": (400, {"code": 60003, "msg": "instance code not found"}),
}


@pytest.mark.parametrize(("vendor", "stream", "method", "url", "told", "key"), FETCHED)
def test_one_record(
    mock: Any, vendor: str, stream: str, method: str, url: str, told: Json, key: str
) -> None:
    mock.add(method, url, json=told)
    found = MAKERS[vendor]().fetch(RecordRef(stream, "7"))
    assert found
    assert found[key] == "7"


@pytest.mark.parametrize(("vendor", "stream", "method", "url", "told", "key"), FETCHED)
def test_what_is_gone_is_none_and_what_is_refused_is_not(
    mock: Any, vendor: str, stream: str, method: str, url: str, told: Json, key: str
) -> None:
    status, body = GONE[stream]
    if (vendor, stream) == ("feishu", "users"):
        status, body = 400, {"code": 41012, "msg": "user id is invalid"}
    mock.add(method, url, json=body, status=status)
    assert MAKERS[vendor]().fetch(RecordRef(stream, "7")) is None
    mock.replace(method, url, json={"errcode": 60011, "code": 99991672}, status=400)
    with pytest.raises(RejectedError):
        MAKERS[vendor]().fetch(RecordRef(stream, "7"))


@pytest.mark.parametrize("vendor", MAKERS)
def test_messages_are_not_fetched(vendor: str) -> None:
    for stream in ("notices", "robot_messages", "messages", "group_messages"):
        with pytest.raises(UnsupportedError):
            MAKERS[vendor]().fetch(RecordRef(stream, "7"))


@pytest.mark.parametrize(
    ("vendor", "method", "url", "token_url", "refusal", "told"),
    [
        ("dingtalk", "POST", f"{OAPI}/v2/user/get", f"{DING}/v1.0/oauth2/accessToken",
         (200, {"errcode": 88, "sub_code": "42001"}), {"errcode": 0, "result": {"userid": "7"}}),
        ("feishu", "GET", f"{LARK}/contact/v3/users/7",
         f"{LARK}/auth/v3/tenant_access_token/internal",
         (400, {"code": 99991663, "msg": "Invalid access token"}), ok({"user": {"open_id": "7"}})),
    ],
)  # fmt: skip
def test_a_token_that_ends_early_is_renewed_once(
    mock: Any,
    monkeypatch: pytest.MonkeyPatch,
    vendor: str,
    method: str,
    url: str,
    token_url: str,
    refusal: tuple[int, Json],
    told: Json,
) -> None:
    adapter = MAKERS[vendor]()
    mock.add(method, url, json=told)
    adapter.fetch(RecordRef("users", "7"))
    later = auth.now() + timedelta(minutes=5)
    monkeypatch.setattr(auth, "now", lambda: later)
    mock.remove(method, url)
    mock.add(method, url, json=refusal[1], status=refusal[0])
    mock.add(method, url, json=told)
    assert adapter.fetch(RecordRef("users", "7"))
    assert mock.assert_call_count(token_url, 2)


def test_a_place_that_feishu_forgot_expires_the_cursor(mock: Any) -> None:
    adapter = feishu()
    stream = next(one for one in adapter.streams if one.name == "records")
    page = ok({"items": [{"record_id": "1"}], "has_more": True, "page_token": "p"})
    mock.post(f"{TABLE}/search", json=page)
    first = next(adapter.pull(stream, None))
    refused = {"code": 1254030, "msg": "page token invalid"}
    mock.replace("POST", f"{TABLE}/search", json=refused)
    with pytest.raises(CursorExpiredError):
        next(adapter.pull(stream, first.cursor))
    with pytest.raises(RejectedError):  # from the beginning it is another fault
        next(adapter.pull(stream, None))


def test_a_department_that_was_dissolved_meanwhile_begins_anew(mock: Any) -> None:
    told = {"errcode": 60003, "errmsg": "department not exist"}
    mock.post(f"{OAPI}/v2/user/list", json=told)
    given = {"owner_keys": ["key"], "app_secrets": ["secret"], "address_book": ["users"]}
    adapter = DingtalkAdapter(DingtalkConfig.model_validate(given))
    users = next(s for s in adapter.streams if s.name == "users")
    place = '{"since": "", "began": "2026-11-21T12:00:00+00:00", "position": "[[7], 0]"}'
    with pytest.raises(CursorExpiredError):
        list(adapter.pull(users, place))
    with pytest.raises(RejectedError):
        list(adapter.pull(users, None))
