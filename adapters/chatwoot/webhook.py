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

from adapters.chatwoot.account import ChatwootConfig
from adapters.chatwoot.lists import is_spoken
from hub.sdk import Envelope, HookRequest, RecordRef, Row, WebhookReceiver
from hub.sdk.signing import Recipe, revealed, verify_token

RECIPE = Recipe(
    signature="header:x-chatwoot-signature",
    parts=("header:x-chatwoot-timestamp", "body"),
    separator=".",
    prefix="sha256=",
    timestamp="header:x-chatwoot-timestamp",
)


KINDS = ("contact", "conversation", "message")
VERBS = ("created", "updated", "status_changed", "opened", "resolved")
"""What of the events is news of a record; somebody who types is not."""


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

    def parse(self, body: bytes) -> Iterator[Row | RecordRef]:
        """What it tells of; a contact is fetched where that can be, for the event lacks its dates.

        Notes and what agents did are no words with a customer.
        """
        event = json.loads(body)
        kind, _, verb = event["event"].partition("_")
        if kind not in KINDS or verb not in VERBS:
            return
        if kind == "contact" and self.config.asks:
            yield RecordRef("contacts", str(event["id"]))
        elif kind != "message" or is_spoken(event):
            yield Row(f"{kind}s", event)

    def sample(self, at: datetime) -> HookRequest:
        event = {"event": "sample", "id": f"sample-{at.timestamp():.0f}"}
        headers = {"x-chatwoot-timestamp": f"{at.timestamp():.0f}"}
        bare = HookRequest("POST", headers, {}, json.dumps(event).encode(), at)
        if self.config.secrets:
            return RECIPE.sign(bare, revealed(self.config.secrets)[0])
        path = next(iter(revealed(self.config.path_tokens)), "")
        return HookRequest("POST", {}, {}, bare.body, at, path=path)
