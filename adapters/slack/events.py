"""What Slack sends: events as JSON, commands as a form, interactions as JSON within one.

Source: https://docs.slack.dev/reference/events/message (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from adapters.slack.account import SlackConfig
from hub.sdk import Deleted, Raw, RecordRef, Row
from hub.sdk.signing import form

SPOKEN = (None, "file_share", "thread_broadcast", "me_message")
"""Kinds of messages somebody wrote; the others tell what happened in a channel."""


def read(body: bytes) -> Any:
    """A stored item as its fields."""
    return json.loads(body) if body.startswith(b"{") else read_form(body)


def read_form(body: bytes) -> Any:
    """The fields of a command, or what the one field of an interaction holds."""
    fields = dict(form(body))
    return json.loads(fields["payload"]) if "payload" in fields else fields


def said(config: SlackConfig, wrapper: Raw) -> Iterator[Row | RecordRef | Deleted]:
    """A message in a customers' channel, and who wrote it; nothing of what is said elsewhere."""
    event = wrapper.get("event") or {}
    channel, kind = event.get("channel"), event.get("subtype")
    if event.get("type") != "message" or channel not in config.customer_channels:
        return
    if kind == "message_deleted":
        yield Deleted("messages", f"{channel}/{event['deleted_ts']}")
        return
    message = event["message"] if kind == "message_changed" else event
    if message.get("subtype") not in SPOKEN or message.get("bot_id"):  # ours, or another app's
        return
    is_ours = (message.get("user_team") or message.get("team") or "") in _own(config, wrapper)
    yield Row("messages", row(message, channel, "colleague" if is_ours else "customer"))
    if not is_ours and config.asks:
        yield RecordRef("users", str(message["user"]))


def row(message: Raw, channel: str, author: str) -> Raw:
    """A message with its place and who wrote it; its time alone names it in one channel only."""
    return {**message, "channel": channel, "author_role": author}


def _own(config: SlackConfig, wrapper: Raw) -> set[str]:
    """Our own workspaces: "" is one, for a message between colleagues names none."""
    told = [one["team_id"] for one in wrapper.get("authorizations") or () if one.get("team_id")]
    return {"", *([config.team_id] if config.team_id else told or [str(wrapper.get("team_id"))])}
