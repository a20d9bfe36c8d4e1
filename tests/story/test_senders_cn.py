"""Requests made by wechatpy (企业微信, 公众号) and by the library of 钉钉, let in at the door."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime

import pytest
from defusedxml import ElementTree
from dingtalk_stream import ChatbotMessage
from flask.testing import FlaskClient
from wechatpy.crypto import WeChatCrypto as WechatCrypto
from wechatpy.enterprise.crypto import PrpCrypto
from wechatpy.enterprise.crypto import WeChatCrypto as WecomCrypto
from wechatpy.enterprise.exceptions import InvalidCorpIdException
from wechatpy.exceptions import InvalidSignatureException
from wechatpy.utils import WeChatSigner, check_signature

from adapters.dingtalk.signing import robot_sign
from adapters.wecom.webhook import WecomReceiver
from adapters.yonyou.webhook import YonyouReceiver
from hub.registry import Hub
from hub.sdk import HookRequest
from hub.store.db import Database
from tests.story.helpers import drain, scalar
from webhooks.app import create_app

CORP, APP, OWNER = "ww1234567890abcdef", "wx0123456789abcdef", "dingappkeyEXAMPLE"
TOKEN, KEY = "tokenEXAMPLE", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
ROBOT_SECRET, YONYOU_SECRET = "SECexample0123456789", "0123456789abcdef0123456789abcdef"
SEALED = {"tokens": [TOKEN], "encoding_aes_keys": [KEY]}

Open = Callable[..., Hub]


@pytest.fixture
def hub(open_with: Open) -> Hub:
    return open_with(
        {
            "wecom": {"adapter": "wecom", "receive_ids": [CORP], **SEALED},
            "wechat": {"adapter": "wechat_oa", "app_id": APP, **SEALED},
            "plain": {"adapter": "wechat_oa", "app_id": APP, "tokens": [TOKEN]},
            "dingtalk": {
                "adapter": "dingtalk",
                "owner_keys": [OWNER],
                "tokens": [TOKEN],
                "aes_keys": [KEY],
                "app_secrets": [ROBOT_SECRET],
            },
            "yonyou": {
                "adapter": "yonyou",
                "app_key": "appKeyEXAMPLE",
                "app_secrets": [YONYOU_SECRET],
            },
        }
    )


@contextmanager
def door(hub: Hub) -> Iterator[FlaskClient]:
    app = create_app(hub.settings)
    database: Database = app.extensions["hub.database"]
    with closing(database), app.test_client(use_cookies=False) as client:
        yield client


@pytest.fixture
def client(hub: Hub) -> Iterator[FlaskClient]:
    with door(hub) as client:
        yield client


def now() -> str:
    return str(int(time.time()))


def signed(*data: str) -> str:
    signer = WeChatSigner()
    signer.add_data(TOKEN, *data)
    signature: str = signer.signature
    return signature


def told(xml: str | bytes) -> dict[str, str]:
    return {child.tag: child.text or "" for child in ElementTree.fromstring(xml)}


def query_of(envelope: dict[str, str], name: str = "msg_signature") -> dict[str, str]:
    """What 微信 puts into the address of a request."""
    return {
        name: envelope["MsgSignature"],
        "timestamp": envelope["TimeStamp"],
        "nonce": envelope["Nonce"],
    }


MESSAGE = (
    "<xml><ToUserName><![CDATA[gh_0123456789ab]]></ToUserName>"
    "<FromUserName><![CDATA[oEXAMPLE]]></FromUserName><CreateTime>{at}</CreateTime>"
    "<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[空调不制冷]]></Content>"
    "<MsgId>{id}</MsgId></xml>"
)


def test_wecom_is_let_in_once(hub: Hub, client: FlaskClient) -> None:
    crypto = WecomCrypto(TOKEN, KEY, CORP)
    for _ in range(2):  # sealed anew each time, and the same message
        body = crypto.encrypt_message(MESSAGE.format(at=now(), id=1), "nonce1", now())
        answer = client.post("/hooks/wecom", data=body.encode(), query_string=query_of(told(body)))
        assert (answer.status_code, answer.data) == (200, b"")
    assert scalar(hub, "SELECT count(*) FROM inbox WHERE type = 'text'") == 1
    drain(hub)
    assert scalar(hub, "SELECT count(*) FROM inbox WHERE state = 'done'") == 1
    other = WecomCrypto(TOKEN, KEY, "ww0000000000000000").encrypt_message("<xml/>", "n", now())
    refused = client.post("/hooks/wecom", data=other.encode(), query_string=query_of(told(other)))
    assert refused.status_code == 401


def test_wecom_asks_for_the_address(client: FlaskClient) -> None:
    at, crypto = now(), WecomCrypto(TOKEN, KEY, CORP)
    echostr = PrpCrypto(crypto.key).encrypt("1616140317555161061", CORP).decode()
    query = {"msg_signature": signed(at, "n", echostr), "timestamp": at, "nonce": "n"}
    for written in (echostr, echostr.replace("+", " ")):  # escaped, and as some write it
        answer = client.get("/hooks/wecom", query_string={**query, "echostr": written})
        assert (answer.status_code, answer.data) == (200, b"1616140317555161061")
        assert answer.mimetype == "text/plain"
    forged = client.get("/hooks/wecom", query_string={**query, "nonce": "o", "echostr": echostr})
    assert forged.status_code == 401


def test_wecom_reads_our_sealed_reply(hub: Hub, client: FlaskClient) -> None:
    receiver = hub.registry.get("wecom").receiver
    assert isinstance(receiver, WecomReceiver)
    crypto, asked = WecomCrypto(TOKEN, KEY, CORP), {"timestamp": now(), "nonce": "a<b"}
    request = HookRequest("POST", {}, asked, b"", datetime.now(UTC))
    reply = receiver.sealed_reply(request, "<xml><Content>好的</Content></xml>".encode())
    envelope = told(reply.body)
    assert envelope["Nonce"] == "a<b"
    given = (envelope["MsgSignature"], envelope["TimeStamp"], envelope["Nonce"])
    assert crypto.decrypt_message(reply.body, *given) == "<xml><Content>好的</Content></xml>"
    with pytest.raises(InvalidSignatureException):
        crypto.decrypt_message(reply.body, given[0], given[1], "another")
    bot = json.loads(receiver.sealed_reply(request, b'{"msgtype":"text"}').body)
    assert PrpCrypto(crypto.key).decrypt(bot["encrypt"], "") == '{"msgtype":"text"}'
    assert bot["msgsignature"] == signed(bot["timestamp"], bot["nonce"], bot["encrypt"])


def test_a_follower_of_the_account_becomes_a_customer(hub: Hub, client: FlaskClient) -> None:
    body = WechatCrypto(TOKEN, KEY, APP).encrypt_message(
        MESSAGE.format(at=now(), id=7), "nonce1", now()
    )
    answer = client.post("/hooks/wechat", data=body.encode(), query_string=query_of(told(body)))
    assert (answer.status_code, answer.data) == (200, b"success")
    drain(hub)
    assert scalar(hub, "SELECT count(*) FROM record WHERE kind = 'Message'") == 1
    assert scalar(hub, "SELECT count(*) FROM record WHERE kind = 'Person'") == 1


def test_the_account_in_plain_mode(hub: Hub, client: FlaskClient) -> None:
    at = now()
    query = {"signature": signed(at, "n"), "timestamp": at, "nonce": "n"}
    check_signature(TOKEN, query["signature"], at, "n")
    echoed = client.get("/hooks/plain", query_string={**query, "echostr": "583739"})
    assert (echoed.status_code, echoed.data) == (200, b"583739")
    data = MESSAGE.format(at=at, id=8).encode()
    assert client.post("/hooks/plain", data=data, query_string=query).data == b"success"
    assert client.post("/hooks/wechat", data=data, query_string=query).status_code == 401
    assert scalar(hub, "SELECT count(*) FROM inbox") == 1


def test_dingtalk_reads_our_success(hub: Hub, client: FlaskClient) -> None:
    """钉钉 seals as 企业微信 does, so a peer of the one tells of the other."""
    at, crypto = f"{now()}000", WecomCrypto(TOKEN, KEY, OWNER)
    for event, kept in (({"EventType": "check_url"}, 0), ({"EventType": "user_add_org"}, 1)):
        sealed = PrpCrypto(crypto.key).encrypt(json.dumps(event), OWNER).decode()
        query = {"signature": signed(at, "n", sealed), "timestamp": at, "nonce": "n"}
        answer = client.post("/hooks/dingtalk", json={"encrypt": sealed}, query_string=query)
        reply = answer.get_json()
        assert PrpCrypto(crypto.key).decrypt(reply["encrypt"], OWNER) == "success"
        assert reply["msg_signature"] == signed(
            reply["timeStamp"], reply["nonce"], reply["encrypt"]
        )
        assert scalar(hub, "SELECT count(*) FROM inbox") == kept
    with pytest.raises(InvalidCorpIdException):
        PrpCrypto(crypto.key).decrypt(reply["encrypt"], "another")


def test_a_message_to_the_robot(hub: Hub, client: FlaskClient) -> None:
    message = ChatbotMessage.from_dict(
        {
            "msgId": "msg1",
            "conversationId": "cid1",
            "conversationType": "1",
            "senderNick": "李四",
            "msgtype": "text",
            "text": {"content": "查一下 13900001111"},
        }
    ).to_dict()
    at = f"{now()}000"
    headers = {"timestamp": at, "sign": robot_sign(ROBOT_SECRET, at)}
    assert client.post("/hooks/dingtalk", json=message, headers=headers).status_code == 200
    kept = json.loads(scalar(hub, "SELECT body FROM inbox WHERE event_id = 'msg1'"))
    assert ChatbotMessage.from_dict(kept).text.content == "查一下 13900001111"
    forged = {**headers, "sign": robot_sign("another", at)}
    assert client.post("/hooks/dingtalk", json=message, headers=forged).status_code == 401


def test_yonyou_is_held_to_the_signature_it_began_with(hub: Hub) -> None:
    """What one process learned, the next one starts with."""
    first, other = (yonyou(hub, variant) for variant in ("sha256", "hmac-sha256"))
    with door(hub) as client:
        assert client.post("/hooks/yonyou", data=first).status_code == 200
    with door(hub) as client:
        assert client.post("/hooks/yonyou", data=first).status_code == 200
        assert client.post("/hooks/yonyou", data=other).status_code == 401
    assert json.loads(scalar(hub, "SELECT learned FROM connection WHERE name = 'yonyou'")) == {
        "signature": "sha256"
    }


def yonyou(hub: Hub, variant: str) -> bytes:
    receiver = YonyouReceiver(hub.registry.get("yonyou").receiver.config)
    receiver.learned = {"signature": variant}
    return receiver.sample(datetime.now(UTC)).body
