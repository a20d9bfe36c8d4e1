"""Frappe webhooks: what is in the body is what the administrator's template says.

The template must name the doctype; ``doc`` with all its fields makes a row, without it the event
only says that something changed.

Source: https://github.com/frappe/frappe, integrations/doctype/webhook/webhook.py (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import Field, SecretStr

from hub.sdk import ConnectionConfig, Deleted, Envelope, HookRequest, Row, WebhookReceiver
from hub.sdk.signing import Recipe, revealed

RECIPE = Recipe(signature="header:x-frappe-webhook-signature", parts=("body",), encoding="base64")

STREAMS = {"Customer": "customers", "Issue": "issues"}


class ErpnextConfig(ConnectionConfig):
    webhook_secrets: tuple[SecretStr, ...] = Field(
        min_length=1,
        description="Webhook Secret of the site's Webhook documents; two while one is changed",
    )


class ErpnextReceiver(WebhookReceiver[ErpnextConfig]):
    """One site. A row is the document under ``doc``."""

    def open(self, request: HookRequest) -> Envelope:
        RECIPE.verify(request, revealed(self.config.webhook_secrets))
        return Envelope(self.items(request.body, _name))

    def parse(self, body: bytes) -> Iterator[Row | Deleted]:
        event = json.loads(body)
        stream = STREAMS.get(event["doctype"])
        if stream and event["event"] == "on_trash":
            yield Deleted(stream, event["name"])
        elif stream and event.get("doc"):
            yield Row(stream, event["doc"])

    def sample(self, at: datetime) -> HookRequest:
        event = {"event": "sample", "doctype": "sample", "name": "sample"}
        body = json.dumps({**event, "modified": at.isoformat()}).encode()
        bare = HookRequest("POST", {}, {}, body, at)
        return RECIPE.sign(bare, revealed(self.config.webhook_secrets)[0])


def _name(event: Any) -> tuple[Any, Any, Any]:
    place = f"{event['doctype']}/{event['name']}"
    verb, modified = event["event"], event.get("modified")
    return f"{place}/{modified}/{verb}" if modified else None, place, f"{event['doctype']} {verb}"
