"""SendGrid's Event Webhook: a batch of what became of messages, signed by ECDSA.

The signature covers the body to its very end, the CR LF after the JSON included.

Source: https://www.twilio.com/docs/sendgrid/for-developers/tracking-events (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import Field, SecretStr

from hub.sdk import ConnectionConfig, Envelope, HookRequest, Row, WebhookReceiver
from hub.sdk.signing import Recipe, revealed

_HEADER = "header:x-twilio-email-event-webhook"

RECIPE = Recipe(
    signature=f"{_HEADER}-signature",
    parts=(f"{_HEADER}-timestamp", "body"),
    digest="ecdsa-p256-sha256",
    encoding="base64",
    key="base64",
    timestamp=f"{_HEADER}-timestamp",
)


class SendgridConfig(ConnectionConfig):
    public_keys: tuple[SecretStr, ...] = Field(
        min_length=1,
        description="Verification key of the event webhook; two while one is replaced",
        examples=[
            [
                "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1"
                "flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g=="
            ]
        ],
    )
    tolerance_s: int = Field(
        default=300,
        ge=60,
        le=3 * 86400,
        description="How far an event's instant may be from now, in seconds; raise it if events "
        "that come again after an outage are refused as stale",
    )


class SendgridReceiver(WebhookReceiver[SendgridConfig]):
    """One account. An item is one event of a batch."""

    def open(self, request: HookRequest) -> Envelope:
        recipe = RECIPE.model_copy(update={"tolerance_s": self.config.tolerance_s})
        recipe.verify(request, revealed(self.config.public_keys))
        return Envelope(self.items(request.body, _name, _split))

    def parse(self, body: bytes) -> Iterator[Row]:
        """No rows: the events are about mail we sent ourselves."""
        _name(json.loads(body))
        yield from ()


def _split(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]


def _name(event: Any) -> tuple[Any, Any, Any]:
    return event["sg_event_id"], event.get("sg_message_id"), event["event"]
