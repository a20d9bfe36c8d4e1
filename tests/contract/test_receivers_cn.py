"""What the Chinese vendors' receivers promise beside the vectors."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.dingtalk.webhook import EVENTS, ROBOT
from adapters.feishu import webhook as feishu
from adapters.fxiaoke.webhook import RECIPE as FXIAOKE
from adapters.jiandaoyun.webhook import RECIPE as JIANDAOYUN
from adapters.wechat_oa.webhook import PLAIN, SAFE
from adapters.wecom.webhook import RECIPES as WECOM
from adapters.yonyou.webhook import VARIANTS, aes_key
from hub import mapping, registry
from hub.sdk import ConfigError, Envelope, HookRequest, Reply, SignatureError, WebhookReceiver
from hub.sdk.sealing import seal
from hub.sdk.testing import NOW
from hub.sdk.vendor import Vendor

KEY, TOKEN = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "tokenEXAMPLE"
SECOND, MS = str(int(NOW.timestamp())), str(int(NOW.timestamp() * 1000))
APP_SECRET = "0123456789abcdef0123456789abcdef"


def receiver(vendor: str, **config: Any) -> WebhookReceiver[Any]:
    return Vendor(registry.manifest(vendor), mapping).receiver(config)


def post(body: Any = b"", query: Any = None, headers: Any = None) -> HookRequest:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HookRequest("POST", headers or {}, query or {}, content, NOW)


def from_wecom(text: bytes, *, receiver: str = "ww1234567890abcdef") -> HookRequest:
    body = f"<xml><Encrypt>{seal(KEY, text, receiver)}</Encrypt></xml>".encode()
    return WECOM["xml:Encrypt"].sign(post(body, {"timestamp": SECOND, "nonce": "n"}), TOKEN)


def from_wecom_bot(text: bytes) -> HookRequest:
    bare = post({"encrypt": seal(KEY, text, "")}, {"timestamp": SECOND, "nonce": "n"})
    return WECOM["json:encrypt"].sign(bare, TOKEN)


def from_wechat(text: bytes) -> HookRequest:
    body = f"<xml><Encrypt>{seal(KEY, text, 'wx0123456789abcdef')}</Encrypt></xml>".encode()
    return SAFE.sign(post(body, {"timestamp": SECOND, "nonce": "n"}), TOKEN)


def from_dingtalk(text: bytes) -> HookRequest:
    bare = post({"encrypt": seal(KEY, text, "dingappkeyEXAMPLE")}, {"timestamp": MS, "nonce": "n"})
    return EVENTS["signature"].sign(bare, TOKEN)


def from_robot(text: bytes) -> HookRequest:
    return ROBOT.sign(post(text, headers={"timestamp": MS}), "SECexample0123456789")


def from_feishu(text: bytes) -> HookRequest:
    headers = {"x-lark-request-timestamp": SECOND, "x-lark-request-nonce": "n"}
    body = {"encrypt": feishu.encrypt("ekeyEXAMPLE", text)}
    return feishu.EVENT.sign(post(body, headers=headers), "ekeyEXAMPLE")


def from_yonyou(text: bytes, variant: str = "hmac-sha256") -> HookRequest:
    sealed = seal(aes_key(APP_SECRET), text, "appKeyEXAMPLE")
    told = {"timestamp": int(MS), "nonce": "n", "encrypt": sealed}
    return VARIANTS[variant].sign(post(told), APP_SECRET)


def from_jiandaoyun(text: bytes) -> HookRequest:
    return JIANDAOYUN.sign(post(text, {"timestamp": SECOND, "nonce": "n"}), "test-secret")


def from_fxiaoke(text: bytes) -> HookRequest:
    told = {"timeStamp": int(MS), "nonce": "n", "content": seal(KEY, text, "FSAID_EXAMPLE")}
    return FXIAOKE.sign(post(told), TOKEN)


SENDERS: dict[str, tuple[str, Callable[[bytes], HookRequest]]] = {
    "wecom": ("wecom", from_wecom),
    "wecom bot": ("wecom", from_wecom_bot),
    "wechat_oa": ("wechat_oa", from_wechat),
    "dingtalk": ("dingtalk", from_dingtalk),
    "dingtalk robot": ("dingtalk", from_robot),
    "feishu": ("feishu", from_feishu),
    "yonyou": ("yonyou", from_yonyou),
    "jiandaoyun": ("jiandaoyun", from_jiandaoyun),
    "fxiaoke": ("fxiaoke", from_fxiaoke),
}

events = st.dictionaries(
    st.sampled_from(
        ["type", "event", "header", "data", "eventId", "EventType", "msgId", "msgid", "op", "uuid"]
    ),
    st.one_of(
        st.none(),
        st.integers(),
        st.text(),
        st.just([1]),
        st.dictionaries(st.sampled_from(["_id", "entryId", "message", "object"]), st.integers()),
    ),
).map(lambda event: json.dumps(event).encode())


odd = st.sampled_from(
    [b"[]", b"null", b"<xml", b'{"a":' * 20_000, b"[" * 20_000, b"<a>" * 20_000, b"1" * 5_000]
)


@pytest.mark.parametrize("sender", SENDERS)
@settings(max_examples=60, deadline=None)
@given(text=st.binary() | events | odd | st.text().map(lambda t: f"<xml><A>{t}</A></xml>".encode()))
def test_what_is_proven_is_never_lost(sender: str, text: bytes) -> None:
    """Unreadable or not: one item, with the bytes; and its words are text."""
    vendor, sign = SENDERS[sender]
    opened = receiver(vendor).open(sign(text))
    assert isinstance(opened, Envelope)
    (item,) = opened.items
    assert item.body == text
    for name in (item.type, item.event_id or "", item.order_key or ""):
        assert isinstance(name, str)


@pytest.mark.parametrize("sender", SENDERS)
def test_nothing_configured_is_refused(sender: str) -> None:
    vendor, sign = SENDERS[sender]
    fields = registry.manifest(vendor).config_class().model_fields.items()
    secret = {name: str(f.annotation) for name, f in fields if "SecretStr" in str(f.annotation)}
    empty = {name: [""] if "tuple" in told else "" for name, told in secret.items()}
    with pytest.raises(SignatureError):
        receiver(vendor, **empty).open(sign(b"{}"))


# 企业微信


def test_wecom_answers_what_each_sender_wants() -> None:
    config = {"receive_ids": ["ww1234567890abcdef", "wwsuite"]}
    suite = b"<xml><InfoType>suite_ticket</InfoType></xml>"
    for told, wanted in (
        (from_wecom(suite, receiver="wwsuite"), b"success"),
        (from_wecom(b"<xml><MsgType>text</MsgType></xml>"), b""),
    ):
        opened = receiver("wecom", **config).open(told)
        assert isinstance(opened, Envelope)
        assert opened.reply is not None
        assert (opened.reply.status, opened.reply.body) == (200, wanted)


def test_wecom_is_not_asked_to_unseal_somebodys_event() -> None:
    """An event's seal and signature would do for an echostr, too."""
    event = from_wecom(b"<xml><Content>secret</Content></xml>")
    sealed = event.body.decode().removeprefix("<xml><Encrypt>").removesuffix("</Encrypt></xml>")
    asked = replace(event, method="GET", body=b"", query={**event.query, "echostr": sealed})
    with pytest.raises(SignatureError):
        receiver("wecom").open(asked)


