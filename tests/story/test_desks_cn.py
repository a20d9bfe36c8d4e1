"""Somebody asks for a customer in 钉钉 or 飞书: a card for them alone, a bare link for a group."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import responses

from hub.registry import Hub
from hub.sdk import Item
from tests.story.helpers import account, demo, drain, pull, receive, scalar

Open = Callable[..., Hub]
Sent = list[tuple[str, dict[str, Any]]]

PHONE = "13912345671"
DING = {
    "adapter": "dingtalk",
    "owner_keys": ["dingappkeyEXAMPLE"],
    "app_secrets": ["SECexample0123456789"],
}
LARK = {"adapter": "feishu", "app_id": "cli_example", "app_secret": "app-secret-EXAMPLE"}


def opened(open_with: Open, **more: Any) -> Hub:
    hub = open_with({"crm": demo(), "ding": {**DING, **more}, "lark": {**LARK, **more}})
    crm = account(hub, "crm")
    for number, name in ((1, "李娜"), (2, "李强")):
        phone = f"1391234567{number}"
        crm.put("customers", {"id": str(number), "name": name, "phone": phone, "tier": "VIP"})
    pull(hub, "crm")
    return hub


def to_ding(text: str, number: int = 1, *, alone: bool = True) -> Item:
    body = {
        "conversationId": "cid==", "msgId": f"m{number}", "senderStaffId": "user01",
        "conversationType": "1" if alone else "2", "msgtype": "text", "text": {"content": text},
    }  # fmt: skip
    return Item(json.dumps(body).encode(), f"m{number}", "cid==", "text")


def to_lark(text: str, number: int = 1, *, alone: bool = True) -> Item:
    message = {
        "message_id": f"om_{number}", "chat_id": "oc_1", "message_type": "text",
        "chat_type": "p2p" if alone else "group", "content": json.dumps({"text": text}),
    }  # fmt: skip
    sender = {"sender_id": {"open_id": "ou_x"}, "sender_type": "user", "tenant_key": "t1"}
    header = {"event_id": f"e{number}", "event_type": "im.message.receive_v1", "tenant_key": "t1"}
    body = {"schema": "2.0", "header": header, "event": {"sender": sender, "message": message}}
    return Item(json.dumps(body).encode(), f"om_{number}", "oc_1", "im.message.receive_v1")


@pytest.fixture
def sent() -> Iterator[Sent]:
    """What 钉钉 and 飞书 were asked to say, by path."""
    heard: Sent = []

    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        path, body = urlsplit(str(request.url)).path, json.loads(request.body or "{}")
        if "oken" in path:
            told = {
                "accessToken": "t",
                "expireIn": 7200,
                "tenant_access_token": "t",
                "expire": 7200,
            }
            return 200, {}, json.dumps({"code": 0, **told})
        heard.append((path, body))
        told = {"processQueryKey": "q", "data": {"message_id": f"om_a{len(heard)}"}, "code": 0}
        return 200, {}, json.dumps(told)

    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add_callback("POST", re.compile(r"https://api\.dingtalk\.com/.*"), answer)
        mock.add_callback("POST", re.compile(r"https://open\.feishu\.cn/.*"), answer)
        yield heard


def ask(hub: Hub, connection: str, *items: Item) -> None:
    receive(hub, connection, *items)
    drain(hub)


def test_a_colleague_gets_a_card_in_dingtalk_and_a_group_a_link(
    open_with: Open, sent: Sent
) -> None:
    hub = opened(open_with)
    ask(hub, "ding", to_ding(f"/customer {PHONE}"))
    ((path, told),) = sent
    assert path == "/v1.0/robot/oToMessages/batchSend"
    assert told["userIds"] == ["user01"]
    assert told["msgKey"] == "sampleActionCard"
    card = json.loads(told["msgParam"])
    assert card["title"] == "李娜"
    assert PHONE not in card["text"]  # as the desk's role sees it: masked, unless said otherwise
    assert "139****" in card["text"].replace("+86", "")
    assert re.match(r"http://127\.0\.0\.1:8360/card\?t=", card["singleURL"])
    ask(hub, "ding", to_ding(PHONE))  # it comes once more
    assert len(sent) == 1
    ask(hub, "ding", to_ding(PHONE, 2, alone=False))
    path, told = sent[1]
    assert path == "/v1.0/robot/groupMessages/send"
    assert told["openConversationId"] == "cid=="
    assert "李娜" not in told["msgParam"]
    assert "139" not in re.sub(r"customer=[0-9a-f-]+", "", told["msgParam"])
    assert re.search(r"/card\?customer=[0-9a-f-]+", json.loads(told["msgParam"])["singleURL"])
    audited = "SELECT count(*) FROM audit WHERE actor = 'ding:user01' AND verb = 'card link'"
    assert scalar(hub, audited) == 2


def test_a_colleague_gets_a_card_in_feishu_and_a_group_a_link(open_with: Open, sent: Sent) -> None:
    hub = opened(open_with, desk_role="agent")
    ask(hub, "lark", to_lark(PHONE))
    ((path, told),) = sent
    assert path == "/open-apis/im/v1/messages/om_1/reply"
    card = json.loads(told["content"])
    assert card["header"]["title"]["content"] == "李娜"
    assert PHONE in card["elements"][0]["text"]["content"]
    assert "/card?t=" in card["elements"][1]["actions"][0]["url"]
    ask(hub, "lark", to_lark("/客户 李", 2, alone=False))
    assert sent[1][0] == "/open-apis/im/v1/messages/om_2/reply"
    text = sent[1][1]["content"]
    assert "李娜" not in text
    assert len(re.findall(r"/card\?customer=", text)) == 2
    assert scalar(hub, "SELECT count(*) FROM quarantine") == 0


def test_who_is_not_one_of_the_askers_is_told_nothing(open_with: Open, sent: Sent) -> None:
    hub = opened(open_with, askers=["somebody else"])
    ask(hub, "ding", to_ding(PHONE))
    ask(hub, "lark", to_lark(PHONE))
    assert sent == []
    assert scalar(hub, "SELECT count(*) FROM delivery") == 0
