"""WhatsApp Cloud API: messages and their states, in batches.

Since 2026 a sender may be known by a business-scoped user id alone, without a phone number.

Source: https://developers.facebook.com/docs/graph-api/webhooks/getting-started (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import Field, SecretStr

from hub.sdk import ConnectionConfig, Envelope, HookRequest, Reply, Row, WebhookReceiver
from hub.sdk.signing import Recipe, revealed, verify_token

RECIPE = Recipe(signature="header:x-hub-signature-256", parts=("body",), prefix="sha256=")

KINDS = ("messages", "statuses")


class WhatsappConfig(ConnectionConfig):
    app_secrets: tuple[SecretStr, ...] = Field(
        min_length=1, description="App secret of the Meta app; two while one is reset"
    )
    verify_tokens: tuple[SecretStr, ...] = Field(
        default=(), description="Verify token typed in beside the callback URL at Meta"
    )


class WhatsappReceiver(WebhookReceiver[WhatsappConfig]):
    """One app. An item is one message or state; a row is a message with its sender's contact."""

    def open(self, request: HookRequest) -> Envelope | Reply:
        if request.method == "GET":
            asked = request.query.get
            verify_token(["subscribe"], asked("hub.mode", ""))
            verify_token(revealed(self.config.verify_tokens), asked("hub.verify_token", ""))
            challenge = asked("hub.challenge", "").encode("utf-8", "replace")
            return Reply(200, challenge, {"Content-Type": "text/plain"})
        RECIPE.verify(request, revealed(self.config.app_secrets))
        return Envelope(self.items(request.body, _name, _split), Reply())

    def parse(self, body: bytes) -> Iterator[Row]:
        said = json.loads(body)
        if said["field"] == "messages" and "message" in said:
            yield Row("messages", {**said["message"], "contact": said["contact"]})

    def sample(self, at: datetime) -> HookRequest:
        change = {"field": "sample", "value": {"at": at.isoformat()}}
        body = {"object": "whatsapp_business_account", "entry": [{"id": "0", "changes": [change]}]}
        bare = HookRequest("POST", {}, {}, json.dumps(body).encode(), at)
        return RECIPE.sign(bare, revealed(self.config.app_secrets)[0])


def _split(found: Any) -> Iterator[Any]:
    """One piece per message and state, and per change that holds neither."""
    for change in (change for entry in found["entry"] for change in entry["changes"]):
        value = change["value"]
        told = {"field": change["field"], "metadata": value.get("metadata")}
        contacts = value.get("contacts", [])
        for message in value.get("messages", []):
            mine = [c for c in contacts if _user(c, "wa_id") == _user(message, "from")]
            yield {**told, "message": message, "contact": mine[0] if mine else None}
        for status in value.get("statuses", []):
            yield {**told, "status": status}
        if not any(value.get(kind) for kind in KINDS):
            yield change


def _user(of: Any, phone: str) -> Any:
    return of.get("user_id") or of.get(phone)


def _name(piece: Any) -> tuple[Any, Any, Any]:
    if message := piece.get("message"):
        return message["id"], f"contacts/{_user(message, 'from')}", message["type"]
    if status := piece.get("status"):
        key = f"contacts/{_user(status, 'recipient_id')}"
        return f"{status['id']}/{status['status']}", key, status["status"]
    return None, None, piece["field"]
