"""Events and card callbacks of 飞书 and Lark.

With an Encrypt Key, ``X-Lark-Signature`` is the hex SHA-256 of timestamp, nonce, key and body, and
the body is encrypted. Callbacks of older cards are signed by SHA-1 with the Verification Token in
the key's place. Without an Encrypt Key only the Verification Token, which an event repeats, proves
it.

Source: https://open.feishu.cn/document/server-docs/event-subscription-guide/ (checked 2026-11)
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from adapters.feishu.config import FeishuConfig
from adapters.feishu.messages import spoken
from hub.sdk import (
    Deleted,
    Envelope,
    HookRequest,
    RecordRef,
    Reply,
    Row,
    SignatureError,
    WebhookReceiver,
)
from hub.sdk.sealing import decrypt_cbc, encrypt_cbc
from hub.sdk.signing import Recipe, decode_base64, revealed, verify_token

EVENT = Recipe(
    signature="header:x-lark-signature",
    parts=("header:x-lark-request-timestamp", "header:x-lark-request-nonce", "secret", "body"),
    digest="sha256",
    timestamp="header:x-lark-request-timestamp",
)

CARD = EVENT.model_copy(update={"digest": "sha1"})

JSON = {"Content-Type": "application/json"}

MESSAGE, RECALLED = "im.message.receive_v1", "im.message.recalled_v1"
APPROVALS = ("approval_instance", "approval_task")
JOINED, LEFT = ("contact.user.created_v3", "contact.user.updated_v3"), "contact.user.deleted_v3"
TABLE = "drive.file.bitable_record_changed_v1"
TICKETS = ("helpdesk.ticket.created_v1", "helpdesk.ticket.updated_v1")

Event = dict[str, Any]


class FeishuReceiver(WebhookReceiver[FeishuConfig]):
    """One app. An item is the JSON of an event, decrypted."""

    def open(self, request: HookRequest) -> Envelope | Reply:
        signed = "x-lark-signature" in request.headers
        if signed:
            self._verify(request)
        text = self._decrypted(request.body)
        event = _event(text)
        challenge = event.get("challenge")
        asks = event.get("type") == "url_verification" and isinstance(challenge, str)
        if not signed:
            self._verify_by_token(event, asks=asks)
        if asks:
            answer = json.dumps({"challenge": challenge}, separators=(",", ":"))
            return Reply(200, answer.encode(), JSON)
        return Envelope(self.items(text, _names), Reply(200, b"{}", JSON))

    def parse(self, body: bytes) -> Iterator[Row | RecordRef | Deleted]:
        event = json.loads(body)
        type_, told, config = _type(event), _part(event, "event"), self.config
        if type_ in TICKETS:
            yield Row("tickets", told.get("object", told))
        elif type_ in APPROVALS and told.get("approval_code") in config.approval_codes:
            yield RecordRef("instances", str(told["instance_code"]))
        elif config.address_book and (type_ in JOINED or type_ == LEFT):
            made = Deleted if type_ == LEFT else RecordRef
            yield made("users", str(told["object"]["open_id"]))
        elif type_ == TABLE and told.get("table_id") == config.bitable_table:
            yield from _records(told) if told.get("file_token") == config.bitable_app else ()
        elif type_ == MESSAGE and _part(told, "message").get("chat_id") in config.customer_chats:
            yield Row("messages", _message(event))
        elif type_ == RECALLED and told.get("chat_id") in config.customer_chats:
            yield Deleted("messages", str(told["message_id"]))

    def sample(self, at: datetime) -> HookRequest:
        event_id = f"sample-{at.timestamp():.0f}"
        event: Event = {"schema": "2.0", "header": {"event_id": event_id, "event_type": "sample"}}
        keys, tokens = revealed(self.config.encrypt_keys), revealed(self.config.verification_tokens)
        if not keys:
            event["header"]["token"] = tokens[0] if tokens else ""
            return HookRequest("POST", {}, {}, json.dumps(event).encode(), at)
        body = json.dumps({"encrypt": encrypt(keys[0], json.dumps(event).encode())}).encode()
        headers = {
            "x-lark-request-timestamp": str(int(at.timestamp())),
            "x-lark-request-nonce": "sample",
        }
        return EVENT.sign(HookRequest("POST", headers, {}, body, at), keys[0])

    def _verify(self, request: HookRequest) -> None:
        with suppress(SignatureError):
            EVENT.verify(request, revealed(self.config.encrypt_keys))
            return
        CARD.verify(request, revealed(self.config.verification_tokens))

    def _verify_by_token(self, event: Event, *, asks: bool) -> None:
        if self.config.encrypt_keys and not asks:
            raise SignatureError(
                "the event is not signed, though there is an Encrypt Key",
                hint="Set the same Encrypt Key at the app, or take it out of this connection.",
            )
        verify_token(revealed(self.config.verification_tokens), _token(event))

    def _decrypted(self, body: bytes) -> bytes:
        sealed = _event(body).get("encrypt")
        if not isinstance(sealed, str):
            return body
        for key in revealed(self.config.encrypt_keys):
            with suppress(SignatureError):
                return decrypt(key, sealed)
        raise SignatureError(
            "the event cannot be decrypted", hint="Compare the Encrypt Key with the app's."
        )


def _records(told: Event) -> Iterator[RecordRef | Deleted]:
    for one in told["action_list"]:
        made = Deleted if one["action"] == "record_deleted" else RecordRef
        yield made("records", str(one["record_id"]))


def _message(event: Event) -> Event:
    """The message with its sender, its words, and the customer: who is of another tenant."""
    told, home = event["event"], _part(event, "header").get("tenant_key")
    message, sender = told["message"], told["sender"]
    row = {**message, "sender": sender}
    row["text"] = spoken(message.get("message_type"), _event(message.get("content") or b""))
    if sender.get("sender_type") == "user" and sender.get("tenant_key") != home:
        row["customer_id"] = sender["sender_id"]["open_id"]
    return row


def decrypt(encrypt_key: str, sealed: str) -> bytes:
    """The text of an encrypted event.

    Raises:
        SignatureError: it was not encrypted with this key.
    """
    data = decode_base64(sealed)
    return decrypt_cbc(_aes_key(encrypt_key), data[:16], data[16:])


def encrypt(encrypt_key: str, text: bytes) -> str:
    """An encrypted event as its sender would make it."""
    iv = os.urandom(16)
    return base64.b64encode(iv + encrypt_cbc(_aes_key(encrypt_key), iv, text)).decode()


def _aes_key(encrypt_key: str) -> bytes:
    return hashlib.sha256(encrypt_key.encode()).digest()


def _event(text: bytes | str) -> Event:
    """The event; empty where there is none."""
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _part(event: Event, name: str) -> Event:
    part = event.get(name)
    return part if isinstance(part, dict) else {}


def _token(event: Event) -> str:
    token = event.get("token") or _part(event, "header").get("token")
    return token if isinstance(token, str) else ""


def _type(event: Event) -> str:
    told = _part(event, "header").get("event_type") or _part(event, "event").get("type")
    return told if isinstance(told, str) else ""


def _names(event: Event) -> tuple[Any, Any, str]:
    inner = _part(event, "event")
    message, ticket = _part(inner, "message"), _part(inner, "object") or inner
    event_id = _part(event, "header").get("event_id") or event.get("uuid")
    if _type(event) == MESSAGE:  # may come again under another event's id
        event_id = message.get("message_id")
    order_key = message.get("chat_id") or ticket.get("ticket_id") or inner.get("instance_code")
    return event_id, order_key, _type(event)
