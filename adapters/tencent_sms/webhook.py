"""腾讯云短信: receipts, as lists of JSON, and replies, one at a time.

The vendor signs nothing: the sender is proven by what the connection configures. It also lets
receipts and replies be fetched, but forgets them as it hands them over: what is lost on the way
then is lost for good. So they are taken by webhook only.

Source: https://cloud.tencent.com/document/api/382/43547 and …/43548 (checked 2026-11)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from hub.sdk import Envelope, HookRequest, Raw, Reply, Row, WebhookReceiver
from hub.sdk.proof import ProofConfig, attest, prove

TAKEN = Reply(200, b'{"result":0,"errmsg":"OK"}', {"Content-Type": "application/json"})


class TencentSmsHookConfig(ProofConfig):
    pass


class TencentSmsReceiver(WebhookReceiver[TencentSmsHookConfig]):
    """One application. A row is a receipt or a reply, with the whole number as ``phone``."""

    def open(self, request: HookRequest) -> Envelope:
        prove(self.config, request)
        return Envelope(self.items(request.body, _name, _events), TAKEN)

    def parse(self, body: bytes) -> Iterator[Row]:
        event = json.loads(body)
        if "text" in event:
            told = {"id": reply_id(event), "said": said(event["text"])}
            yield Row("replies", {**event, **told, "phone": _phone(event)})
        elif "sid" in event:
            yield Row("messages", {**event, "phone": _phone(event)})

    def sample(self, at: datetime) -> HookRequest:
        body = json.dumps([{"hub_sample": at.isoformat()}]).encode()
        return attest(self.config, HookRequest("POST", {}, {}, body, at, url=self.address))


def reply_id(event: Raw) -> str:
    """The vendor gives a reply no id: whose it is, when it came, and what it says."""
    digest = hashlib.sha256(str(event["text"]).encode()).hexdigest()[:12]
    return f"{event['nationcode']}{event['mobile']}/{event['time']}/{digest}"


def said(text: str) -> str:
    """A reply as the mapping compares it with words such as TD."""
    return text.strip(" \t\r\n.。!！,，\"'“”").upper()


def _phone(event: Raw) -> str:
    return f"+{event['nationcode']}{event['mobile']}"


def _events(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]


def _name(event: Any) -> tuple[Any, Any, Any]:
    if "text" in event:
        id_ = reply_id(event)
        return f"reply/{id_}", f"replies/{id_}", "reply"
    if "sid" not in event:
        return None, None, "other"
    sid = event["sid"]
    return f"{sid}/{event['mobile']}/{event.get('report_status')}", f"messages/{sid}", "status"
