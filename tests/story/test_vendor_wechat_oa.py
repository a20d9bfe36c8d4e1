"""公众号: who follows, writes, leaves; and what reaches them within 48 hours."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import responses
from defusedxml import ElementTree
from wechatpy.crypto import WeChatCrypto

from hub.registry import Hub
from hub.store.db import Database
from tests.story.helpers import customer, drain, pull, reconcile, scalar
from webhooks.app import create_app

APP, OPENID, UNION = "wx0123456789abcdef", "oEXAMPLEopenid00000000000001", "oEXAMPLEunion0001"
TOKEN, KEY = "tokenEXAMPLE", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
API = "https://api.weixin.qq.com/cgi-bin"

CONNECTIONS = {
    "wechat": {
        "adapter": "wechat_oa",
        "app_id": APP,
        "tokens": [TOKEN],
        "encoding_aes_keys": [KEY],
        "app_secret": "s",
    }
}

ANSWER = {
    "id": "answer-at-once",
    "when": "Message created",
    "if": [{"field": "direction", "is": "in"}],
    "then": {
        "write": "wechat/messages",
        "subject": "answer/{ref}",
        "fields": {"customer": "{party}", "text": "收到：{text}"},
    },
}


class Account:
    """The vendor's side, as far as these stories ask it."""

    def __init__(self, mock: responses.RequestsMock) -> None:
        self.mock = mock
        self.follower: dict[str, Any] = {
            "subscribe": 1, "openid": OPENID, "unionid": UNION, "remark": "李娜",
            "subscribe_time": 1700000000,
        }  # fmt: skip
        self.sent: list[Any] = []
        self.refuses: dict[str, Any] = {"errcode": 0, "errmsg": "ok"}
        mock.post(f"{API}/stable_token", json={"access_token": "t", "expires_in": 7200})
        mock.add_callback("GET", f"{API}/user/info", lambda _: (200, {}, json.dumps(self.follower)))
        mock.add_callback("GET", f"{API}/user/get", self._listed)
        mock.add_callback("POST", f"{API}/message/custom/send", self._send)
        batch = lambda _: (200, {}, json.dumps({"user_info_list": [self.follower]}))  # noqa: E731
        mock.add_callback("POST", f"{API}/user/info/batchget", batch)

    def _listed(self, request: Any) -> tuple[int, dict[str, str], str]:
        openids = [OPENID] if self.follower["subscribe"] and OPENID not in request.url else []
        return 200, {}, json.dumps({"count": len(openids), "data": {"openid": openids}})

    def _send(self, request: Any) -> tuple[int, dict[str, str], str]:
        self.sent.append(json.loads(request.body))
        return 200, {}, json.dumps(self.refuses)


@pytest.fixture
def account() -> Iterator[Account]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield Account(mock)


def call(hub: Hub, **fields: str) -> None:
    """What 微信 sends, sealed by wechatpy, at the front door; worked on at once."""
    at = str(int(time.time()))
    told = {"ToUserName": "gh_0123456789ab", "FromUserName": OPENID, "CreateTime": at, **fields}
    text = "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in told.items())
    body = WeChatCrypto(TOKEN, KEY, APP).encrypt_message(f"<xml>{text}</xml>", "nonce1", at)
    envelope = {child.tag: child.text or "" for child in ElementTree.fromstring(body)}
    query = {
        "msg_signature": envelope["MsgSignature"],
        "timestamp": envelope["TimeStamp"],
        "nonce": envelope["Nonce"],
    }
    app = create_app(hub.settings)
    database: Database = app.extensions["hub.database"]
    with closing(database), app.test_client(use_cookies=False) as client:
        answer = client.post("/hooks/wechat", data=body.encode(), query_string=query)
    assert (answer.status_code, answer.data) == (200, b"success")
    drain(hub)


def test_who_follows_writes_and_leaves_is_one_customer(
    open_with: Callable[..., Hub], account: Account
) -> None:
    hub = open_with(CONNECTIONS)
    call(hub, MsgType="event", Event="subscribe")
    call(hub, MsgType="text", Content="空调不制冷 🥵", MsgId="24000000000000001")
    found = customer(hub, "unionid", UNION)
    assert {member.source.ref for member in found.members} == {
        f"wechat/users/{OPENID}",
        f"wechat/senders/{OPENID}",
    }
    assert [fact.kind for fact in found.timeline] == ["Message"]
    account.follower = {"subscribe": 0, "openid": OPENID}  # no more is told of who left
    call(hub, MsgType="event", Event="unsubscribe")
    left = customer(hub, "unionid", UNION)
    assert [c.granted for c in left.consents] == [False]
    assert left.name is not None
    assert left.name.value == "李娜"
    assert scalar(hub, "SELECT count(*) FROM profile") == 1


def test_who_left_unheard_is_found_by_comparing_and_stays(
    open_with: Callable[..., Hub], account: Account
) -> None:
    hub = open_with(CONNECTIONS)
    pull(hub, "wechat", "users")
    assert [c.granted for c in customer(hub, "unionid", UNION).consents] == [True]
    account.follower = {"subscribe": 0, "openid": OPENID}  # no more is told of who left
    reconcile(hub, "wechat", "users")
    assert [c.granted for c in customer(hub, "unionid", UNION).consents] == [False]


def test_a_message_is_answered_by_a_rule_and_once(
    open_with: Callable[..., Hub], account: Account
) -> None:
    hub = open_with(CONNECTIONS, [ANSWER])
    for _ in range(2):  # 微信 tries again when it did not hear us
        call(hub, MsgType="text", Content="在吗", MsgId="24000000000000001")
    assert account.sent == [
        {"touser": OPENID, "msgtype": "text", "text": {"content": "收到：在吗"}}
    ]
    assert scalar(hub, "SELECT state FROM delivery") == "confirmed"
    assert len(customer(hub, "openid", OPENID).timeline) >= 1


def test_the_window_of_48_hours_is_named(open_with: Callable[..., Hub], account: Account) -> None:
    hub = open_with(CONNECTIONS, [ANSWER])
    account.refuses = {"errcode": 45015, "errmsg": "response out of time limit"}
    call(hub, MsgType="text", Content="在吗", MsgId="24000000000000001")
    assert len(account.sent) == 1
    assert scalar(hub, "SELECT state FROM delivery") == "dead"
    assert "48 hours" in scalar(hub, "SELECT hint FROM delivery")
