"""A Message as 飞书 shows it: plain text, or a card with buttons.

Its fields, as the mapping writes them: ``title``, ``text`` in plain, and ``html``, of which only
the links are taken: with at least one the message becomes a card, and each is a button. Text is a
customer's in the end: a card shows it as plain text, and in a text message it mentions nobody.

Source: https://open.feishu.cn/document/server-docs/im-v1/message-content-description/create_json
and https://open.feishu.cn/document/feishu-cards/card-json-structure (checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.sdk import Raw, RejectedError, links

TITLE_MAX = 100


def content(values: Mapping[str, Any]) -> tuple[str, Raw]:
    """The kind of message, and what it holds."""
    text = str(values.get("text") or "").strip()
    title = str(values.get("title") or "").strip()
    buttons = links(str(values.get("html") or ""))
    if not buttons:
        if not text:
            raise RejectedError("a message needs a text", hint="Give the rule a text.")
        whole = f"{title}\n{text}" if title else text
        return "text", {"text": whole.replace("<", "＜")}
    title = title or text.partition("\n")[0] or buttons[0].label
    elements: list[Raw] = [{"tag": "div", "text": _plain(text)}] if text else []
    shown = [
        {"tag": "button", "text": _plain(label), "url": url, "type": "primary"}
        for label, url in buttons
    ]
    return "interactive", {
        "config": {"wide_screen_mode": True},
        "header": {"title": _plain(title[:TITLE_MAX]), "template": "blue"},
        "elements": [*elements, {"tag": "action", "actions": shown}],
    }


def spoken(message_type: Any, told: Any) -> str:
    """The words of a message somebody sent; "" for pictures and the like."""
    if not isinstance(told, dict):
        return ""
    if message_type != "post":
        return str(told.get("text") or "")
    lines = [[str(part.get("text") or "") for part in line] for line in told.get("content") or ()]
    return "\n".join(filter(None, [str(told.get("title") or ""), *map("".join, lines)]))


def _plain(text: str) -> Raw:
    return {"tag": "plain_text", "content": text}
