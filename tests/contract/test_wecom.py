"""What fixtures cannot say of 企业微信 and 公众号: what is sent once, tokens, tickets, a peer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses
from wechatpy import WeChatClient as WechatPeer
from wechatpy.enterprise import WeChatClient as WecomPeer

from adapters.wechat_oa.adapter import WechatAccountConfig, WechatAdapter
from adapters.wecom.adapter import WecomAdapter
from adapters.wecom.config import WecomAppConfig
from adapters.wecom.panel import WecomPanel
from adapters.wecom.signing import jsapi_signature
from hub.errors import (
    AuthError,
    ConfigError,
    CursorExpiredError,
    RejectedError,
    RetryableError,
    UnknownOutcomeError,
)
from hub.sdk import Asked, Change
from hub.sdk.auth import MemoryTokens, Tokens

WECOM, WECHAT = "https://qyapi.weixin.qq.com/cgi-bin", "https://api.weixin.qq.com/cgi-bin"
CORP, APP = "ww1234567890abcdef", "wx0123456789abcdef"
CUSTOMER, ACCOUNT = "wmEXAMPLE000000000000000000001", "wkEXAMPLE00000000000000000001"
OK = {"errcode": 0, "errmsg": "ok"}


@pytest.fixture
def net() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def wecom() -> WecomAdapter:
    config = {"receive_ids": [CORP], "secret": "s", "agent_id": 1000002, "open_kfids": [ACCOUNT]}
    adapter = WecomAdapter(WecomAppConfig.model_validate(config))
    adapter.tokens = MemoryTokens(Tokens.lasting("held", 7200))
    return adapter


@pytest.fixture
def wechat() -> WechatAdapter:
    adapter = WechatAdapter(WechatAccountConfig.model_validate({"app_id": APP, "app_secret": "s"}))
    adapter.tokens = MemoryTokens(Tokens.lasting("held", 7200))
    return adapter


def asked(mock: responses.RequestsMock, path: str) -> list[Any]:
    """The bodies of what was asked of a path."""
    requests = [call.request for call in mock.calls]
    return [
        json.loads(r.body or "{}") for r in requests if urlsplit(str(r.url)).path.endswith(path)
    ]


def shown(mock: responses.RequestsMock) -> list[str]:
    """The token each request showed."""
    queries = [parse_qs(urlsplit(str(call.request.url)).query) for call in mock.calls]
    return [query.get("access_token", [""])[0] for query in queries]


def old(adapter: WecomAdapter | WechatAdapter) -> None:
    """A token that holds by our clock, but not by the vendor's."""
    held = Tokens.lasting("held", 7200)
    since = held.since.replace(year=held.since.year - 1)
    adapter.tokens = MemoryTokens(Tokens("held", expires_at=held.expires_at, since=since))


@pytest.mark.parametrize("code", [40014, 42001])
def test_a_token_wecom_no_longer_takes_is_renewed_once(
    net: responses.RequestsMock, wecom: WecomAdapter, code: int
) -> None:
    old(wecom)
    net.get(f"{WECOM}/externalcontact/get_follow_user_list", json={"errcode": code, "errmsg": "x"})
    net.get(f"{WECOM}/gettoken", json={**OK, "access_token": "new", "expires_in": 7200})
    net.get(f"{WECOM}/externalcontact/get_follow_user_list", json={**OK, "follow_user": ["a"]})
    assert wecom.corp.followers() == ["a"]
    assert shown(net) == ["held", "", "new"]


def test_a_token_that_is_refused_right_away_is_not_asked_for_again(
    net: responses.RequestsMock, wecom: WecomAdapter
) -> None:
    net.get(f"{WECOM}/externalcontact/get_follow_user_list", json={"errcode": 60020, "errmsg": ""})
    with pytest.raises(AuthError) as caught:
        wecom.corp.followers()
    assert "企业可信IP" in caught.value.hint
    assert shown(net) == ["held"]


def test_a_message_to_a_customer_is_asked_for_once(
    net: responses.RequestsMock, wecom: WecomAdapter
) -> None:
    stream = next(s for s in wecom.streams if s.name == "messages")
    said = {"customer_id": CUSTOMER, "text": {"content": "您好"}}
    known = {"external_userid": CUSTOMER, "nickname": "李四"}
    net.post(f"{WECOM}/kf/customer/batchget", json={**OK, "customer_list": [known]})
    net.post(f"{WECOM}/kf/send_msg", json={**OK, "msgid": "m1"})
    receipt = wecom.push(stream, Change(None, said, key="k"))
    assert receipt.id == "m1"
    assert receipt.raw is not None
    assert (receipt.raw["origin"], receipt.raw["external_userid"]) == (5, CUSTOMER)
    assert receipt.raw["customer"] == known
    (sent,) = asked(net, "/kf/send_msg")
    assert (sent["touser"], sent["open_kfid"], len(sent["msgid"])) == (CUSTOMER, ACCOUNT, 32)
    net.post(f"{WECOM}/kf/send_msg", status=502)
    with pytest.raises(UnknownOutcomeError):
        wecom.push(stream, Change(None, said, key="k2"))


