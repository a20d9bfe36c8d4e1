"""The Chinese vendors' signature vectors: each is let in, and no flipped bit of it is.

Where the signature covers a sealed text, a flip around that text may go unseen: then what is read
must be the same to the letter.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from adapters.dingtalk.signing import robot_sign
from adapters.dingtalk.webhook import EVENTS
from adapters.feishu.signing import bot_sign
from adapters.feishu.webhook import decrypt
from adapters.kingdee.signing import login_sign, signed_headers
from adapters.mingdao.signing import org_sign
from adapters.wechat_oa import signing as wechat
from adapters.wecom import signing as wecom
from adapters.yonyou.signing import token_signature
from adapters.yonyou.webhook import VARIANTS, aes_key
from hub import mapping, registry
from hub.sdk import ConfigError, Envelope, HookRequest, Reply, SignatureError, WebhookReceiver
from hub.sdk.clouds import acs3_authorization, rpc_signature, tc3_authorization
from hub.sdk.sealing import seal, unseal
from hub.sdk.vendor import Vendor

DATA = Path(__file__).parents[1] / "data" / "vectors"
BITS = range(8)

Json = Any


def vectors(vendor: str, scheme: str) -> list[Json]:
    found: list[Json] = json.loads((DATA / f"{vendor}.json").read_text("utf-8"))[scheme]
    return found


@dataclass(frozen=True)
class Case:
    """A request that must be let in.

    Attributes:
        text: what it says once opened, or how a handshake is answered.
        sealed: the part of the body the signature covers; empty = all of it.
        open_to: fields of the request the vendor leaves unsigned.
    """

    name: str
    vendor: str
    config: Mapping[str, Any]
    request: HookRequest
    text: str
    sealed: str = ""
    open_to: frozenset[str] = frozenset()

    def receiver(self, **other: Any) -> WebhookReceiver[Any]:
        return Vendor(registry.manifest(self.vendor), mapping).receiver({**self.config, **other})


def request(
    second: float,
    body: str = "",
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> HookRequest:
    told = {name.lower(): value for name, value in (headers or {}).items()}
    at = datetime.fromtimestamp(second, UTC)
    return HookRequest("POST" if body else "GET", told, query or {}, body.encode(), at)


def sealed_cases() -> Iterator[Case]:
    """企业微信 and 公众号: XML round a sealed text, and the question for the address."""
    found = [("wecom", "callback_decrypt"), ("wecom", "callback_encrypt_decrypt")]
    for vendor, scheme in [*found, ("wechat_oa", "callback_encrypt_decrypt")]:
        for number, v in enumerate(vectors(vendor, scheme)):
            sealed = v.get("encrypt") or v["expected_encrypt"]
            query = {"msg_signature": v["expected_msg_signature"]}
            query |= {"timestamp": v["timestamp"], "nonce": v["nonce"]}
            config = {"tokens": [v["token"]], "encoding_aes_keys": [v["encoding_aes_key"]]}
            own = v["receive_id"]
            config |= {"receive_ids": [own]} if vendor == "wecom" else {"app_id": own}
            text = v.get("plaintext") or v["expected_plaintext"]
            if text.isdecimal():
                asked = request(int(v["timestamp"]), "", {**query, "echostr": sealed})
                yield Case(f"{vendor}-echo", vendor, config, asked, text)
            body = f"<xml><ToUserName>{own}</ToUserName><Encrypt>{sealed}</Encrypt></xml>"
            for style, around in (("xml", body), ("json", json.dumps({"encrypt": sealed}))):
                if style == "xml" or vendor == "wecom":
                    sent = request(int(v["timestamp"]), around, query)
                    name = f"{scheme}-{number}-{style}"
                    yield Case(f"{vendor}-{name}", vendor, config, sent, text, sealed)


def dingtalk_cases() -> Iterator[Case]:
    for number, v in enumerate(vectors("dingtalk", "event_callback_crypto")):
        told = v.get("expected", v)
        signature = told.get("msg_signature") or told["expected_msg_signature"]
        config = {
            "owner_keys": [v["owner_key"]],
            "tokens": [v["token"]],
            "aes_keys": [v["encoding_aes_key"]],
        }
        text = v.get("plaintext") or v["expected_plaintext"]
        body = json.dumps({"encrypt": told["encrypt"]})
        for name in ("signature", "msg_signature"):
            query = {name: signature, "timestamp": v["timestamp"], "nonce": v["nonce"]}
            sent = request(int(v["timestamp"]) / 1000, body, query)
            yield Case(f"dingtalk-{number}-{name}", "dingtalk", config, sent, text, told["encrypt"])
    for v in vectors("dingtalk", "robot_inbound_header_sign"):
        headers = {"timestamp": v["timestamp_ms"], "sign": v["expected_sign"]}
        sent = request(int(v["timestamp_ms"]) / 1000, '{"msgtype":"text"}', {}, headers)
        config = {"app_secrets": [v["app_secret"]]}
        text = '{"msgtype":"text"}'
        yield Case("dingtalk-robot", "dingtalk", config, sent, text, open_to=frozenset({"body"}))


def feishu_cases() -> Iterator[Case]:
    for v in vectors("feishu", "event_v2_signed_encrypted"):
        config = {"encrypt_keys": [v["encrypt_key"]], "verification_tokens": []}
        second = int(v["headers"]["X-Lark-Request-Timestamp"])
        sent = request(second, v["raw_body"], {}, v["headers"])
        yield Case("feishu-event", "feishu", config, sent, v["expected_plaintext"])
    for v in vectors("feishu", "legacy_card_signature_sha1"):
        headers = {
            "x-lark-request-timestamp": v["timestamp"],
            "x-lark-request-nonce": v["nonce"],
            "x-lark-signature": v["expected_signature"],
        }
        config = {"encrypt_keys": [], "verification_tokens": [v["verification_token"]]}
        sent = request(int(v["timestamp"]), v["raw_body"], {}, headers)
        yield Case("feishu-card", "feishu", config, sent, v["raw_body"])


def other_cases() -> Iterator[Case]:
    for v in vectors("jiandaoyun", "webhook_signature"):
        query = {"nonce": v["nonce"], "timestamp": v["timestamp"]}
        headers = {"x-jdy-signature": v["expected_x_jdy_signature"]}
        sent = request(int(v["timestamp"]), v["raw_body"], query, headers)
        config = {"webhook_secrets": [v["secret"]]}
        yield Case("jiandaoyun", "jiandaoyun", config, sent, v["raw_body"])
    for v in vectors("fxiaoke", "legacy_callback_crypto"):
        told = {"nonce": v["nonce"], "timeStamp": int(v["timeStamp"]), "content": v["content"]}
        sent = request(int(v["timeStamp"]) / 1000, json.dumps({**told, "sig": v["expected_sig"]}))
        config = {"tokens": [v["token"]], "encoding_aes_keys": [v["encoding_aes_key"]]}
        yield Case("fxiaoke", "fxiaoke", config, sent, v["expected_plaintext"])
    for v in vectors("yonyou", "event_push"):
        sealed, secret = v["expected_encrypt"], v["app_secret"]
        config = {"app_key": v["app_key"], "app_secrets": [secret]}
        parts = sorted([secret, v["timestamp"], v["nonce"], sealed])
        plain = "".join(parts).encode()
        signatures = {
            "hmac-sha256": v["expected_signature_variant_c"],
            "sha256": hashlib.sha256(plain).hexdigest(),
            "sha1": hashlib.sha1(plain).hexdigest(),  # noqa: S324 - as one description has it
        }
        for variant, signature in signatures.items():
            told = {"signature": signature, "timestamp": int(v["timestamp"]), "nonce": v["nonce"]}
            body = json.dumps({**told, "encrypt": sealed})
            sent = request(int(v["timestamp"]) / 1000, body)
            yield Case(f"yonyou-{variant}", "yonyou", config, sent, v["plaintext"])


CASES = {
    case.name: case
    for cases in (sealed_cases, dingtalk_cases, feishu_cases, other_cases)
    for case in cases()
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def said(opened: Envelope | Reply) -> tuple[str, ...]:
    """What was understood; a sealed answer differs each time, what it answers does not."""
    if isinstance(opened, Envelope):
        return tuple(f"{i.event_id} {i.order_key} {i.type} {i.body.decode()}" for i in opened.items)
    return ("handshake", str(opened.status))


def test_a_vector_is_let_in(case: Case) -> None:
    opened = case.receiver().open(case.request)
    if isinstance(opened, Envelope):
        assert [item.body.decode() for item in opened.items] == [case.text]
    elif case.name.endswith("-echo"):
        assert (opened.status, opened.body.decode()) == (200, case.text)
    else:
        assert "check_url" in case.text.lower()


def test_a_flipped_bit_of_the_body_is_not(case: Case) -> None:
    receiver, genuine = case.receiver(), case.request
    understood = said(receiver.open(genuine))
    if "body" in case.open_to:
        return
    begin = genuine.body.find(case.sealed.encode())
    end = begin + len(case.sealed) if case.sealed else len(genuine.body)
    for at in range(len(genuine.body)):
        for bit in BITS:
            forged = replace(genuine, body=flipped(genuine.body, at, bit))
            seen = outcome(receiver, forged)
            if case.sealed and not begin <= at < end:
                assert seen in (None, understood)
            else:
                assert seen is None, f"byte {at} bit {bit}"


def test_a_flipped_bit_of_what_stands_beside_the_body_is_not(case: Case) -> None:
    receiver, genuine = case.receiver(), case.request
    for name, value in genuine.query.items():
        for other in others(value):
            assert outcome(receiver, replace(genuine, query={**genuine.query, name: other})) is None
    for name, value in genuine.headers.items():
        for other in others(value):
            headers = {**genuine.headers, name: other}
            assert outcome(receiver, replace(genuine, headers=headers)) is None


def test_another_secret_or_receiver_is_not(case: Case) -> None:
    for name, value in case.config.items():
        if not value:
            continue
        told = value if isinstance(value, str) else value[0]
        for other in others(told):
            if "aes_key" in name and same_key(other, told):
                continue
            given = other if isinstance(value, str) else [other]
            assert outcome(case.receiver(**{name: given}), case.request) is None, (name, other)


def test_another_time_is_not(case: Case) -> None:
    receiver, at = case.receiver(), case.request.received_at
    for seconds in (-299, 299):
        near = replace(case.request, received_at=at + timedelta(seconds=seconds))
        assert outcome(receiver, near) is not None
    for seconds in (-301, 301, -86400, 86400):
        far = replace(case.request, received_at=at + timedelta(seconds=seconds))
        assert outcome(receiver, far) is None


def test_two_secrets_while_one_is_changed(case: Case) -> None:
    for name, value in case.config.items():
        if isinstance(value, list) and value:
            other = value[0][:-2] + ("B" if value[0][-2] != "B" else "C") + value[0][-1]
            for several in ([other, value[0]], [value[0], other]):
                assert outcome(case.receiver(**{name: several}), case.request) is not None


def outcome(receiver: WebhookReceiver[Any], request: HookRequest) -> tuple[str, ...] | None:
    try:
        return said(receiver.open(request))
    except SignatureError:
        return None


def flipped(data: bytes, at: int, bit: int) -> bytes:
    return data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]


def others(text: str) -> Iterator[str]:
    data = text.encode()
    for at in range(len(data)):
        for bit in BITS:
            yield flipped(data, at, bit).decode("latin-1")


def same_key(one: str, other: str) -> bool:
    """43 letters of base64 hold two bits more than the key."""
    return one[:-1] == other[:-1] and base64_bits(one) == base64_bits(other)


def base64_bits(key: str) -> bytes | None:
    try:
        return base64.b64decode(key + "=", validate=True)
    except ValueError:
        return None


# 飞书 asks for the address without a signature: the token inside is what proves it.


@pytest.mark.parametrize("vector", vectors("feishu", "url_verification"))
def test_feishu_asks_for_the_address(vector: Json) -> None:
    config = {
        "encrypt_keys": [vector["encrypt_key"]],
        "verification_tokens": [vector["verification_token"]],
    }
    asks = Case("", "feishu", config, request(0, vector["raw_body"]), "")
    answer = asks.receiver().open(asks.request)
    assert isinstance(answer, Reply)
    told = (vector["expected_status"], vector["expected_response"])
    assert (answer.status, answer.body.decode()) == told
    test_another_secret_or_receiver_is_not(asks)
    for at in range(len(asks.request.body)):  # the cipher lets the first letters be changed unseen
        forged = replace(asks.request, body=flipped(asks.request.body, at, 0))
        assert outcome(asks.receiver(), forged) in (None, ("handshake", "200"))


@pytest.mark.parametrize("vector", vectors("feishu", "event_decrypt"))
def test_feishu_decrypts(vector: Json) -> None:
    text = decrypt(vector["encrypt_key"], vector["encrypt"])
    assert text.decode() == vector["expected_plaintext"]
    with pytest.raises(SignatureError):
        decrypt(vector["encrypt_key"] + "x", vector["encrypt"])


@pytest.mark.parametrize("vector", vectors("wechat_oa", "server_verify_signature"))
def test_wechat_asks_for_the_address(vector: Json) -> None:
    query = {
        "signature": vector["expected_signature"],
        "timestamp": vector["timestamp"],
        "nonce": vector["nonce"],
    }
    config = {"tokens": [vector["token"]], "app_id": "wx1"}
    asked = request(int(vector["timestamp"]), "", {**query, "echostr": "58373"})
    asks = Case("echo", "wechat_oa", config, asked, "58373")
    answer = asks.receiver().open(asked)
    assert isinstance(answer, Reply)
    assert answer.body == b"58373"
    for name, value in query.items():
        for other in others(value):
            forged = replace(asked, query={**asked.query, name: other})
            assert outcome(asks.receiver(), forged) is None
    for other in others(vector["token"]):
        assert outcome(asks.receiver(tokens=[other]), asked) is None
    test_another_time_is_not(asks)


# What we seal ourselves


@pytest.mark.parametrize("vendor", ["wecom", "wechat_oa"])
def test_what_we_seal_is_what_the_vendor_seals(vendor: str) -> None:
    for v in vectors(vendor, "callback_encrypt_decrypt"):
        salt = v["random16"].encode()
        sealed = seal(v["encoding_aes_key"], v["plaintext"].encode(), v["receive_id"], salt=salt)
        assert sealed == v["expected_encrypt"]


@pytest.mark.parametrize("vector", vectors("dingtalk", "event_callback_crypto")[:3])
def test_what_we_answer_is_what_dingtalk_answers(vector: Json) -> None:
    key, owner = vector["encoding_aes_key"], vector["owner_key"]
    salt, expected = vector["random16"].encode(), vector["expected"]
    sealed = seal(key, vector["plaintext"].encode(), owner, salt=salt)
    assert sealed == expected["encrypt"]
    query = {"timestamp": vector["timestamp"], "nonce": vector["nonce"]}
    bare = request(0, json.dumps({"encrypt": sealed}), query)
    signed = EVENTS["msg_signature"].sign(bare, vector["token"])
    assert signed.query["msg_signature"] == expected["msg_signature"]


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("dingtalk-")])
def test_dingtalk_gets_success_sealed(name: str) -> None:
    case = CASES[name]
    if name == "dingtalk-robot":
        return
    opened = case.receiver().open(case.request)
    reply = opened.reply if isinstance(opened, Envelope) else opened
    assert reply is not None
    told = json.loads(reply.body)
    assert unseal(case.config["aes_keys"][0], told["encrypt"]) == (
        b"success",
        case.config["owner_keys"][0],
    )
    query = {"msg_signature": told["msg_signature"], "timestamp": told["timeStamp"]}
    back = request(int(told["timeStamp"]) / 1000, reply.body.decode(), query)
    signed = replace(back, query={**query, "nonce": told["nonce"]})
    EVENTS["msg_signature"].verify(signed, case.config["tokens"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_yonyou_gets_success_sealed(variant: str) -> None:
    case = CASES[f"yonyou-{variant}"]
    reply = case.receiver().open(case.request)
    assert isinstance(reply, Reply)  # the vector is a CHECK_URL
    secret, app_key = case.config["app_secrets"][0], case.config["app_key"]
    back = request(case.request.received_at.timestamp(), reply.body.decode())
    VARIANTS[variant].verify(back, [secret])
    assert unseal(aes_key(secret), json.loads(reply.body)["encrypt"]) == (b"success", app_key)
    plain = case.receiver(reply="plain").open(case.request)
    assert isinstance(plain, Reply)
    assert plain.body == b"success"


# How we sign our own calls


def kingdee_headers(**given: Any) -> str:
    return json.dumps(signed_headers(**given), sort_keys=True)


def outbound() -> Iterator[tuple[str, Callable[..., str], dict[str, Any], str]]:
    """Name, function, arguments, what comes out."""
    for vendor, sign in (("wecom", wecom.jsapi_signature), ("wechat_oa", wechat.jsapi_signature)):
        for v in vectors(vendor, "jsapi_signature"):
            given = {"ticket": v["ticket"], "nonce": v["noncestr"], "timestamp": v["timestamp"]}
            yield f"{vendor}-jsapi", sign, {**given, "url": v["url"]}, v["expected_signature"]
    for v in vectors("dingtalk", "custom_robot_sign"):
        given = {"secret": v["secret"], "timestamp_ms": v["timestamp_ms"]}
        told = v["expected_sign_urlencoded"]
        yield "dingtalk-robot", lambda **g: quote(robot_sign(**g), safe=""), given, told
    for v in vectors("feishu", "custom_bot_sign"):
        given = {"secret": v["secret"], "timestamp": v["timestamp"]}
        yield "feishu-bot", bot_sign, given, v["expected_sign"]
    for v in vectors("yonyou", "access_token_signature"):
        given = {name: v[name] for name in ("app_key", "app_secret", "timestamp_ms")}
        yield "yonyou-token", token_signature, given, v["expected_signature"]
    for v in vectors("mingdao", "org_api_sign"):
        given = {name: v[name] for name in ("app_key", "secret_key", "timestamp_ms")}
        yield "mingdao-org", org_sign, given, v["expected_sign"]
    account = ("acct_id", "username", "app_id", "app_secret")
    for number, v in enumerate(vectors("kingdee", "x_kd_header_signature")):
        given = {name: v[name] for name in (*account, "lcid", "org_num")}
        given |= {"path": urlsplit(v["request_url"]).path, "timestamp": v["epoch_seconds"]}
        told = json.dumps(v["expected_headers"], sort_keys=True)
        yield f"kingdee-headers-{number}", kingdee_headers, given, told
    for v in vectors("kingdee", "login_by_sign"):
        given = {name: v[name] for name in account} | {"timestamp": v["epoch_seconds"]}
        yield "kingdee-login", login_sign, given, v["expected_sign"]
    for v in vectors("aliyun_sms", "aliyun_rpc_hmac_sha1"):
        given = {"method": v["http_method"], "params": v["params"]}
        given["access_key_secret"] = v["access_key_secret"]
        yield "aliyun-rpc", rpc_signature, given, v["expected_signature"]
    for number, v in enumerate(vectors("aliyun_sms", "aliyun_acs3_hmac_sha256")):
        given = {name: v[name] for name in ("query", "access_key_id", "access_key_secret", "path")}
        given |= {"method": v["http_method"], "headers": {**v["headers"], "host": v["host"]}}
        yield f"aliyun-acs3-{number}", acs3_authorization, given, v["expected_authorization"]
    for v in vectors("tencent_sms", "tencent_tc3_hmac_sha256"):
        headers = v["headers"]
        given = {name: v[name] for name in ("secret_id", "secret_key", "service")}
        given |= {"body": v["raw_payload"], "timestamp": int(headers["X-TC-Timestamp"])}
        given |= {"host": headers["Host"], "content_type": headers["Content-Type"]}
        yield "tencent-tc3", tc3, given, v["expected_authorization"]


def tc3(body: str, **given: Any) -> str:
    return tc3_authorization(body.encode(), **given)


OUTBOUND = {name: rest for name, *rest in outbound()}


@pytest.mark.parametrize("name", OUTBOUND)
def test_our_calls_are_signed_as_the_vendor_signs(name: str) -> None:
    sign, given, told = OUTBOUND[name]
    assert sign(**given) == told


@pytest.mark.parametrize("name", OUTBOUND)
def test_nothing_is_left_out_of_a_signature(name: str) -> None:
    sign, given, told = OUTBOUND[name]
    for argument, value in given.items():
        for other in changed(value):
            with suppress(ConfigError):  # no app id at all
                assert sign(**{**given, argument: other}) != told, (argument, other)


def changed(value: Any) -> Iterator[Any]:
    if isinstance(value, int):
        yield from (value ^ (1 << bit) for bit in (0, 3, 9))
    elif isinstance(value, str):
        yield from (value[:at] + chr(ord(c) ^ 1) + value[at + 1 :] for at, c in enumerate(value))
    else:
        for name, inner in value.items():
            yield from ({**value, name: other} for other in changed(inner))


def test_the_fragment_of_a_page_is_not_signed() -> None:
    for sign in (wecom.jsapi_signature, wechat.jsapi_signature):
        told = sign("t", "n", "1", "https://hub.example.com/card?x=1")
        assert sign("t", "n", "1", "https://hub.example.com/card?x=1#here") == told


def test_a_kingdee_app_id_without_a_hidden_part() -> None:
    given = {"acct_id": "a", "username": "u", "app_secret": "s", "timestamp": 1}
    headers = signed_headers("/k3cloud/", app_id="plain", **given)
    assert headers["X-Api-ClientID"] == ""
    with pytest.raises(ConfigError):
        signed_headers("/k3cloud/", app_id="1_" + "é" * 32, **given)
