"""The desk in 飞书: what colleagues write to the bot, or say to it in a group.

In a group others read along: there the answer is a link for whom may sign in.

Source: https://open.feishu.cn/document/server-docs/im-v1/message/events/receive (checked 2026-11)
"""

from __future__ import annotations

import json
from typing import Any

from adapters.feishu.config import FeishuConfig
from adapters.feishu.messages import spoken
from adapters.feishu.webhook import MESSAGE
from hub.sdk import Desk, Query, Raw, View, as_card, asked_for

CHAT = "feishu_chat"
ALONE = "p2p"
"""``chat_type`` of a talk with nobody but the bot."""


class FeishuDesk(Desk[FeishuConfig]):
    """The bot of one app."""

    def ask(self, body: bytes) -> Query | None:
        event = json.loads(body)
        header, told = event.get("header") or {}, event.get("event") or {}
        message = told.get("message") or {}
        if not self.config.app_secret.get_secret_value():
            return None  # who only receives cannot answer
        if header.get("event_type") != MESSAGE or message.get("message_type") != "text":
            return None
        if message.get("chat_id") in self.config.customer_chats:
            return None
        private = message.get("chat_type") == ALONE
        said, is_meant = _said_to_the_bot(message)
        text = asked_for(said, self.config.commands)
        if not text or not (private or is_meant or text != said):
            return None  # an app may hear all of a group: a bare number there is for others
        sender = told.get("sender") or {}
        asker = str((sender.get("sender_id") or {}).get("open_id") or "")
        is_ours = bool(asker) and sender.get("tenant_key") == header.get("tenant_key")
        return Query(
            text=text,
            asker=asker or "stranger",
            place=str(message["chat_id"]),
            message=str(message["message_id"]),
            private=private,
            refused="" if is_ours and self._may_ask(asker) else "asker",
        )

    def show(self, query: Query, view: View) -> Raw:
        return {"to": [{"type": CHAT, "value": query.place}], **as_card(view)}

    def _may_ask(self, user: str) -> bool:
        return not self.config.askers or user in self.config.askers


def _said_to_the_bot(message: Raw) -> tuple[str, bool]:
    """The words without the names in front, and whether one of those is a bot's."""
    text = spoken("text", _content(message)).strip()
    is_meant = False
    for one in message.get("mentions") or ():
        is_meant |= one.get("mentioned_type", "bot") == "bot"  # older events do not tell
        text = text.removeprefix(str(one.get("key"))).strip()
    return text, is_meant


def _content(message: Raw) -> Any:
    try:
        return json.loads(message.get("content") or "{}")
    except ValueError:
        return {}
