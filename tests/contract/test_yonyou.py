"""YonBIP: lists without an order lose nothing, tokens are renewed, a create is done once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import responses
from hypothesis import given
from hypothesis import strategies as st

from adapters.yonyou.adapter import YonyouAdapter
from adapters.yonyou.config import YonyouConfig
from adapters.yonyou.signing import token_signature
from adapters.yonyou.spans import next_span
from hub.sdk import Change, ConfigError, Raw, RecordRef, RemoteError, Stream
from hub.sdk.auth import MemoryTokens, Tokens

GATEWAY, TOKENS = "https://c2.example.com/iuap-api-gateway", "https://c2.example.com/iuap-api-auth"
MERCHANT = f"{GATEWAY}/yonbip/digitalModel/merchant"
TOKEN = f"{TOKENS}/open-auth/selfAppAuth/base/v1/getAccessToken"
SECRET = "0123456789abcdef0123456789abcdef"
FIRST, UNTIL = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
CUSTOMERS = Stream("customers", writable=True)


def adapter(**more: Any) -> YonyouAdapter:
    told = {"tenant_id": "t1", "gateway_url": GATEWAY, "token_url": TOKENS, **more}
    return YonyouAdapter(YonyouConfig(app_key="key1", app_secrets=(SECRET,), **told))


@pytest.fixture
def mock() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


@given(
    st.lists(st.integers(2, 24 * 3600 - 1), max_size=60),  # a full first second is suspicious
    st.integers(2, 7),
    st.randoms(use_true_random=False),
)
def test_every_row_of_a_list_in_no_order_comes(seconds: list[int], size: int, chance: Any) -> None:
    """Whatever the vendor's order is, and however many rows share a second."""
    rows = [{"id": n, "at": FIRST + timedelta(seconds=s)} for n, s in enumerate(seconds)]

    def ask(begin: datetime, end: datetime, page: int) -> list[Raw]:
        found = [row for row in rows if begin <= row["at"] <= end]
        if end - begin > timedelta(seconds=1):  # only there pages must hold still
            chance.shuffle(found)
        return found[(page - 1) * size :][:size]

    came: set[int] = set()
    position: str | None = ""
    while position is not None:
        page, position = next_span(ask, position, first=FIRST, until=UNTIL, size=size)
        came |= {row["id"] for row in page}
    assert came == set(range(len(rows)))


def test_a_vendor_that_ignores_the_span_is_noticed() -> None:
    with pytest.raises(RemoteError):
        next_span(lambda *_: [{"id": 1}] * 5, "", first=FIRST, until=UNTIL, size=5)


def orders(*ids: int) -> dict[str, Any]:
    rows = [{"id": str(id_), "code": f"SO{id_}", "pubts": "2026-11-01 08:00:00"} for id_ in ids]
    return {"code": "200", "data": {"recordList": rows}}


def fresh() -> MemoryTokens:
    return MemoryTokens(Tokens("token-1", version=1))


def test_bills_in_another_order_than_asked_for_are_no_page(mock: responses.RequestsMock) -> None:
    yonyou = adapter()
    yonyou.tokens = fresh()
    mock.post(f"{GATEWAY}/yonbip/sd/voucherorder/list", json=orders(2, 1))
    with pytest.raises(RemoteError, match="another order"):
        [*yonyou.pull(Stream("orders"), None)]


def test_others_than_the_one_asked_for_do_not_make_it_gone(mock: responses.RequestsMock) -> None:
    yonyou = adapter()
    yonyou.tokens = fresh()
    mock.post(f"{MERCHANT}/newlist", json={"code": "200", "data": [{"id": 2}, {"id": 3}]})
    with pytest.raises(RemoteError):
        yonyou.fetch(RecordRef("customers", "1"))
    mock.replace("POST", f"{MERCHANT}/newlist", json={"code": "200", "data": []})
    assert yonyou.fetch(RecordRef("customers", "1")) is None


def test_a_token_that_ended_is_replaced_once(mock: responses.RequestsMock) -> None:
    yonyou = adapter()
    old = datetime.now(UTC) - timedelta(hours=1)
    yonyou.tokens = MemoryTokens(Tokens("old-token", since=old, version=1))
    list_ = f"{GATEWAY}/yonbip/sd/voucherorder/list"
    mock.post(list_, json={"code": "310036", "message": "非法token"})
    mock.get(TOKEN, json={"code": "00000", "data": {"access_token": "new", "expire": 7200}})
    mock.post(list_, json=orders())
    assert [*yonyou.pull(Stream("orders"), None)] == []
    first, renewed, second = (parse_qs(urlsplit(call.request.url).query) for call in mock.calls)
    assert (first["access_token"], second["access_token"]) == (["old-token"], ["new"])
    (at,) = renewed["timestamp"]
    assert renewed["signature"] == [token_signature("key1", SECRET, int(at))]


def test_a_create_whose_answer_is_lost_is_the_same_create_again(
    mock: responses.RequestsMock,
) -> None:
    yonyou = adapter()
    yonyou.tokens = fresh()
    mock.post(f"{MERCHANT}/newlist", json={"code": "200", "data": []})
    path = f"{MERCHANT}/idempotent/newinsert"
    mock.post(path, body=requests.ReadTimeout())
    mock.post(path, json={"code": "100004", "message": "重复提交", "data": {"id": 7}})
    change = Change(
        None, {"name": {"simplifiedName": "示例"}}, "6495d529-d2b3-4eff-a243-91c536b26b8d"
    )
    assert yonyou.push(CUSTOMERS, change).id == "7"
    sent = [
        json.loads(call.request.body or b"")["data"]
        for call in mock.calls
        if call.request.url.startswith(path)
    ]
    assert sent[0] == sent[1]
    assert sent[0]["resubmitCheckKey"] == "6495d529d2b34effa24391c536b26b8d"


def test_a_connection_that_only_receives_asks_nobody(mock: responses.RequestsMock) -> None:
    yonyou = adapter(tenant_id="")
    yonyou.check()
    assert not yonyou.reads(CUSTOMERS)
    with pytest.raises(ConfigError):
        yonyou.push(CUSTOMERS, Change(None, {}, "k"))
    assert not mock.calls
