"""Stripe events. ``Stripe-Signature`` holds the instant and one ``v1`` per secret in use.

Unlike in Standard Webhooks the whole text of the secret is the key, ``whsec_`` included.

Source: https://docs.stripe.com/webhooks (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import Field, SecretStr

from hub.sdk import ConnectionConfig, Deleted, Envelope, HookRequest, Row, WebhookReceiver
from hub.sdk.signing import Recipe, revealed

RECIPE = Recipe(
    signature="header:stripe-signature#v1",
    parts=("header:stripe-signature#t", "body"),
    separator=".",
    timestamp="header:stripe-signature#t",
)

STREAMS = {"customer": "customers", "invoice": "invoices"}


class StripeConfig(ConnectionConfig):
    signing_secrets: tuple[SecretStr, ...] = Field(
        min_length=1,
        description='Signing secret of the endpoint ("whsec_…"); two while one is rolled',
    )


class StripeReceiver(WebhookReceiver[StripeConfig]):
    """One endpoint. A row is the object of a snapshot event with the event's ``event_created``."""

    def open(self, request: HookRequest) -> Envelope:
        RECIPE.verify(request, revealed(self.config.signing_secrets))
        return Envelope(self.items(request.body, _name))

    def parse(self, body: bytes) -> Iterator[Row | Deleted]:
        event = json.loads(body)
        told = event.get("data", {}).get("object", {})  # thin events only name their object
        stream = STREAMS.get(told.get("object"))
        if stream and event["type"].endswith(".deleted"):
            yield Deleted(stream, told["id"])
        elif stream:
            yield Row(stream, {**told, "event_created": event["created"]})

    def sample(self, at: datetime) -> HookRequest:
        event = {"id": f"sample-{at.timestamp():.0f}", "object": "event", "type": "sample"}
        headers = {"stripe-signature": f"t={at.timestamp():.0f}"}
        bare = HookRequest("POST", headers, {}, json.dumps(event).encode(), at)
        return RECIPE.sign(bare, revealed(self.config.signing_secrets)[0])


def _name(event: Any) -> tuple[Any, Any, Any]:
    about = event.get("related_object") or event.get("data", {}).get("object") or {}
    key = f"{about.get('object') or about.get('type')}/{about['id']}" if "id" in about else None
    return event["id"], key, event["type"]
