"""Messages and events of a 微信公众号.

In plain mode ``signature`` is the hex SHA-1 of the token, timestamp and nonce, sorted: it proves
the sender and says nothing of the body. In safe mode ``msg_signature`` covers the sealed text, too.

An event names a follower: who that is now is asked for, once the account's secret is known.

Source: https://developers.weixin.qq.com/doc/service/guide/dev/push/ (checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from pydantic import Field, SecretStr

from hub.sdk import (
    ConfigError,
    ConnectionConfig,
    Envelope,
    HookRequest,
    RecordRef,
    Reply,
    Row,
    WebhookReceiver,
)
from hub.sdk.sealing import seal, unseal_any
from hub.sdk.signing import Recipe, revealed, value_at, xml

PLAIN = Recipe(
    signature="query:signature",
    parts=("secret", "query:timestamp", "query:nonce"),
    sort=True,
    digest="sha1",
    timestamp="query:timestamp",
)

SAFE = Recipe(
    signature="query:msg_signature",
    parts=("secret", "query:timestamp", "query:nonce", "xml:Encrypt"),
    sort=True,
    digest="sha1",
    timestamp="query:timestamp",
)

FOLLOWED = ("subscribe", "unsubscribe")

TEXT = {"Content-Type": "text/plain; charset=utf-8"}


class WechatConfig(ConnectionConfig):
    app_id: str = Field(
        min_length=1,
        description="AppID of the account; the sealed texts name it",
        examples=["wx0123456789abcdef"],
    )
    tokens: tuple[SecretStr, ...] = Field(
        default=(),
        description="Token of the server settings; two while it is changed; none when WeChat does "
        "not call us",
        examples=[["tokenEXAMPLE"]],
    )
    encoding_aes_keys: tuple[SecretStr, ...] = Field(
        default=(),
        description="EncodingAESKey of the server settings, 43 letters; with one, what comes in "
        "plain mode is refused",
        examples=[["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"]],
    )
    app_secret: SecretStr = Field(
        default=SecretStr(""),
        description="AppSecret of the account; without it messages are received and nothing is "
        "asked of WeChat",
    )

    @property
    def may_ask(self) -> bool:
        return bool(self.app_secret.get_secret_value())


class WechatReceiver(WebhookReceiver[WechatConfig]):
    """One account. An item is the XML of a message or event, unsealed."""

    def open(self, request: HookRequest) -> Envelope | Reply:
        tokens, keys = revealed(self.config.tokens), revealed(self.config.encoding_aes_keys)
        if "echostr" in request.query:
            PLAIN.verify(request, tokens)
            return Reply(200, request.query["echostr"].encode("utf-8", "replace"), TEXT)
        if keys:
            SAFE.verify(request, tokens)
            text = unseal_any(keys, value_at("xml:Encrypt", request), [self.config.app_id]).text
        else:
            PLAIN.verify(request, tokens)
            text = request.body
        return Envelope(self.items(text, _names, read=_fields), Reply(200, b"success", TEXT))

    def parse(self, body: bytes) -> Iterator[Row | RecordRef]:
        event = _fields(body)
        if event["MsgType"] != "event":
            yield Row("messages", event)
        elif event.get("Event") in FOLLOWED and self.config.may_ask:
            yield RecordRef("users", event["FromUserName"])

    def sample(self, at: datetime) -> HookRequest:
        if not self.config.tokens:
            raise ConfigError("no callbacks are configured", hint="Set tokens.")
        second = str(int(at.timestamp()))
        told = f"<CreateTime>{second}</CreateTime><Event>sample</Event>"
        body = f"<xml><MsgType>event</MsgType><FromUserName>sample</FromUserName>{told}</xml>"
        bare = HookRequest("POST", {}, {"timestamp": second, "nonce": "sample"}, body.encode(), at)
        token, keys = revealed(self.config.tokens)[0], revealed(self.config.encoding_aes_keys)
        if not keys:
            return PLAIN.sign(bare, token)
        sealed = f"<xml><Encrypt>{seal(keys[0], bare.body, self.config.app_id)}</Encrypt></xml>"
        safe = HookRequest("POST", {}, bare.query, sealed.encode(), at)
        return SAFE.sign(safe, token)


def _names(event: Mapping[str, str]) -> tuple[str | None, str | None, str]:
    return event.get("MsgId"), event.get("FromUserName"), event.get("Event") or event["MsgType"]


def _fields(text: bytes) -> dict[str, str]:
    return {child.tag: child.text or "" for child in xml(text)}
