"""Telegram bots: updates, proven by a word we gave Telegram ourselves.

Source: https://core.telegram.org/bots/api#setwebhook (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import Field, SecretStr

from hub.sdk import ConnectionConfig, Envelope, HookRequest, Reply, Row, WebhookReceiver
from hub.sdk.signing import header, revealed, verify_token

HEADER = "x-telegram-bot-api-secret-token"

MESSAGES = ("message", "edited_message")


class TelegramConfig(ConnectionConfig):
    secret_tokens: tuple[SecretStr, ...] = Field(
        min_length=1,
        description="secret_token given to setWebhook (A-Z a-z 0-9 _ -); two while one is changed",
    )


class TelegramReceiver(WebhookReceiver[TelegramConfig]):
    """One bot. A row is a message a person wrote in a private chat."""

    def open(self, request: HookRequest) -> Envelope:
        verify_token(revealed(self.config.secret_tokens), header(request.headers, HEADER))
        return Envelope(self.items(request.body, name_of), Reply())

    def parse(self, body: bytes) -> Iterator[Row]:
        update = json.loads(body)
        for message in (update[kind] for kind in MESSAGES if kind in update):
            if message["chat"]["type"] == "private" and not message["from"].get("is_bot"):
                yield Row("messages", message)

    def sample(self, at: datetime) -> HookRequest:
        headers = {HEADER: revealed(self.config.secret_tokens)[0]}
        update = {"update_id": round(at.timestamp()), "sample": {}}
        return HookRequest("POST", headers, {}, json.dumps(update).encode(), at)


def name_of(update: Any) -> tuple[Any, Any, Any]:
    (kind,) = (key for key in update if key != "update_id")
    about = update[kind].get("message") or update[kind]
    chat = about.get("chat", {}).get("id")
    return update["update_id"], f"chats/{chat}" if chat is not None else None, kind
