"""阿里云短信: receipts (SmsReport) and replies (SmsUp), pushed as lists of JSON.

The vendor signs nothing: the sender is proven by what the connection configures. Whatever it gets
with status 200 counts as taken; otherwise it comes again after 1, 5 and 10 minutes.

Source: https://help.aliyun.com/zh/sms/developer-reference/smsreport-2 and …/smsup-http (checked
2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import Field

from hub.sdk import Envelope, HookRequest, Raw, Reply, Row, WebhookReceiver
from hub.sdk.proof import ProofConfig, attest, prove

TAKEN = Reply(
    200, '{"code":0,"msg":"接收成功"}'.encode(), {"Content-Type": "application/json;charset=utf-8"}
)
MINE = "hub-"
"""What the OutId of a message of ours begins with."""


class AliyunSmsHookConfig(ProofConfig):
    others: bool = Field(
        default=False,
        description="Take in the receipts of messages other systems send by this account, too",
    )


class AliyunSmsReceiver(WebhookReceiver[AliyunSmsHookConfig]):
    """One account. A row is a receipt, named as ``message_id`` says, or a reply."""

    def open(self, request: HookRequest) -> Envelope:
        prove(self.config, request)
        return Envelope(self.items(request.body, _name, _events), TAKEN)

    def parse(self, body: bytes) -> Iterator[Row]:
        event = json.loads(body)
        if "content" in event:
            yield Row("replies", {**event, "said": said(event["content"])})
        elif "biz_id" in event and (self.config.others or is_mine(event)):
            yield Row("messages", {**event, "id": message_id(event)})

    def sample(self, at: datetime) -> HookRequest:
        body = json.dumps([{"hub_sample": at.isoformat()}]).encode()
        return attest(self.config, HookRequest("POST", {}, {}, body, at, url=self.address))


def is_mine(row: Raw) -> bool:
    """Whether the hub sent it."""
    return str(row.get("out_id") or "").startswith(MINE)


def message_id(row: Raw) -> str:
    """Ours are named by us; one request of another system may have gone to many numbers."""
    return str(row["out_id"]) if is_mine(row) else f"{row['biz_id']}/{row['phone_number']}"


def said(text: str) -> str:
    """A reply as the mapping compares it with words such as TD."""
    return text.strip(" \t\r\n.。!！,，\"'“”").upper()


def _events(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]


def _name(event: Any) -> tuple[Any, Any, Any]:
    if "content" in event:
        return f"up/{event['sequence_id']}", f"replies/{event['sequence_id']}", "SmsUp"
    if "biz_id" not in event:
        return None, None, "other"
    id_ = f"{event['biz_id']}/{event['phone_number']}/{event.get('err_code')}"
    return id_, f"messages/{message_id(event)}", "SmsReport"
