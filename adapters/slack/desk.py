"""The desk in Slack: ``/customer 138…`` is answered to the asker alone, a card's link names nobody.

Source: https://docs.slack.dev/interactivity/implementing-slash-commands and
https://docs.slack.dev/messaging/unfurling-links-in-messages (checked 2026-11)
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from adapters.slack.account import SlackConfig
from adapters.slack.events import read
from adapters.slack.writing import escaped
from hub.sdk import Desk, Query, Raw, Shown, View

RESPONSE, WHISPER, UNFURL = "slack_response", "slack_ephemeral", "slack_unfurl"
"""What an address names: where a command is answered, one reader in a channel, a posted link."""

SECTION_MAX = 3000
UNKNOWN = "*"
"""Neither commands nor events tell the language of who asks."""


class SlackDesk(Desk[SlackConfig]):
    """One app. Answers to commands are seen by nobody but who asked."""

    def ask(self, body: bytes) -> Query | None:
        item = read(body)
        if not isinstance(item, dict):
            return None
        if "command" in item:
            return self._command(item)
        event = item.get("event")
        if isinstance(event, dict) and event.get("type") == "link_shared" and self.config.unfurl:
            return self._link(event)
        return None

    def _command(self, item: Raw) -> Query | None:
        if self.config.commands and item["command"] not in self.config.commands:
            return None
        place = f"{item.get('channel_id', '')}/{item['user_id']}"
        return Query(
            text=str(item.get("text", "")),
            asker=str(item["user_id"]),
            place=f"{item.get('response_url', '')} {place}".strip(),
            message=f"command {item.get('trigger_id', place)}",
            private=True,
            refused="" if self.config.may_ask(item["user_id"]) else "asker",
            language=str(item.get("locale") or UNKNOWN),
        )

    def _link(self, event: Raw) -> Query | None:
        link = next((one["url"] for one in event.get("links") or () if _is_card(one["url"])), None)
        if link is None:
            return None
        composed = event.get("source") == "composer"
        where = (event["source"], event["unfurl_id"]) if composed else ()
        place = "/".join(where or (event["channel"], event["message_ts"]))
        user = str(event.get("user") or "unknown")
        return Query(text=link, asker=user, place=place, message=place, language=UNKNOWN)

    def show(self, query: Query, view: View) -> Raw:
        if not query.private:
            return self._unfurled(query, view)
        address, _, reader = query.place.rpartition(" ")
        response = [{"type": RESPONSE, "value": address}] if address else []
        parts = [*filter(None, [view.note]), *map(_plain, view.customers)]
        blocks = [_section(escaped(view.note))] if view.note else []
        return {
            "to": [*response, {"type": WHISPER, "value": reader}],
            "text": "\n\n".join(parts),
            "extra": {"blocks": [*blocks, *(_section(_marked(one)) for one in view.customers)]},
            "automatic": True,
        }

    def _unfurled(self, query: Query, view: View) -> Raw:
        """One line behind a link that others see: whose card it is remains its secret."""
        texts = [one.link_text for one in view.customers] or [view.note]
        return {
            "to": [{"type": UNFURL, "value": query.place}],
            "text": texts[0],
            "extra": {"unfurls": {query.text: {"blocks": [_section(escaped(texts[0]))]}}},
            "automatic": True,
        }


def _is_card(url: str) -> bool:
    told = urlsplit(url)
    return told.path.endswith("/card") and "customer" in parse_qs(told.query)


def _plain(one: Shown) -> str:
    return "\n".join([*filter(None, [one.title]), *one.lines, f"{one.link_text}: {one.link}"])


def _marked(one: Shown) -> str:
    """The customer in Slack's own markup, cut where the lines are too many."""
    head = [f"*{escaped(one.title)}*"] if one.title else []
    link = f"<{escaped(one.link)}|{escaped(one.link_text)}>"
    room = SECTION_MAX - len(link) - 1
    return "\n".join([*head, *map(escaped, one.lines)])[:room] + f"\n{link}"


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}
