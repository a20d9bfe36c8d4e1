"""企业微信: a customer of two channels is one, and news of 微信客服 is answered by a rule."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
import responses
from defusedxml import ElementTree
from wechatpy.enterprise.crypto import WeChatCrypto as WecomCrypto

from hub.errors import RetryableError
from hub.pipeline import due
from hub.registry import Hub
from hub.store.db import Database
from tests.story.helpers import account, customer, demo, drain, pull, reconcile, scalar
from webhooks.app import create_app

CORP, APP, UNION = "ww1234567890abcdef", "wx0123456789abcdef", "oEXAMPLEunion0001"
TOKEN, KEY = "tokenEXAMPLE", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
CUSTOMER, ACCOUNT = "wmEXAMPLE000000000000000000001", "wkEXAMPLE00000000000000000001"
WECOM, WECHAT = "https://qyapi.weixin.qq.com/cgi-bin", "https://api.weixin.qq.com/cgi-bin"
OK = {"errcode": 0, "errmsg": "ok"}

CONNECTIONS = {
    "wecom": {
        "adapter": "wecom",
        "receive_ids": [CORP],
        "tokens": [TOKEN],
        "encoding_aes_keys": [KEY],
        "secret": "s",
        "open_kfids": [ACCOUNT],
    },
    "wechat": {"adapter": "wechat_oa", "app_id": APP, "app_secret": "s"},
}

ANSWER: dict[str, Any] = {
    "id": "answer-at-once",
    "when": "Message created",
    "if": [{"field": "connection", "is": "wecom"}, {"field": "direction", "is": "in"}],
    "then": {
        "write": "wecom/messages",
        "subject": "answer/{ref}",  # else it would be an edit of what the customer wrote
        "fields": {"customer": "{party}", "text": "收到：{text}"},
    },
}

TOLD = {
    "id": "tell-the-customer",
    "when": "Ticket created",
    "if": [{"field": "connection", "is": "desk"}],
    "then": {
        "write": "wecom/messages",
        "fields": {"customer": "{party}", "text": "{subject}：已受理"},
    },
}


class Corp:
    """The vendor's side, as far as these stories ask it."""

    def __init__(self, mock: responses.RequestsMock) -> None:
        self.mock = mock
        self.follows: dict[str, dict[str, Any]] = {
            "zhangsan": {"userid": "zhangsan", "remark": "李总", "tag_id": ["etA"]}
        }
        self.said: list[dict[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        self.words: list[str | None] = []
        mock.get(f"{WECOM}/user/list", json={**OK, "userlist": []})
        mock.get(f"{WECOM}/gettoken", json={**OK, "access_token": "t", "expires_in": 7200})
        tags = [{"tag": [{"id": "etA", "name": "重点客户"}]}]
        self._on("POST", "/externalcontact/get_corp_tag_list", lambda _: {"tag_group": tags})
        self._on("GET", "/externalcontact/get_follow_user_list", self._followers)
        self._on("POST", "/externalcontact/batch/get_by_user", self._contacts)
        self._on("GET", "/externalcontact/get", self._contact)
        self._on("GET", "/externalcontact/list", lambda _: {"external_userid": []})
        self._on("POST", "/kf/sync_msg", self._page)
        self._on("POST", "/kf/customer/batchget", self._customers)
        self._on("POST", "/kf/send_msg", self._send)

    def _on(self, method: str, path: str, answer: Callable[[Any], dict[str, Any]]) -> None:
        def callback(request: Any) -> tuple[int, dict[str, str], str]:
            asked = json.loads(request.body) if request.body else {}
            return 200, {}, json.dumps({**OK, **answer(asked)})

        self.mock.add_callback(method, f"{WECOM}{path}", callback)

    def _followers(self, _: Any) -> dict[str, Any]:
        return {"follow_user": list(self.follows) or ["zhangsan"]}

    def _contacts(self, asked: Any) -> dict[str, Any]:
        found = [
            {"external_contact": self._who(), "follow_info": self.follows[user]}
            for user in asked["userid_list"]
            if user in self.follows
        ]
        return {"external_contact_list": found}

    def _contact(self, _: Any) -> dict[str, Any]:
        follows = [
            {"userid": f["userid"], "remark": f["remark"], "tags": []}
            for f in self.follows.values()
        ]
        return {"external_contact": self._who(), "follow_user": follows}

    def _who(self) -> dict[str, Any]:
        return {"external_userid": CUSTOMER, "name": "小明", "type": 1, "unionid": UNION}

    def _page(self, asked: Any) -> dict[str, Any]:
        self.words.append(asked.get("token"))
        seen = int(asked.get("cursor") or 0)
        return {
            "next_cursor": str(len(self.said)),
            "has_more": 0,
            "msg_list": self.said[seen:],
        }

    def _customers(self, asked: Any) -> dict[str, Any]:
        found = [{"external_userid": id_} for id_ in asked["external_userid_list"]]
        return {"customer_list": found}

    def _send(self, asked: Any) -> dict[str, Any]:
        self.sent.append(asked)
        return {"msgid": asked["msgid"]}

    def _send_to_members(self, asked: Any) -> dict[str, Any]:
        self.sent.append(asked)
        return {"msgid": "msg1", "response_code": "rc1"}

    def write(self, text: str) -> None:
        number = len(self.said) + 1
        self.said.append(
            {
                "msgid": f"m{number}",
                "open_kfid": ACCOUNT,
                "external_userid": CUSTOMER,
                "send_time": int(time.time()),
                "origin": 3,
                "msgtype": "text",
                "text": {"content": text},
            }
        )


@pytest.fixture
def corp() -> Iterator[Corp]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield Corp(mock)


def call(hub: Hub, **fields: str) -> None:
    """An event of 企业微信, sealed by wechatpy, at the front door."""
    told = "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in fields.items())
    at = str(int(time.time()))
    event = f"<xml><CreateTime>{at}</CreateTime><MsgType>event</MsgType>{told}</xml>"
    body = WecomCrypto(TOKEN, KEY, CORP).encrypt_message(event, "nonce1", at)
    envelope = {child.tag: child.text or "" for child in ElementTree.fromstring(body)}
    query = {
        "msg_signature": envelope["MsgSignature"],
        "timestamp": envelope["TimeStamp"],
        "nonce": envelope["Nonce"],
    }
    app = create_app(hub.settings)
    database: Database = app.extensions["hub.database"]
    with closing(database), app.test_client(use_cookies=False) as client:
        answer = client.post("/hooks/wecom", data=body.encode(), query_string=query)
    assert (answer.status_code, answer.data) == (200, b"")


def test_a_customer_who_follows_the_account_is_one_customer(
    open_with: Callable[..., Hub], corp: Corp
) -> None:
    follower = {"subscribe": 1, "openid": "oA", "unionid": UNION, "subscribe_time": 1700000000}
    token = {"access_token": "t", "expires_in": 7200}
    corp.mock.post(f"{WECHAT}/stable_token", json=token)
    listed = {"count": 1, "data": {"openid": ["oA"]}, "next_openid": "oA"}
    corp.mock.get(f"{WECHAT}/user/get", json=listed)
    corp.mock.post(f"{WECHAT}/user/info/batchget", json={"user_info_list": [follower]})
    hub = open_with(CONNECTIONS)
    corp.follows["lisi"] = {"userid": "lisi", "remark": "李经理（备件）", "tag_id": []}
    pull(hub, "wecom", "contacts")
    pull(hub, "wechat", "users")
    found = customer(hub, "unionid", UNION)
    refs = {member.source.ref for member in found.members}
    assert refs == {
        f"wecom/contacts/zhangsan/{CUSTOMER}",
        f"wecom/contacts/lisi/{CUSTOMER}",
        "wechat/users/oA",
    }
    assert scalar(hub, "SELECT count(*) FROM profile") == 1


def test_what_a_member_and_a_customer_are_to_each_other_follows_the_events(
    open_with: Callable[..., Hub], corp: Corp
) -> None:
    hub = open_with(CONNECTIONS)
    pull(hub, "wecom", "contacts")
    corp.follows["zhangsan"]["remark"] = "李总-备件"
    named = {"UserID": "zhangsan", "ExternalUserID": CUSTOMER}
    change = {"Event": "change_external_contact", **named}
    call(hub, ChangeType="edit_external_contact", **change)
    drain(hub)
    name = customer(hub, "external_userid", CUSTOMER).name
    assert name is not None
    assert name.value == "李总-备件"
    corp.follows.clear()
    call(hub, ChangeType="del_follow_user", **change)
    drain(hub)
    assert scalar(hub, "SELECT count(*) FROM profile") == 0


def test_a_relation_that_ended_unheard_is_found_by_comparing(
    open_with: Callable[..., Hub], corp: Corp
) -> None:
    hub = open_with(CONNECTIONS)
    pull(hub, "wecom", "contacts")
    corp.follows.clear()
    certificate = reconcile(hub, "wecom", "contacts")
    assert certificate.complete
    assert scalar(hub, "SELECT count(*) FROM profile") == 0


def test_news_of_kf_is_pulled_with_its_word_and_answered_by_a_rule(
    open_with: Callable[..., Hub], corp: Corp
) -> None:
    hub = open_with(CONNECTIONS, [ANSWER])
    for stream in ("contacts", "messages"):
        pull(hub, "wecom", stream)
    assert ("wecom", "messages") not in due.pulls(hub)
    corp.write("空调不制冷 🥵")
    call(hub, Event="kf_msg_or_event", Token="ENCword", OpenKfId=ACCOUNT)
    drain(hub)
    assert ("wecom", "messages") in due.pulls(hub)
    pull(hub, "wecom", "messages")
    assert corp.words == [None, "ENCword"]
    assert [fact.kind for fact in customer(hub, "unionid", UNION).timeline] == ["Message"]
    drain(hub)
    assert [(sent["touser"], sent["text"]["content"]) for sent in corp.sent] == [
        (CUSTOMER, "收到：空调不制冷 🥵")
    ]
    assert scalar(hub, "SELECT count(*) FROM delivery WHERE state = 'confirmed'") == 1
    drain(hub)
    pull(hub, "wecom", "messages")
    assert (len(corp.sent), corp.words[2:]) == (1, [None]), "the word is said once"


def test_what_a_customer_wrote_is_not_edited_and_the_reason_is_told(
    open_with: Callable[..., Hub], corp: Corp
) -> None:
    rule = {**ANSWER, "then": {k: v for k, v in ANSWER["then"].items() if k != "subject"}}
    hub = open_with(CONNECTIONS, [rule])
    pull(hub, "wecom", "messages")
    corp.write("空调不制冷")
    pull(hub, "wecom", "messages")
    drain(hub)
    assert corp.sent == []
    assert scalar(hub, "SELECT state FROM delivery") == "dead"
    assert "one customer" in scalar(hub, "SELECT error FROM delivery")


def test_a_request_at_the_desk_is_told_to_the_customer_over_kf(
    open_with: Callable[..., Hub], corp: Corp
) -> None:
    hub = open_with({**CONNECTIONS, "desk": demo()}, [TOLD])
    corp.follows["zhangsan"] |= {"remark": "李娜", "remark_mobiles": ["13912345678"]}
    corp.write("空调不制冷")
    desk = account(hub, "desk")
    desk.put("customers", {"id": "7", "name": "李娜", "phone": "+86 139-1234-5678"})
    for name in ("wecom", "desk"):
        pull(hub, name)
    assert scalar(hub, "SELECT count(*) FROM profile") == 1
    desk.put("tickets", {"id": "T1", "subject": "空调不制冷", "status": "open", "customer_id": "7"})
    pull(hub, "desk", "tickets")
    drain(hub)
    assert [(sent["touser"], sent["text"]["content"]) for sent in corp.sent] == [
        (CUSTOMER, "空调不制冷：已受理")
    ]
    assert scalar(hub, "SELECT count(*) FROM delivery WHERE state = 'confirmed'") == 1


def test_a_rule_shows_a_member_a_card_and_a_click_comes_back(
    open_with: Callable[..., Hub], corp: Corp
) -> None:
    card = {"card_type": "button_interaction", "main_title": {"title": "{subject}"}}
    then = {
        "write": "wecom/app_messages",
        "fields": {
            "to": [{"type": "wecom_userid", "value": "zhangsan"}],
            "extra": {"template_card": card},
        },
    }
    wecom = {**CONNECTIONS["wecom"], "agent_id": 1000002}
    hub = open_with({"wecom": wecom, "desk": demo()}, [{**TOLD, "then": then}])
    corp._on("POST", "/message/send", corp._send_to_members)
    pull(hub, "desk")
    desk = account(hub, "desk")
    desk.put("tickets", {"id": "T1", "subject": "设备报警 🚨", "status": "open"})
    pull(hub, "desk", "tickets")
    drain(hub)
    (sent,) = corp.sent
    assert sent["template_card"]["main_title"] == {"title": "设备报警 🚨"}
    task = sent["template_card"]["task_id"]
    clicked = {"EventKey": "accept", "TaskId": task, "ResponseCode": "rc2"}
    call(hub, FromUserName="zhangsan", Event="template_card_event", **clicked)
    drain(hub)
    told = json.loads(
        scalar(hub, "SELECT document FROM record WHERE ref = 'wecom/card_clicks/rc2'")
    )
    assert told["text"] == "accept"
    named = f"wecom/app_messages/{task}"
    assert told["in_reply_to"]["id"] == task
    assert scalar(hub, "SELECT count(*) FROM record WHERE ref = :ref", ref=named) == 1


def test_a_stream_that_rests_after_a_failure_is_not_woken_and_keeps_the_word(
    open_with: Callable[..., Hub], corp: Corp, clock: Callable[[timedelta], None]
) -> None:
    hub = open_with(CONNECTIONS)
    pull(hub, "wecom", "messages")
    page = corp._page

    def busy(asked: Any) -> dict[str, Any]:
        page(asked)
        return {"errcode": 45009, "errmsg": "api freq out of limit"}

    corp.mock.remove("POST", f"{WECOM}/kf/sync_msg")
    corp._on("POST", "/kf/sync_msg", busy)
    with pytest.raises(RetryableError):
        pull(hub, "wecom", "messages")
    call(hub, Event="kf_msg_or_event", Token="ENCword", OpenKfId=ACCOUNT)
    drain(hub)
    assert ("wecom", "messages") not in due.pulls(hub)
    corp.mock.remove("POST", f"{WECOM}/kf/sync_msg")
    corp._on("POST", "/kf/sync_msg", page)
    clock(timedelta(minutes=1))
    pull(hub, "wecom", "messages")
    assert corp.words[-1] == "ENCword"


def test_a_word_that_cannot_be_kept_stops_nobody(open_with: Callable[..., Hub], corp: Corp) -> None:
    hub = open_with(CONNECTIONS)
    call(hub, Event="kf_msg_or_event", Token="x" * 2000, OpenKfId=ACCOUNT)
    call(hub, Event="kf_msg_or_event", Token="ENCword", OpenKfId=ACCOUNT)
    drain(hub)
    assert scalar(hub, "SELECT count(*) FROM inbox WHERE state = 'done'") == 1
    assert scalar(hub, "SELECT count(*) FROM inbox WHERE state = 'quarantined'") == 1


def test_news_that_comes_during_a_pull_makes_it_run_again(
    open_with: Callable[..., Hub], corp: Corp
) -> None:
    hub = open_with(CONNECTIONS)
    pull(hub, "wecom", "messages")
    page = corp._page

    def heard_meanwhile(asked: Any) -> dict[str, Any]:
        told = page(asked)
        if len(corp.words) == 2:
            corp.write("还在吗")
            call(hub, Event="kf_msg_or_event", Token="ENCsecond", OpenKfId=ACCOUNT)
            drain(hub)
        return told

    corp.mock.remove("POST", f"{WECOM}/kf/sync_msg")
    corp._on("POST", "/kf/sync_msg", heard_meanwhile)
    pull(hub, "wecom", "messages")
    assert ("wecom", "messages") in due.pulls(hub)
    pull(hub, "wecom", "messages")
    assert corp.words == [None, None, "ENCsecond"]
    assert scalar(hub, "SELECT count(*) FROM record WHERE kind = 'Message'") == 1


def test_an_answer_takes_nothing_from_what_is_known_of_the_customer(
    open_with: Callable[..., Hub], corp: Corp
) -> None:
    hub = open_with(CONNECTIONS, [ANSWER])
    pull(hub, "wecom", "messages")
    corp.mock.remove("POST", f"{WECOM}/kf/customer/batchget")
    known = {"external_userid": CUSTOMER, "nickname": "阿明", "unionid": UNION}
    corp._on("POST", "/kf/customer/batchget", lambda _: {"customer_list": [known]})
    corp.write("空调不制冷")
    pull(hub, "wecom", "messages")
    drain(hub)
    assert len(corp.sent) == 1
    found = customer(hub, "unionid", UNION)
    assert found.name is not None
    assert found.name.value == "阿明"
    assert [fact.kind for fact in found.timeline] == ["Message", "Message"]


def test_a_message_taken_back_does_not_take_its_writer_along(
    open_with: Callable[..., Hub], corp: Corp
) -> None:
    hub = open_with(CONNECTIONS)
    corp.write("空调不制冷")
    corp.write("打错了")
    pull(hub, "wecom", "messages")
    event = {"event_type": "user_recall_msg", "recall_msgid": "m2"}
    corp.said.append({"msgid": "m3", "msgtype": "event", "origin": 4, "event": event})
    pull(hub, "wecom", "messages")
    found = customer(hub, "external_userid", CUSTOMER)
    assert [fact.kind for fact in found.timeline] == ["Message"]
