"""The desk in 钉钉: what colleagues write to the app's robot, or say to it in a group.

In a group others read along: there the answer is a link for whom may sign in. It is sent by the
robot to the colleague or group, never to the address (``sessionWebhook``) that came along: the
header of a robot's message proves its sender and says nothing of the body.

Source: https://open.dingtalk.com/document/orgapp/receive-message (checked 2026-11)
"""

from __future__ import annotations

import json

from adapters.dingtalk.config import DingtalkConfig
from adapters.dingtalk.messages import CHAT, USER
from hub.sdk import Desk, Query, Raw, View, as_card, asked_for

ALONE = "1"
"""``conversationType`` of a talk with nobody but the robot."""


class DingtalkDesk(Desk[DingtalkConfig]):
    """The robot of one app; in groups it hears only what is said to it."""

    answers = "robot_messages"

    def ask(self, body: bytes) -> Query | None:
        item = json.loads(body)
        if not self.config.app_secrets:
            return None  # who only receives cannot answer
        if item.get("msgtype") != "text" or not item.get("msgId"):
            return None
        if item.get("conversationId") in self.config.customer_chats:
            return None
        text = asked_for(str((item.get("text") or {}).get("content") or ""), self.config.commands)
        if not text:
            return None
        asker = str(item.get("senderStaffId") or "")
        private = item.get("conversationType") == ALONE
        return Query(
            text=text,
            asker=asker or "stranger",
            place=asker if private else str(item["conversationId"]),
            message=str(item["msgId"]),
            private=private,
            refused="" if self._may_ask(asker) else "asker",
        )

    def show(self, query: Query, view: View) -> Raw:
        type_ = USER if query.private else CHAT
        return {"to": [{"type": type_, "value": query.place}], **as_card(view)}

    def _may_ask(self, user: str) -> bool:
        """Only colleagues have a userid."""
        return bool(user) and (not self.config.askers or user in self.config.askers)
