"""Event callbacks of 钉钉, and messages people send to a robot in HTTP mode.

An event is sealed; its signature is the hex SHA-1 of the token, timestamp, nonce and sealed text,
sorted, and the answer is ``success``, sealed and signed in the same way. A robot's message comes in
clear; its header ``sign`` proves the app's secret and the instant, and says nothing of the body.

Source: https://open.dingtalk.com/document/orgapp/configure-event-subcription (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from adapters.dingtalk.config import DingtalkConfig
from hub.sdk import (
    Deleted,
    Envelope,
    HookRequest,
    Item,
    RecordRef,
    Reply,
    Row,
    SignatureError,
    WebhookReceiver,
)
from hub.sdk.sealing import Unsealed, seal, unseal_any
from hub.sdk.signing import Recipe, revealed, value_at, verify_any

EVENTS = {
    name: Recipe(
        signature=f"query:{name}",
        parts=("secret", "query:timestamp", "query:nonce", "json:encrypt"),
        sort=True,
        digest="sha1",
        timestamp="query:timestamp",
    )
    for name in ("msg_signature", "signature")
}

ROBOT = Recipe(
    signature="header:sign",
    parts=("header:timestamp", "secret"),
    separator="\n",
    encoding="base64",
    timestamp="header:timestamp",
)


APPROVALS = ("bpms_instance_change", "bpms_task_change")
JOINED = ("user_add_org", "user_modify_org", "user_active_org", "user_dept_change")
LEFT = "user_leave_org"

Event = dict[str, Any]


class DingtalkReceiver(WebhookReceiver[DingtalkConfig]):
    """One app. An item is the JSON of an event, unsealed, or of a robot's message."""

    def open(self, request: HookRequest) -> Envelope | Reply:
        if "sign" in request.headers:
            ROBOT.verify(request, revealed(self.config.app_secrets))
            return Envelope([item_of(request.body)], Reply(200))
        token = self._token(request)
        keys, sealed = revealed(self.config.aes_keys), value_at("json:encrypt", request)
        opened = unseal_any(keys, sealed, self.config.owner_keys)
        item, success = item_of(opened.text), _success(request, token, opened)
        return success if item.type == "check_url" else Envelope([item], success)

    def parse(self, body: bytes) -> Iterator[Row | RecordRef | Deleted]:
        event: Event = json.loads(body)
        config = self.config
        kind = event.get("EventType")
        if kind in APPROVALS:
            yield from self._approval(event)
        elif "users" in config.address_book and (kind in JOINED or kind == LEFT):
            made = Deleted if kind == LEFT else RecordRef
            for id_ in event.get("UserId") or event.get("userId") or ():
                yield made("users", str(id_))
        elif event.get("msgId") and event.get("conversationId") in config.customer_chats:
            yield Row("robot_messages", _with_customer(event))

    def _approval(self, event: Event) -> Iterator[Row | RecordRef | Deleted]:
        """The approval to fetch where it is one of ours; else what the event tells of it."""
        id_, code = str(event["processInstanceId"]), event.get("processCode")
        changed = event["EventType"] == "bpms_instance_change"
        if changed and event.get("type") == "delete":
            yield Deleted("process_instances", id_)
        elif self.config.process_codes:
            if not code or code in self.config.process_codes:
                yield RecordRef("process_instances", id_)
        elif changed:
            yield Row("process_instances", event)

    def sample(self, at: datetime) -> HookRequest:
        tokens, keys = revealed(self.config.tokens), revealed(self.config.aes_keys)
        if not (tokens and keys):
            return self._robot_sample(at)
        event = {"EventType": "sample", "eventId": f"sample-{at.timestamp():.0f}"}
        sealed = seal(keys[0], json.dumps(event).encode(), self.config.owner_keys[0])
        query = {"timestamp": str(int(at.timestamp() * 1000)), "nonce": "sample"}
        return _signed(query, sealed, tokens[0], at)

    def _robot_sample(self, at: datetime) -> HookRequest:
        body = json.dumps({"msgtype": "sample", "msgId": f"sample-{at.timestamp():.0f}"}).encode()
        headers = {"timestamp": str(int(at.timestamp() * 1000))}
        bare = HookRequest("POST", headers, {}, body, at)
        secrets = revealed(self.config.app_secrets)
        return ROBOT.sign(bare, secrets[0]) if secrets else bare

    def _token(self, request: HookRequest) -> str:
        """The token that proves the event; the answer is signed with the same."""
        *others, last = revealed(self.config.tokens) or [""]
        for token in others:
            with suppress(SignatureError):
                verify_any(EVENTS, request, [token])
                return token
        verify_any(EVENTS, request, [last])
        return last


def _with_customer(message: Event) -> Event:
    """The message; who is no colleague has no staff id, and is the customer."""
    if message.get("senderStaffId"):
        return message
    return {**message, "customer_id": message.get("senderUnionId") or message.get("senderId")}


def _success(request: HookRequest, token: str, opened: Unsealed) -> Reply:
    sealed = seal(opened.key, b"success", opened.receiver)
    query = {name: request.query[name] for name in ("timestamp", "nonce")}
    told = {
        "msg_signature": _signed(query, sealed, token, request.received_at).query["msg_signature"],
        "timeStamp": query["timestamp"],
        "nonce": query["nonce"],
        "encrypt": sealed,
    }
    return Reply(200, json.dumps(told).encode(), {"Content-Type": "application/json"})


def _signed(query: dict[str, str], sealed: str, token: str, at: datetime) -> HookRequest:
    body = json.dumps({"encrypt": sealed}).encode()
    return EVENTS["msg_signature"].sign(HookRequest("POST", {}, query, body, at), token)


def item_of(body: bytes) -> Item:
    """The item of an event, or of a message to a robot."""
    try:
        event: Event = json.loads(body)
        event_id = event.get("eventId") or event.get("msgId")
        order_key = event.get("processInstanceId") or event.get("conversationId")
        type_ = event.get("EventType") or event.get("msgtype") or ""
    except (ValueError, AttributeError, RecursionError):
        return Item(body)  # genuine but unreadable: kept, and quarantined by parse
    return Item(body, _text(event_id), _text(order_key), str(type_))


def _text(value: object) -> str | None:
    return str(value) if value else None
