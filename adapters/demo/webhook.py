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
from hub.sdk.signing import Recipe, revealed

RECIPE = Recipe(
    signature="header:x-demo-signature",
    parts=("header:x-demo-timestamp", "body"),
    separator=".",
    timestamp="header:x-demo-timestamp",
)


def sign(secret: str, body: bytes, at: datetime) -> dict[str, str]:
    """The headers that make ``body`` a genuine demo webhook sent at that instant."""
    bare = HookRequest("POST", {"x-demo-timestamp": str(int(at.timestamp()))}, {}, body, at)
    return dict(RECIPE.sign(bare, secret).headers)


class DemoReceiver(WebhookReceiver[DemoConfig]):
    def open(self, request: HookRequest) -> Envelope:
        RECIPE.verify(request, revealed(self.config.webhook_secrets))
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
        secrets = revealed(self.config.webhook_secrets)
        return HookRequest("POST", sign(secrets[0], body, at) if secrets else {}, {}, body, at)


def _items(body: bytes) -> list[Item]:
    try:
        found = json.loads(body)
        events = found.get("events", [found])
        return [_item(event) for event in events]
    except (ValueError, AttributeError, TypeError, RecursionError):
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
