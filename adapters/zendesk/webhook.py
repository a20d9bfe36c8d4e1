"""Zendesk webhooks: events by subscription, or whatever a trigger's template says.

The text of the timestamp is signed as it stands, right before the body.

Source: https://developer.zendesk.com/documentation/webhooks/verifying/ (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from adapters.zendesk.account import ZendeskConfig
from hub.sdk import Deleted, Envelope, HookRequest, RecordRef, WebhookReceiver
from hub.sdk.signing import Recipe, revealed

RECIPE = Recipe(
    signature="header:x-zendesk-webhook-signature",
    parts=("header:x-zendesk-webhook-signature-timestamp", "body"),
    encoding="base64",
    timestamp="header:x-zendesk-webhook-signature-timestamp",
)

STREAMS = {"ticket": "tickets", "user": "users", "organization": "organizations"}
GONE = ("deleted", "permanently_deleted", "soft_deleted")


class ZendeskReceiver(WebhookReceiver[ZendeskConfig]):
    """One webhook. An item is an event, or what a trigger sent."""

    def open(self, request: HookRequest) -> Envelope:
        RECIPE.verify(request, revealed(self.config.signing_secrets))
        return Envelope(self.items(request.body, _name))

    def parse(self, body: bytes) -> Iterator[RecordRef | Deleted]:
        """What is gone, or is to be fetched: an event holds a part of its record only."""
        event = json.loads(body)
        kind, _, verb = event.get("type", "").removeprefix("zen:event-type:").partition(".")
        if kind not in STREAMS:
            return
        id_ = event["subject"].rpartition(":")[2]
        if verb in GONE:
            yield Deleted(STREAMS[kind], id_)
        elif self.config.asks:
            yield RecordRef(STREAMS[kind], id_)
            said = (event.get("event") or {}).get("comment") if kind == "ticket" else None
            if said and said.get("id"):
                yield RecordRef("ticket_comments", f"{id_}-{said['id']}")

    def sample(self, at: datetime) -> HookRequest:
        event = {"id": f"sample-{at.timestamp():.0f}", "type": "sample", "subject": "sample"}
        instant = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        headers = {"x-zendesk-webhook-signature-timestamp": instant}
        bare = HookRequest("POST", headers, {}, json.dumps(event).encode(), at)
        return RECIPE.sign(bare, revealed(self.config.signing_secrets)[0])


def _name(event: Any) -> tuple[Any, Any, Any]:
    return event["id"], event["subject"], event["type"]