def test_a_message_to_members_may_be_asked_for_again(
    net: responses.RequestsMock, wecom: WecomAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    stream = next(s for s in wecom.streams if s.name == "app_messages")
    net.post(f"{WECOM}/message/send", status=502)
    with pytest.raises(RetryableError):
        wecom.push(stream, Change(None, {"touser": "a", "text": {"content": "x"}}, key="k"))
    sent = asked(net, "/message/send")
    assert len(sent) > 1
    assert all(one == sent[0] and one["enable_duplicate_check"] == 1 for one in sent)


def test_a_card_shows_what_became_of_it(net: responses.RequestsMock, wecom: WecomAdapter) -> None:
    stream = next(s for s in wecom.streams if s.name == "app_messages")
    net.post(f"{WECOM}/message/update_template_card", json=OK)
    values = {"response_code": "rc", "touser": "a|b", "button": {"replace_name": "已受理"}}
    wecom.push(stream, Change("task1", values, key="k"))
    assert asked(net, "/update_template_card") == [
        {
            "userids": ["a", "b"],
            "agentid": 1000002,
            "response_code": "rc",
            "button": {"replace_name": "已受理"},
        }
    ]


def test_the_word_of_an_event_is_said_in_the_pull_and_left_out_when_it_is_stale(
    net: responses.RequestsMock, wecom: WecomAdapter
) -> None:
    stream = next(s for s in wecom.streams if s.name == "messages")
    wecom.heard["messages"] = "ENCword"
    page = {**OK, "next_cursor": "c1", "has_more": 0, "msg_list": []}
    net.post(f"{WECOM}/kf/sync_msg", json={"errcode": 95007, "errmsg": "invalid token"})
    net.post(f"{WECOM}/kf/sync_msg", json=page)
    (first,) = wecom.pull(stream, json.dumps({ACCOUNT: "c0"}))
    assert json.loads(first.cursor) == {ACCOUNT: "c1"}
    said = [one.get("token") for one in asked(net, "/kf/sync_msg")]
    assert said == ["ENCword", None]


def test_a_customer_of_many_is_found_on_a_later_page(
    net: responses.RequestsMock, wecom: WecomAdapter
) -> None:
    told = {**OK, "external_contact": {"external_userid": CUSTOMER, "name": "李四"}}
    first = {**told, "follow_user": [{"userid": "a"}], "next_cursor": "n"}
    net.get(f"{WECOM}/externalcontact/get", json=first)
    net.get(f"{WECOM}/externalcontact/get", json={**told, "follow_user": [{"userid": "b"}]})
    row = wecom.corp.relation(f"b/{CUSTOMER}")
    assert row is not None
    assert row["id"] == f"b/{CUSTOMER}"


def test_a_page_of_customers_that_never_ends_is_left(
    net: responses.RequestsMock, wecom: WecomAdapter
) -> None:
    told = {**OK, "external_contact": {"external_userid": CUSTOMER}, "next_cursor": "n"}
    net.get(f"{WECOM}/externalcontact/get", json={**told, "follow_user": [{"userid": "a"}]})
    assert wecom.corp.relation(f"b/{CUSTOMER}") is None
    assert len(net.calls) == 2


def test_each_page_gets_the_ticket_of_its_kind_and_keeps_it(
    net: responses.RequestsMock, wecom: WecomAdapter
) -> None:
    net.get(f"{WECOM}/get_jsapi_ticket", json={**OK, "ticket": "corp", "expires_in": 7200})
    net.get(f"{WECOM}/ticket/get", json={**OK, "ticket": "app", "expires_in": 7200})
    for _ in range(2):
        assert wecom.tickets.get("config") == "corp"
        assert wecom.tickets.get("agent_config") == "app"
    assert len(net.calls) == 2
    assert parse_qs(urlsplit(str(net.calls[1].request.url)).query)["type"] == ["agent_config"]
    net.get(f"{WECOM}/auth/getuserinfo", json={**OK, "userid": "zhangsan"})
    assert wecom.tickets.asker("code") == "zhangsan"


def test_a_page_is_signed_as_wechatpy_signs_it() -> None:
    peer = WecomPeer(CORP, "s")
    url = "https://hub.example.com/card?x=1#top"
    ours = jsapi_signature("ticket", "nonce", "1700000000", url)
    assert ours == peer.jsapi.get_jsapi_signature(
        "nonce", "ticket", "1700000000", url.split("#")[0]
    )


def test_the_sidebar_is_told_both_signatures_of_its_own_address(
    net: responses.RequestsMock, wecom: WecomAdapter
) -> None:
    net.get(f"{WECOM}/get_jsapi_ticket", json={**OK, "ticket": "corp", "expires_in": 7200})
    net.get(f"{WECOM}/ticket/get", json={**OK, "ticket": "app", "expires_in": 7200})
    panel, url = WecomPanel(lambda: wecom), "https://hub.example.com/desks/wecom?lang=en"
    first, told = panel.told(url), panel.told(url)
    assert len(net.calls) == 2  # the tickets are kept
    assert first["nonce"] != told["nonce"]
    assert (told["corp"], told["agent"]) == (CORP, 1000002)
    for kind, ticket in (("config", "corp"), ("agent_config", "app")):
        signed = jsapi_signature(ticket, told["nonce"], str(told["timestamp"]), url)
        assert told[kind] == signed


def test_wecom_is_asked_who_looks_and_a_member_sees_whom_they_know(wecom: WecomAdapter) -> None:
    panel = WecomPanel(lambda: wecom)
    url = urlsplit(panel.sign_in_url("https://hub.example.com/desks/wecom/member", "s"))
    assert url.hostname == "open.weixin.qq.com"
    assert url.fragment == "wechat_redirect"
    assert parse_qs(url.query) == {
        "appid": [CORP],
        "redirect_uri": ["https://hub.example.com/desks/wecom/member"],
        "response_type": ["code"],
        "scope": ["snsapi_base"],
        "state": ["s"],
        "agentid": ["1000002"],
    }
    mine = panel.narrowed(Asked(identifier=f"external_userid:{CUSTOMER}", phone="1"), "zhangsan")
    assert mine == Asked(record=f"contacts/zhangsan/{CUSTOMER}")
    for other in ("", "phone:139", "external_userid:", f"external_userid:b/{CUSTOMER}"):
        narrowed = panel.narrowed(Asked(identifier=other, record=f"contacts/b/{CUSTOMER}"), "a")
        assert narrowed == Asked()
    nobody = wecom.config.model_copy(update={"agent_id": None})
    with pytest.raises(ConfigError):
        WecomPanel(lambda: WecomAdapter(nobody)).sign_in_url("https://hub.example.com", "s")


def test_wecom_is_asked_as_wechatpy_asks(net: responses.RequestsMock, wecom: WecomAdapter) -> None:
    wecom.tokens = MemoryTokens()
    for _ in range(2):
        net.get(f"{WECOM}/gettoken", json={**OK, "access_token": "t", "expires_in": 7200})
        net.post(f"{WECOM}/message/send", json={**OK, "msgid": "m"})
    stream = next(s for s in wecom.streams if s.name == "app_messages")
    wecom.push(stream, Change(None, {"touser": "a|b", "text": {"content": "工单"}}, key="k"))
    WecomPeer(CORP, "s").message.send_text(1000002, ["a", "b"], "工单")
    ours, theirs = asked(net, "/message/send")
    assert shown(net)[1] == shown(net)[3] == "t"
    tokens = [str(call.request.url) for call in net.calls if "gettoken" in str(call.request.url)]
    assert [parse_qs(urlsplit(url).query) for url in tokens] == [
        {"corpid": [CORP], "corpsecret": ["s"]}
    ] * 2
    for name in ("touser", "msgtype", "text"):
        assert ours[name] == theirs[name]
    assert int(theirs["agentid"]) == ours["agentid"]


def test_a_message_to_a_follower_is_as_wechatpy_sends_it_and_asked_for_once(
    net: responses.RequestsMock, wechat: WechatAdapter
) -> None:
    stream = next(s for s in wechat.streams if s.name == "messages")
    net.post(f"{WECHAT}/message/custom/send", json=OK)
    receipt = wechat.push(
        stream, Change(None, {"touser": "oA", "text": {"content": "您好"}}, key="k")
    )
    assert receipt.raw is not None
    assert (receipt.raw["MsgId"], receipt.raw["to_openid"]) == (receipt.id, "oA")
    peer = WechatPeer(APP, "s", access_token="held")
    peer.expires_at = 2**40
    peer.message.send_text("oA", "您好")
    ours, theirs = asked(net, "/custom/send")
    assert ours == theirs
    net.post(f"{WECHAT}/message/custom/send", status=502)
    with pytest.raises(UnknownOutcomeError):
        wechat.push(stream, Change(None, {"touser": "oA", "text": {"content": "您好"}}, key="k"))


def test_a_template_message_is_as_wechatpy_sends_it(
    net: responses.RequestsMock, wechat: WechatAdapter
) -> None:
    stream = next(s for s in wechat.streams if s.name == "notices")
    net.post(f"{WECHAT}/message/template/send", json={**OK, "msgid": 200228332})
    values = {"customer_id": "oA", "template_id": "tpl", "url": "https://example.com"}
    receipt = wechat.push(stream, Change(None, {**values, "data": {"thing1": "维修"}}, key="k"))
    assert receipt.id == "200228332"
    peer = WechatPeer(APP, "s", access_token="held")
    peer.expires_at = 2**40
    peer.message.send_template("oA", "tpl", {"thing1": {"value": "维修"}}, "https://example.com")
    ours, theirs = asked(net, "/template/send")
    assert len(ours.pop("client_msg_id")) == 32
    assert {k: theirs[k] for k in ours} == ours


def test_a_token_wechat_no_longer_takes_is_renewed_once(
    net: responses.RequestsMock, wechat: WechatAdapter
) -> None:
    old(wechat)
    net.get(f"{WECHAT}/user/get", json={"errcode": 40001, "errmsg": "not latest"})
    net.post(f"{WECHAT}/stable_token", json={"access_token": "new", "expires_in": 7200})
    net.get(f"{WECHAT}/user/get", json={"total": 0, "count": 0, "next_openid": ""})
    wechat.check()
    assert shown(net) == ["held", "", "new"]


def test_a_list_that_begins_with_its_own_cursor_comes_to_an_end(
    net: responses.RequestsMock, wechat: WechatAdapter
) -> None:
    stream = next(s for s in wechat.streams if s.name == "users")
    net.get(
        f"{WECHAT}/user/get", json={"count": 1, "data": {"openid": ["oA"]}, "next_openid": "oA"}
    )
    (first, last) = wechat.survey(stream, None)
    assert [one.id for one in first.sightings] == ["oA"]
    assert last.cursor is None


def test_a_follower_wechat_does_not_know_is_gone(
    net: responses.RequestsMock, wechat: WechatAdapter
) -> None:
    from hub.sdk import RecordRef

    net.get(f"{WECHAT}/user/info", json={"errcode": 40003, "errmsg": "invalid openid"})
    assert wechat.fetch(RecordRef("users", "oA")) is None
    net.get(f"{WECHAT}/user/info", json={"errcode": 48001, "errmsg": "api unauthorized"})
    with pytest.raises(RejectedError):
        wechat.fetch(RecordRef("users", "oA"))


def test_an_account_that_is_refused_does_not_stop_the_others(
    net: responses.RequestsMock, wecom: WecomAdapter
) -> None:
    def page(request: Any) -> tuple[int, dict[str, str], str]:
        gone = json.loads(request.body)["open_kfid"] == ACCOUNT
        told = {"errcode": 95000, "errmsg": "invalid open_kfid"}
        return 200, {}, json.dumps(told if gone else {**OK, "next_cursor": "c1", "msg_list": []})

    net.add_callback("POST", f"{WECOM}/kf/sync_msg", page)
    config = wecom.config.model_copy(update={"open_kfids": (ACCOUNT, "wkOTHER")})
    both = WecomAdapter(config)
    both.tokens = wecom.tokens
    pages = both.pull(WecomAdapter.streams[2], None)
    assert json.loads(next(pages).cursor) == {"wkOTHER": "c1"}
    with pytest.raises(RejectedError):
        next(pages)


def test_a_cursor_that_is_not_taken_any_more_begins_anew(
    net: responses.RequestsMock, wecom: WecomAdapter
) -> None:
    net.post(f"{WECOM}/kf/sync_msg", json={"errcode": 95012, "errmsg": "invalid cursor"})
    with pytest.raises(CursorExpiredError):
        list(wecom.pull(WecomAdapter.streams[2], json.dumps({ACCOUNT: "of-last-month"})))


def test_a_tag_whose_name_two_groups_have_stays(
    net: responses.RequestsMock, wecom: WecomAdapter
) -> None:
    follow = {"userid": "li", "tags": [{"tag_id": "et1", "tag_name": "A", "type": 1}]}
    known = {"external_userid": CUSTOMER}
    net.get(
        f"{WECOM}/externalcontact/get", json={"external_contact": known, "follow_user": [follow]}
    )
    groups = [{"tag": [{"id": "et1", "name": "A"}]}, {"tag": [{"id": "et2", "name": "A"}]}]
    net.post(f"{WECOM}/externalcontact/get_corp_tag_list", json={**OK, "tag_group": groups})
    change = Change(f"li/{CUSTOMER}", {"tags": ["A"]}, "k1")
    assert wecom.push(WecomAdapter.streams[0], change).id == change.id
