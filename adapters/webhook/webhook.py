"""Receiver for any sender that follows Standard Webhooks 1.0.

A body is ``{"type": "order.updated", "timestamp": ..., "data": {...}}`` with an ``id`` in data; the
word before the first dot names the stream, ``order.deleted`` says the record is gone.

Source: https://github.com/standard-webhooks/standard-webhooks (1.0.0, checked 2026-11)
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import Field, SecretStr

from hub.sdk import (
    ConfigError,
    ConnectionConfig,
    Deleted,
    Envelope,
    HookRequest,
    Item,
    RecordRef,
    Row,
    WebhookReceiver,
)
from hub.sdk.signing import standard_signature, verify_standard


class StandardConfig(ConnectionConfig):
    secrets: tuple[SecretStr, ...] = Field(
        min_length=1,
        description='Signing secrets ("whsec_…"); two while one is being rotated',
        examples=[["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]],
    )
    header_prefix: str = Field(
        default="webhook",
        pattern=r"^[a-z0-9-]+$",
        description='First word of the three headers: "webhook", or "svix" for older senders',
    )
    accept: tuple[str, ...] = Field(
        min_length=1,
        default=("customers", "orders", "invoices", "products", "tickets", "messages"),
        description="Streams this sender may write to; each needs a mapping of that name",
    )
    rename: dict[str, str] = Field(
        default={},
        description='Stream of an event\'s first word where that is not the word + "s"',
        examples=[{"case": "tickets"}],
    )


class StandardReceiver(WebhookReceiver[StandardConfig]):
    """One sender. A row is an event's data with ``event_type`` and ``event_timestamp``."""

    def open(self, request: HookRequest) -> Envelope:
        event_id = verify_standard(
            [secret.get_secret_value() for secret in self.config.secrets],
            request.headers,
            request.body,
            request.received_at,
            prefix=self.config.header_prefix,
        )
        return Envelope(items=[Item(request.body, event_id, self._order_key(request.body))])

    def parse(self, body: bytes) -> Iterator[Row | RecordRef | Deleted]:
        event = json.loads(body)
        stream = self._stream(event)
        if stream not in self.config.accept:
            raise ConfigError(
                f"the stream {stream!r} is not accepted",
                hint="Add it to `accept` of this connection, or give the event's word a `rename`.",
            )
        if event["type"].endswith(".deleted"):
            yield Deleted(stream, str(event["data"]["id"]))
        else:
            told = {"event_type": event["type"], "event_timestamp": event.get("timestamp")}
            yield Row(stream, {**event["data"], **told})

    def sample(self, at: datetime) -> HookRequest:
        stream = self.config.accept[0]
        words = [word for word, renamed in self.config.rename.items() if renamed == stream]
        word = words[0] if words else stream.removesuffix("s")
        event = {"type": f"{word}.deleted", "data": {"id": "sample"}}
        body, timestamp = json.dumps(event).encode(), str(int(at.timestamp()))
        headers = {f"{self.config.header_prefix}-id": f"sample_{timestamp}"}
        headers[f"{self.config.header_prefix}-timestamp"] = timestamp
        signature = standard_signature(
            self.config.secrets[0].get_secret_value(), f"sample_{timestamp}", timestamp, body
        )
        encoded = base64.b64encode(signature).decode()
        headers[f"{self.config.header_prefix}-signature"] = f"v1,{encoded}"
        return HookRequest("POST", headers, {}, body, at)

    def _stream(self, event: dict[str, Any]) -> str:
        word = event["type"].partition(".")[0]
        return self.config.rename.get(word, f"{word}s")

    def _order_key(self, body: bytes) -> str | None:
        try:
            event = json.loads(body)
            return f"{self._stream(event)}/{event['data']['id']}"
        except (ValueError, LookupError, TypeError, AttributeError):
            return None  # genuine but unreadable: kept, and quarantined by parse