def test_wecom_takes_no_app_event_without_an_id() -> None:
    with pytest.raises(SignatureError):
        receiver("wecom").open(from_wecom(b"<xml/>", receiver=""))


# 公众号


def test_wechat_with_a_key_takes_nothing_in_clear() -> None:
    query = {"timestamp": SECOND, "nonce": "n"}
    plain = PLAIN.sign(post(b"<xml><MsgType>text</MsgType></xml>", query), TOKEN)
    assert isinstance(receiver("wechat_oa", encoding_aes_keys=[]).open(plain), Envelope)
    with pytest.raises(SignatureError):
        receiver("wechat_oa").open(plain)


# 飞书

V1 = {"uuid": "u1", "token": "vtokenEXAMPLE", "ts": "1795262400.1", "type": "event_callback",
      "event": {"type": "approval_instance", "instance_code": "I1"}}  # fmt: skip
V2 = {"schema": "2.0", "header": {"event_id": "e1", "event_type": "t", "token": "vtokenEXAMPLE"}}


@pytest.mark.parametrize(("event", "event_id"), [(V1, "u1"), (V2, "e1")])
def test_feishu_believes_the_token_only_without_a_key(event: Any, event_id: str) -> None:
    told = post(event)
    opened = receiver("feishu", encrypt_keys=[]).open(told)
    assert isinstance(opened, Envelope)
    assert [item.event_id for item in opened.items] == [event_id]
    for config in ({}, {"encrypt_keys": [], "verification_tokens": []}):
        with pytest.raises(SignatureError):
            receiver("feishu", **config).open(told)
    other = json.loads(json.dumps(event).replace("vtokenEXAMPLE", "vtokenEXAMPLF"))
    with pytest.raises(SignatureError):
        receiver("feishu", encrypt_keys=[]).open(post(other))


