"""Shopify webhooks: whole orders and customers; only the header says when one was deleted.

Source: https://shopify.dev/docs/apps/build/webhooks/verify-deliveries (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import Field, SecretStr

from hub.sdk import ConnectionConfig, Deleted, Envelope, HookRequest, Reply, Row, WebhookReceiver
from hub.sdk.signing import Recipe, revealed

RECIPE = Recipe(signature="header:x-shopify-hmac-sha256", parts=("body",), encoding="base64")

OPENED = Recipe(signature="query:hmac", parts=("query",), timestamp="query:timestamp")
"""How Shopify signs an address of the app that it opens in a browser."""

STREAMS = {"Order": "orders", "Customer": "customers"}

GONE = {"orders/delete": "orders", "customers/delete": "customers"}


class ShopifyConfig(ConnectionConfig):
    client_secrets: tuple[SecretStr, ...] = Field(
        min_length=1,
        description="Client secret of the app, or the one on the shop's page of webhooks; the old "
        "one signs for up to an hour after a rotation",
    )


class ShopifyReceiver(WebhookReceiver[ShopifyConfig]):
    """One shop. A row is an order or a customer as the body has it."""

    def open(self, request: HookRequest) -> Envelope | Reply:
        secrets = revealed(self.config.client_secrets)
        if request.method == "GET":
            OPENED.verify(request, secrets)
            return Reply(200, b"ok\n", {"Content-Type": "text/plain"})
        RECIPE.verify(request, secrets)
        topic = request.headers.get("x-shopify-topic", "")
        event_id = request.headers.get("x-shopify-webhook-id")

        def name(record: Any) -> tuple[Any, Any, Any]:
            stream = record.get("deleted") or _stream(record)
            return event_id, f"{stream}/{record['id']}" if "id" in record else None, topic

        def gone(record: Any) -> list[Any]:
            return [{"deleted": GONE[topic], "id": record["id"]}]

        return Envelope(self.items(request.body, name, gone if topic in GONE else None))

    def parse(self, body: bytes) -> Iterator[Row | Deleted]:
        record = json.loads(body)
        if "deleted" in record:
            yield Deleted(record["deleted"], str(record["id"]))
        elif stream := _stream(record):
            yield Row(stream, record)

    def sample(self, at: datetime) -> HookRequest:
        body = json.dumps({"sample": at.isoformat()}).encode()
        bare = HookRequest("POST", {}, {}, body, at)
        return RECIPE.sign(bare, revealed(self.config.client_secrets)[0])


def _stream(record: Any) -> str:
    """The stream by the record's global id, gid://shopify/Order/1; "" for what we take none of."""
    parts = record.get("admin_graphql_api_id", "").split("/")
    return STREAMS.get(parts[3], "") if len(parts) == 5 else ""
