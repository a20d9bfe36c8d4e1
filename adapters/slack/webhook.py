"""Slack events, slash commands and interactions, all signed alike (v0).

A command or an interaction must be answered within three seconds, so its answer is empty and comes
at once; what was asked for is sent later to its ``response_url``.

Source: https://docs.slack.dev/authentication/verifying-requests-from-slack (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from adapters.slack.account import SlackConfig
from adapters.slack.events import read, read_form, said
from hub.sdk import Deleted, Envelope, HookRequest, RecordRef, Reply, Row, WebhookReceiver
from hub.sdk.signing import Recipe, revealed

RECIPE = Recipe(
    signature="header:x-slack-signature",
    parts=("text:v0", "header:x-slack-request-timestamp", "body"),
    separator=":",
    prefix="v0=",
    timestamp="header:x-slack-request-timestamp",
)


class SlackReceiver(WebhookReceiver[SlackConfig]):
    """One app. An item is an event, a command or an interaction as Slack sent it."""

    def open(self, request: HookRequest) -> Envelope | Reply:
        RECIPE.verify(request, revealed(self.config.signing_secrets))
        if not request.body.startswith(b"{"):
            return Envelope(self.items(request.body, _asked, read=read_form), Reply())
        items = self.items(request.body, _event)
        if items[0].type == "url_verification":
            challenge = str(json.loads(request.body).get("challenge"))
            return Reply(200, challenge.encode("utf-8", "replace"), {"Content-Type": "text/plain"})
        return Envelope(items)

    def parse(self, body: bytes) -> Iterator[Row | RecordRef | Deleted]:
        """What is said in customers' channels; words among colleagues are no customer's."""
        found = read(body)
        (_event if body.startswith(b"{") else _asked)(found)
        if body.startswith(b"{"):
            yield from said(self.config, found)

    def sample(self, at: datetime) -> HookRequest:
        event = {"type": "sample", "channel": "sample"}
        wrapper = {"type": "event_callback", "team_id": "sample", "event": event}
        named = {**wrapper, "event_id": f"sample-{at.timestamp():.0f}"}
        headers = {"x-slack-request-timestamp": str(int(at.timestamp()))}
        bare = HookRequest("POST", headers, {}, json.dumps(named).encode(), at)
        return RECIPE.sign(bare, revealed(self.config.signing_secrets)[0])


def _event(wrapper: Any) -> tuple[Any, Any, Any]:
    event = wrapper.get("event") or {}
    place = event.get("channel") or event.get("user")
    key = f"{wrapper.get('team_id')}/{place}" if isinstance(place, str) else None
    return wrapper.get("event_id"), key, event.get("type") or wrapper["type"]


def _asked(asked: Any) -> tuple[Any, Any, Any]:
    user = asked.get("user_id") or asked["user"]["id"]
    return asked.get("trigger_id"), f"users/{user}", asked.get("command") or asked["type"]
