"""Receiver for any sender that follows Standard Webhooks 1.0.

A body is ``{"type": "order.updated", "timestamp": ..., "data": {...}}`` with an ``id`` in data; the
word before the first dot names the stream, ``order.deleted`` says the record is gone.

Source: https://github.com/standard-webhooks/standard-webhooks (1.0.0, checked 2026-11)
"""

from __future__ import annotations

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
    SignatureError,
    WebhookReceiver,
)
from hub.sdk.signing import STANDARD_PUBLIC, header, revealed, standard


class StandardConfig(ConnectionConfig):
    secrets: tuple[SecretStr, ...] = Field(
        min_length=1,
        description='Signing secrets ("whsec_…") or public keys ("whpk_…"); two while one is '
        "rotated",
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
        self._verify(request)
        event_id = header(request.headers, f"{self.config.header_prefix}-id")
        if "." in event_id:
            raise SignatureError("the id holds a dot, so it cannot be told from the timestamp")
        type_, order_key = self._names(request.body)
        return Envelope(items=[Item(request.body, event_id, order_key, type_)])

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
        prefix = self.config.header_prefix
        headers = {f"{prefix}-id": f"sample_{timestamp}", f"{prefix}-timestamp": timestamp}
        shared, _ = self._keys()
        if not shared:
            return super().sample(at)
        return standard(prefix)[0].sign(HookRequest("POST", headers, {}, body, at), shared[0])

    def _verify(self, request: HookRequest) -> None:
        """A public key is never tried as a shared secret: everybody knows it."""
        v1, v1a = standard(self.config.header_prefix)
        shared, public = self._keys()
        try:
            v1.verify(request, shared)
        except SignatureError:
            if not public:
                raise
            v1a.verify(request, public)

    def _keys(self) -> tuple[list[str], list[str]]:
        """The shared secrets and the public keys."""
        keys = revealed(self.config.secrets)
        public = [key for key in keys if key.startswith(STANDARD_PUBLIC.key_prefix)]
        return [key for key in keys if key not in public], public

    def _stream(self, event: dict[str, Any]) -> str:
        word = event["type"].partition(".")[0]
        return self.config.rename.get(word, f"{word}s")

    def _names(self, body: bytes) -> tuple[str, str | None]:
        """The event's type and order key."""
        try:
            event = json.loads(body)
            return event["type"], f"{self._stream(event)}/{event['data']['id']}"
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return "", None  # genuine but unreadable: kept, and quarantined by parse
