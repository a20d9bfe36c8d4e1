"""Zammad webhooks: a ticket with everything around it, and the article that set it off.

Source: https://admin-docs.zammad.org/en/latest/manage/webhook.html and lib/user_agent.rb of
https://github.com/zammad/zammad (checked 2026-11)
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import nh3
from pydantic import Field, SecretStr

from hub.sdk import ConnectionConfig, Envelope, HookRequest, Raw, Row, WebhookReceiver
from hub.sdk.signing import Recipe, revealed

RECIPE = Recipe(
    signature="header:x-hub-signature", parts=("body",), digest="hmac-sha1", prefix="sha1="
)

_LINE_END = re.compile(r"(?i)<(br|/p|/div|/tr|/li|/h[1-6])\b[^>]*>")


class ZammadConfig(ConnectionConfig):
    tokens: tuple[SecretStr, ...] = Field(
        min_length=1,
        description="HMAC SHA1 Signature Token of the webhook; two while one is changed",
    )


class ZammadReceiver(WebhookReceiver[ZammadConfig]):
    """One system. Rows are the ticket, its customer and the article."""

    def open(self, request: HookRequest) -> Envelope:
        RECIPE.verify(request, revealed(self.config.tokens))
        delivery = request.headers.get("x-zammad-delivery")

        def name(event: Any) -> tuple[Any, Any, Any]:
            kind = "article" if event.get("article") else "ticket"
            return delivery, f"tickets/{event['ticket']['id']}", kind

        return Envelope(self.items(request.body, name))

    def parse(self, body: bytes) -> Iterator[Row]:
        event = json.loads(body)
        if event.get("sample"):
            return
        ticket, article = event["ticket"], event.get("article") or {}
        if isinstance(customer := ticket.get("customer"), dict):
            yield Row("users", customer)
        if "title" in ticket:
            yield Row("tickets", ticket)
        if "body" in article and not article.get("internal"):
            yield Row("ticket_articles", _article(article, ticket))

    def sample(self, at: datetime) -> HookRequest:
        body = json.dumps({"sample": at.isoformat()}).encode()
        bare = HookRequest("POST", {}, {}, body, at)
        return RECIPE.sign(bare, revealed(self.config.tokens)[0])


def _article(article: Raw, ticket: Raw) -> Raw:
    """The article with what only the ticket tells, and its words as plain text."""
    body = str(article["body"])
    if "html" in str(article.get("content_type")):
        spaced = _LINE_END.sub(r"\g<0>\n", body)
        body = html.unescape(nh3.clean(spaced, tags=set())).strip()
    told = {"ticket_id": ticket["id"], "customer_id": ticket.get("customer_id")}
    return {**article, **told, "body": body}
