"""Demo webhooks: ``X-Demo-Signature`` is hex HMAC-SHA256 of ``<X-Demo-Timestamp>.<body>``.

A body is one event or ``{"events": [...]}``. An event has ``event_id`` and ``stream`` and either
``record`` (complete), or ``id`` alone (to be fetched), or ``id`` and ``"deleted": true``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

from adapters.demo.adapter import DemoConfig
from hub.sdk import Deleted, Envelope, HookRequest, Item, RecordRef, Row, WebhookReceiver
from hub.sdk.signing import header, hmac_digest, verify_fresh, verify_hmac


def sign(secret: str, body: bytes, at: datetime) -> dict[str, str]:
    """The headers that make ``body`` a genuine demo webhook sent at that instant."""
    timestamp = str(int(at.timestamp()))
    digest = hmac_digest(secret.encode(), timestamp.encode() + b"." + body)
    return {"x-demo-timestamp": timestamp, "x-demo-signature": digest.hex()}


class DemoReceiver(WebhookReceiver[DemoConfig]):
    def open(self, request: HookRequest) -> Envelope:
        timestamp = header(request.headers, "x-demo-timestamp")
        given = header(request.headers, "x-demo-signature")
        keys = [secret.get_secret_value().encode() for secret in self.config.webhook_secrets]
        verify_hmac(keys, timestamp.encode() + b"." + request.body, given)
        verify_fresh(timestamp, request.received_at)
        return Envelope(items=_items(request.body))

    def parse(self, body: bytes) -> Iterator[Row | RecordRef | Deleted]:
        event = json.loads(body)
        if "record" in event:
            yield Row(event["stream"], event["record"])
        elif event.get("deleted"):
            yield Deleted(event["stream"], str(event["id"]))
        else:
            yield RecordRef(event["stream"], str(event["id"]))

    def sample(self, at: datetime) -> HookRequest:
        event = {"event_id": f"sample-{at.timestamp():.0f}", "stream": "customers", "id": "sample"}
        body = json.dumps(event).encode()
        headers = {}
        for secret in self.config.webhook_secrets[:1]:
            headers = sign(secret.get_secret_value(), body, at)
        return HookRequest("POST", headers, {}, body, at)


def _items(body: bytes) -> list[Item]:
    try:
        found = json.loads(body)
        events = found.get("events", [found])
        return [_item(event) for event in events]
    except (ValueError, AttributeError, TypeError):
        return [Item(body)]  # genuine but unreadable: kept, and quarantined by parse


def _item(event: dict[str, object]) -> Item:
    record = event.get("record")
    id_ = record.get("id") if isinstance(record, dict) else event.get("id")
    event_id = event.get("event_id")
    return Item(
        body=json.dumps(event, ensure_ascii=False).encode(),
        event_id=str(event_id) if event_id else None,
        order_key=f"{event.get('stream')}/{id_}",
    )
