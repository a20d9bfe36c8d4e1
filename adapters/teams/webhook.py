"""Outgoing webhooks of Microsoft Teams: a mention in a channel, answered within five seconds.

Source: https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/
add-outgoing-webhook (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from pydantic import Field, SecretStr

from hub.sdk import ConnectionConfig, Envelope, HookRequest, Reply, Row, WebhookReceiver
from hub.sdk.signing import Recipe, revealed, verify_fresh

RECIPE = Recipe(
    signature="header:authorization",
    parts=("body",),
    encoding="base64",
    prefix="HMAC ",
    key="base64",
)


class TeamsConfig(ConnectionConfig):
    security_tokens: tuple[SecretStr, ...] = Field(
        min_length=1,
        description="Security token Teams shows once when the outgoing webhook is made",
        examples=[["b3V0Z29pbmcgd2ViaG9vayBleGFtcGxl"]],
    )
    answer: str = Field(
        default="收到。 Received.", description="What the mention is answered with at once"
    )


class TeamsReceiver(WebhookReceiver[TeamsConfig]):
    """One outgoing webhook. An item is the activity as Teams sent it."""

    def open(self, request: HookRequest) -> Envelope:
        RECIPE.verify(request, revealed(self.config.security_tokens))
        if instant := _instant(request.body):
            verify_fresh(instant, request.received_at)
        answer = json.dumps({"type": "message", "text": self.config.answer}, ensure_ascii=False)
        reply = Reply(200, answer.encode(), {"Content-Type": "application/json"})
        return Envelope(self.items(request.body, _name), reply)

    def parse(self, body: bytes) -> Iterator[Row]:
        """No rows: what colleagues ask is for the desk."""
        _name(json.loads(body))
        yield from ()

    def sample(self, at: datetime) -> HookRequest:
        activity = {"type": "sample", "id": f"{at.timestamp():.0f}", "conversation": {"id": "0"}}
        stamped = {**activity, "timestamp": at.astimezone(UTC).isoformat()}
        bare = HookRequest("POST", {}, {}, json.dumps(stamped).encode(), at)
        return RECIPE.sign(bare, revealed(self.config.security_tokens)[0])


def _instant(body: bytes) -> str:
    try:
        told = json.loads(body)["timestamp"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return told if isinstance(told, str) else ""


def _name(activity: Any) -> tuple[Any, Any, Any]:
    place = activity["conversation"]["id"]
    return f"{place}/{activity['id']}", f"conversations/{place}", activity["type"]
