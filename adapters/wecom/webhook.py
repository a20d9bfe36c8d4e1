"""Callbacks of 企业微信 apps, suites (third-party apps) and bots.

Every text is sealed with the callback's EncodingAESKey; ``msg_signature`` is the hex SHA-1 of the
token, timestamp, nonce and sealed text, sorted. Apps and suites send XML, bots send JSON. Events
name customers and say nothing of them: what they name is fetched, once the app's secret is known.

Source: https://developer.work.weixin.qq.com/document/path/90968 (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from xml.sax.saxutils import escape

from pydantic import Field, SecretStr

from hub.sdk import (
    ConfigError,
    ConnectionConfig,
    Deleted,
    Envelope,
    HookRequest,
    News,
    RecordRef,
    Reply,
    Row,
    SignatureError,
    WebhookReceiver,
)
from hub.sdk.sealing import seal, unseal_any
from hub.sdk.signing import Recipe, revealed, value_at, xml

SEALED_IN = ("query:echostr", "json:encrypt", "xml:Encrypt")

RECIPES = {
    place: Recipe(
        signature="query:msg_signature",
        parts=("secret", "query:timestamp", "query:nonce", place),
        sort=True,
        digest="sha1",
        timestamp="query:timestamp",
    )
    for place in SEALED_IN
}

TEXT = {"Content-Type": "text/plain; charset=utf-8"}

TYPE_FIELDS = ("InfoType", "Event", "MsgType", "msgtype")
ORDER_FIELDS = ("ExternalUserID", "ChatId", "FromUserName", "SuiteId", "chatid")


CONTACT_CHANGES = (
    "add_external_contact",
    "add_half_external_contact",
    "edit_external_contact",
    "transfer_fail",
    "del_follow_user",
)
"""After these, what is between member and customer is asked for: it may be over as well."""

MEMBER_CHANGES = ("create_user", "update_user")


class WecomConfig(ConnectionConfig):
    receive_ids: tuple[str, ...] = Field(
        min_length=1,
        description="Whom the texts are for: first the corp id; for a third-party app also its "
        "suite id",
        examples=[["ww1234567890abcdef"]],
    )
    tokens: tuple[SecretStr, ...] = Field(
        default=(),
        description="Token of the callback settings; two while it is changed; none when WeCom does "
        "not call us",
        examples=[["tokenEXAMPLE"]],
    )
    encoding_aes_keys: tuple[SecretStr, ...] = Field(
        default=(),
        description="EncodingAESKey of the callback settings, 43 letters; two while it is changed",
        examples=[["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"]],
    )
    secret: SecretStr = Field(
        default=SecretStr(""),
        description="Secret of the self-built app; without it callbacks are kept and nothing is "
        "asked of WeCom",
    )

    @property
    def may_ask(self) -> bool:
        return bool(self.secret.get_secret_value())


class WecomReceiver(WebhookReceiver[WecomConfig]):
    """One callback URL. An item is the unsealed text, XML or JSON."""

    def open(self, request: HookRequest) -> Envelope | Reply:
        if "echostr" in request.query:
            return self._echo(request)
        is_json = request.body.lstrip()[:1] == b"{"
        text = self._unsealed(request, "json:encrypt" if is_json else "xml:Encrypt")
        # To the events of a suite only "success" is an answer, to others nothing is.
        answer = b"success" if b"<InfoType>" in text else b""
        return Envelope(self.items(text, _names, read=_fields), Reply(200, answer, TEXT))

    def parse(self, body: bytes) -> Iterator[Row | RecordRef | Deleted | News]:
        event = _fields(body)
        change, user = event.get("ChangeType"), event.get("UserID", "")
        relation = f"{user}/{event.get('ExternalUserID', '')}"
        kind = event.get("Event")
        if kind == "template_card_event":
            yield Row("card_clicks", event)
        elif change == "del_external_contact":
            yield Deleted("contacts", relation)
        elif change == "delete_user":
            yield Deleted("agents", user)
        elif not self.config.may_ask:
            return
        elif kind == "kf_msg_or_event":
            yield News("messages", event.get("Token", ""))
        elif change in CONTACT_CHANGES:
            yield RecordRef("contacts", relation)
        elif change in MEMBER_CHANGES:
            yield News("agents")

    def sample(self, at: datetime) -> HookRequest:
        if not self.config.tokens or not self.config.encoding_aes_keys:
            raise ConfigError("no callbacks are configured", hint="Set tokens, encoding_aes_keys.")
        told = f"<CreateTime>{int(at.timestamp())}</CreateTime><Event>sample</Event>"
        message = f"<xml><MsgType>event</MsgType><FromUserName>sys</FromUserName>{told}</xml>"
        sealed = self._sealed(message.encode(), self.config.receive_ids[0])
        query = {"timestamp": str(int(at.timestamp())), "nonce": "sample"}
        body = f"<xml><Encrypt>{sealed}</Encrypt></xml>".encode()
        bare = HookRequest("POST", {}, query, body, at)
        return RECIPES["xml:Encrypt"].sign(bare, revealed(self.config.tokens)[0])

    def sealed_reply(self, request: HookRequest, message: bytes) -> Reply:
        """The passive reply to a proven request: a message, sealed and signed as it came."""
        is_json = message.startswith(b"{")
        sealed = self._sealed(message, "" if is_json else self.config.receive_ids[0])
        query = {name: request.query[name] for name in ("timestamp", "nonce")}
        body = json.dumps({"encrypt": sealed}).encode()
        bare = HookRequest("POST", {}, query, body, request.received_at)
        signed = RECIPES["json:encrypt"].sign(bare, revealed(self.config.tokens)[0]).query
        return _json_reply(sealed, signed) if is_json else _xml_reply(sealed, signed)

    def _echo(self, request: HookRequest) -> Reply:
        """The answer to the question whether this address is ours."""
        # A "+" of the base64 may come unescaped, which is a blank in a query.
        echostr = request.query["echostr"].replace(" ", "+")
        mended = replace(request, query={**request.query, "echostr": echostr})
        text = self._unsealed(mended, "query:echostr")
        if text.lstrip()[:1] in (b"<", b"{"):  # would unseal somebody's event for whoever asks
            raise SignatureError("the echostr holds an event")
        return Reply(200, text, TEXT)

    def _unsealed(self, request: HookRequest, place: str) -> bytes:
        RECIPES[place].verify(request, revealed(self.config.tokens))
        receivers = self.config.receive_ids
        if place != "xml:Encrypt":
            receivers += ("",)  # a bot has no id
        sealed = value_at(place, request)
        return unseal_any(revealed(self.config.encoding_aes_keys), sealed, receivers).text

    def _sealed(self, text: bytes, receiver: str) -> str:
        return seal(revealed(self.config.encoding_aes_keys)[0], text, receiver)


def _names(event: Mapping[str, str]) -> tuple[str | None, str | None, str | None]:
    # Events have no id. Sender and second, as the vendor advises, may be the same for two of "sys".
    event_id = event.get("MsgId") or event.get("msgid")
    change, type_ = event.get("ChangeType"), _first(event, TYPE_FIELDS)
    return event_id, _first(event, ORDER_FIELDS), f"{type_}.{change}" if change else type_


def _first(event: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((event[name] for name in names if event.get(name)), None)


def _fields(text: bytes) -> dict[str, str]:
    """The plain fields of an event."""
    if text.lstrip()[:1] == b"<":
        return {child.tag: child.text or "" for child in xml(text)}
    told = json.loads(text).items()
    return {name: str(value) for name, value in told if isinstance(value, str | int)}


def _json_reply(sealed: str, signed: Mapping[str, str]) -> Reply:
    told = {
        "encrypt": sealed,
        "msgsignature": signed["msg_signature"],
        "timestamp": signed["timestamp"],
        "nonce": signed["nonce"],
    }
    return Reply(200, json.dumps(told).encode(), {"Content-Type": "application/json"})


def _xml_reply(sealed: str, signed: Mapping[str, str]) -> Reply:
    body = (
        f"<xml><Encrypt>{sealed}</Encrypt><MsgSignature>{signed['msg_signature']}</MsgSignature>"
        f"<TimeStamp>{escape(signed['timestamp'])}</TimeStamp>"
        f"<Nonce>{escape(signed['nonce'])}</Nonce></xml>"
    )
    return Reply(200, body.encode(), {"Content-Type": "application/xml; charset=utf-8"})
