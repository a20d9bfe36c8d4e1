"""Freshdesk: what an automation rule's "Trigger webhook" sends, flat and without a signature.

Source: https://support.freshdesk.com/support/solutions/articles/132589 (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from hub.sdk import Envelope, HookRequest, Row, WebhookReceiver
from hub.sdk.proof import ProofConfig, attest, prove


class FreshdeskConfig(ProofConfig):
    """One account: the rule gives a header or logs in by HTTP Basic."""


class FreshdeskReceiver(WebhookReceiver[FreshdeskConfig]):
    """One account. An item is what the rule sent."""

    def open(self, request: HookRequest) -> Envelope:
        prove(self.config, request)
        return Envelope(self.items(request.body, _name))

    def parse(self, body: bytes) -> Iterator[Row]:
        """No rows: the rule's fields are no whole ticket, which must be fetched to be known."""
        _name(json.loads(body))
        yield from ()

    def sample(self, at: datetime) -> HookRequest:
        event = {"ticket_id": f"sample-{at.timestamp():.0f}", "triggered_event": "sample"}
        body = json.dumps({"freshdesk_webhook": event}).encode()
        return attest(self.config, HookRequest("POST", {}, {}, body, at))


def _name(event: Any) -> tuple[Any, Any, Any]:
    fields = event.get("freshdesk_webhook") or event
    return None, f"tickets/{fields['ticket_id']}", fields.get("triggered_event")