def test_feishu_takes_no_encrypted_event_without_a_signature() -> None:
    with pytest.raises(SignatureError):
        receiver("feishu").open(replace(from_feishu(json.dumps(V2).encode()), headers={}))


@pytest.mark.parametrize("token", ["vtokenEXAMPLE", "other", None, 1, {}])
def test_feishu_asks_in_clear(token: Any) -> None:
    asked = post({"type": "url_verification", "challenge": "c", "token": token})
    if token == "vtokenEXAMPLE":
        answer = receiver("feishu").open(asked)
        assert isinstance(answer, Reply)
        assert answer.body == b'{"challenge":"c"}'
    else:
        with pytest.raises(SignatureError):
            receiver("feishu").open(asked)


def test_feishu_names_a_message_by_its_own_id() -> None:
    event = {**V2, "header": {**V2["header"], "event_type": "im.message.receive_v1"}}  # type: ignore[dict-item]
    message = {"message_id": "om_1", "chat_id": "oc_1"}
    opened = receiver("feishu").open(
        from_feishu(json.dumps({**event, "event": {"message": message}}).encode())
    )
    assert isinstance(opened, Envelope)
    assert [(item.event_id, item.order_key) for item in opened.items] == [("om_1", "oc_1")]


# 用友


@pytest.mark.parametrize("variant", VARIANTS)
def test_yonyou_takes_only_the_signature_it_learned(variant: str) -> None:
    event = b'{"type":"SALE_SAVEORDER_NOTIFY_SENT","eventId":"e1"}'
    opened = receiver("yonyou").open(from_yonyou(event, variant))
    assert isinstance(opened, Envelope)
    assert opened.learned == {"signature": variant}
    taught = receiver("yonyou")
    taught.learned = opened.learned
    for other in VARIANTS:
        if other == variant:
            again = taught.open(from_yonyou(event, other))
            assert isinstance(again, Envelope)
            assert again.learned == opened.learned
        else:
            with pytest.raises(SignatureError):
                taught.open(from_yonyou(event, other))
    sample = taught.open(taught.sample(NOW))
    assert isinstance(sample, Envelope)


# 简道云


def test_jiandaoyun_keeps_a_form_nobody_named() -> None:
    body = b'{"op":"data_update","data":{"_id":"1","entryId":"other"}}'
    opened = receiver("jiandaoyun").open(from_jiandaoyun(body))
    assert isinstance(opened, Envelope)
    with pytest.raises(ConfigError, match="other"):
        list(receiver("jiandaoyun").parse(opened.items[0].body))


# Samples


@pytest.mark.parametrize(
    ("vendor", "config"),
    [
        ("wechat_oa", {"encoding_aes_keys": []}),
        ("dingtalk", {"tokens": [], "aes_keys": []}),
        ("feishu", {"encrypt_keys": []}),
    ],
)
def test_a_sample_fits_how_the_connection_is_configured(vendor: str, config: Any) -> None:
    opened = receiver(vendor, **config).open(receiver(vendor, **config).sample(NOW))
    assert isinstance(opened, Envelope)


def test_keys_are_what_their_vendors_say() -> None:
    assert aes_key("a-b") == "ab" + "0" * 41
    assert len(base64.b64decode(aes_key("x" * 60) + "=")) == 32
