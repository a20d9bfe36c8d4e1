"""Chatwoot webhooks: whole contacts, conversations and messages.

Servers since 2026 sign the instant and the body. Older ones sign nothing; for them a connection has
a secret path in place of a secret.

Source: https://github.com/chatwoot/chatwoot, lib/webhooks/trigger.rb (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import Field, SecretStr

from hub.sdk import ConnectionConfig, Envelope, HookRequest, Row, WebhookReceiver
from hub.sdk.signing import Recipe, revealed, verify_token

RECIPE = Recipe(
    signature="header:x-chatwoot-signature",
    parts=("header:x-chatwoot-timestamp", "body"),
    separator=".",
    prefix="sha256=",
    timestamp="header:x-chatwoot-timestamp",
)


class ChatwootConfig(ConnectionConfig):
    secrets: tuple[SecretStr, ...] = Field(
        default=(),
        description="Secret Chatwoot made for the webhook; with one, unsigned events are refused",
    )
    path_tokens: tuple[SecretStr, ...] = Field(
        default=(),
        description="Only for servers that sign nothing, and used only without `secrets`: secret "
        "last part of the address, /hooks/<connection>/<token>",
    )


class ChatwootReceiver(WebhookReceiver[ChatwootConfig]):
    """One account. A row is a contact, conversation or message as the event has it."""

    def open(self, request: HookRequest) -> Envelope:
        if self.config.secrets:
            RECIPE.verify(request, revealed(self.config.secrets))
        else:
            verify_token(revealed(self.config.path_tokens), request.path)
        delivery = request.headers.get("x-chatwoot-delivery")

        def name(event: Any) -> tuple[Any, Any, Any]:
            about = event.get("conversation") or event
            kind = event["event"].partition("_")[0]
            place = kind if kind == "contact" else "conversation"
            return delivery, f"{place}s/{about['id']}", event["event"]

        return Envelope(self.items(request.body, name))

    def parse(self, body: bytes) -> Iterator[Row]:
        event = json.loads(body)
        kind = event["event"].partition("_")[0]
        if kind == "message":
            said = event.get("message_type") in ("incoming", "outgoing", "template")
            if said and not event.get("private"):  # notes and changes are no words with a customer
                yield Row("messages", event)
        elif kind in ("contact", "conversation"):
            yield Row(f"{kind}s", event)

    def sample(self, at: datetime) -> HookRequest:
        event = {"event": "sample", "id": f"sample-{at.timestamp():.0f}"}
        headers = {"x-chatwoot-timestamp": f"{at.timestamp():.0f}"}
        bare = HookRequest("POST", headers, {}, json.dumps(event).encode(), at)
        if self.config.secrets:
            return RECIPE.sign(bare, revealed(self.config.secrets)[0])
        path = next(iter(revealed(self.config.path_tokens)), "")
        return HookRequest("POST", {}, {}, bare.body, at, path=path)
