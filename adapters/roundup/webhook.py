"""Roundup's thin webhooks: what a detector in the tracker posts when an issue or message changes.

``X-Roundup-Signature`` is ``sha256=`` and the hex HMAC-SHA256 of the body. The body names the
record, which is then fetched, and the instant, so that an old call cannot be sent again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from adapters.roundup.adapter import RoundupConfig
from hub.sdk import Envelope, HookRequest, Item, RecordRef, RejectedError, WebhookReceiver
from hub.sdk.signing import Recipe, revealed, verify_fresh

RECIPE = Recipe(signature="header:x-roundup-signature", parts=("body",), prefix="sha256=")

STREAMS = {"issue": "issues", "msg": "messages", "user": "users"}


class RoundupReceiver(WebhookReceiver[RoundupConfig]):
    def open(self, request: HookRequest) -> Envelope:
        RECIPE.verify(request, revealed(self.config.webhook_secrets))
        try:
            event = json.loads(request.body)
            at, order_key = str(event["at"]), f"{event['class']}/{event['id']}"
        except (ValueError, LookupError, TypeError):
            return Envelope(items=[Item(request.body)])  # genuine but unreadable: for quarantine
        verify_fresh(at, request.received_at)
        return Envelope(items=[Item(request.body, event.get("event_id"), order_key)])

    def parse(self, body: bytes) -> Iterator[RecordRef]:
        event: dict[str, Any] = json.loads(body)
        if event["class"] not in STREAMS:
            raise RejectedError(f"events of the class {event['class']!r} are not known")
        yield RecordRef(STREAMS[event["class"]], str(event["id"]))

    def sample(self, at: datetime) -> HookRequest:
        event = {"event": "updated", "class": "issue", "id": "1", "changed": [], "actor": "1"}
        body = json.dumps({**event, "at": at.isoformat()}).encode()
        bare = HookRequest("POST", {}, {}, body, at)
        secrets = revealed(self.config.webhook_secrets)
        return RECIPE.sign(bare, secrets[0]) if secrets else bare
