"""Zendesk webhooks: events by subscription, or whatever a trigger's template says.

The text of the timestamp is signed as it stands, right before the body.

Source: https://developer.zendesk.com/documentation/webhooks/verifying/ (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from pydantic import Field, SecretStr

from hub.sdk import ConnectionConfig, Deleted, Envelope, HookRequest, WebhookReceiver
from hub.sdk.signing import Recipe, revealed

RECIPE = Recipe(
    signature="header:x-zendesk-webhook-signature",
    parts=("header:x-zendesk-webhook-signature-timestamp", "body"),
    encoding="base64",
    timestamp="header:x-zendesk-webhook-signature-timestamp",
)

STREAMS = {"ticket": "tickets", "user": "users", "organization": "organizations"}


class ZendeskConfig(ConnectionConfig):
    signing_secrets: tuple[SecretStr, ...] = Field(
        min_length=1,
        description="Signing secret shown on the webhook's page; two while one is reset",
    )


class ZendeskReceiver(WebhookReceiver[ZendeskConfig]):
    """One webhook. An item is an event, or what a trigger sent."""

    def open(self, request: HookRequest) -> Envelope:
        RECIPE.verify(request, revealed(self.config.signing_secrets))
        return Envelope(self.items(request.body, _name))

    def parse(self, body: bytes) -> Iterator[Deleted]:
        """Only what is gone: an event holds a part of its record, which must be fetched."""
        event = json.loads(body)
        kind, _, verb = event.get("type", "").removeprefix("zen:event-type:").partition(".")
        if kind in STREAMS and verb in ("deleted", "permanently_deleted", "soft_deleted"):
            yield Deleted(STREAMS[kind], event["subject"].rpartition(":")[2])

    def sample(self, at: datetime) -> HookRequest:
        event = {"id": f"sample-{at.timestamp():.0f}", "type": "sample", "subject": "sample"}
        instant = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        headers = {"x-zendesk-webhook-signature-timestamp": instant}
        bare = HookRequest("POST", headers, {}, json.dumps(event).encode(), at)
        return RECIPE.sign(bare, revealed(self.config.signing_secrets)[0])


def _name(event: Any) -> tuple[Any, Any, Any]:
    return event["id"], event["subject"], event["type"]
