"""Writing to Slack: messages, words for one reader, lines behind links.

Source: https://docs.slack.dev/reference/methods/chat.postMessage (checked 2026-11)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from adapters.slack.account import ANSWERS
from adapters.slack.events import row
from hub.sdk import Change, Http, Raw, Receipt, RejectedError

SOUGHT = 200
"""So many of a channel's newest messages are looked through for our own."""


@dataclass(frozen=True)
class Pen:
    """Writes for one app.

    Attributes:
        hooks_url: what the addresses begin with to which a command may be answered.
    """

    http: Http
    hooks_url: str

    def write(self, change: Change) -> Receipt:
        """One message, wherever it is to go."""
        values = dict(change.values)
        values["text"] = escaped(str(values.get("text", "")))
        if unfurl := values.pop("unfurl", None):
            return self._unfurl(change, unfurl, values)
        if "response_url" in values or "ephemeral" in values:
            return self._whisper(change, values)
        if change.id is not None:
            return self._edit(change.id, values)
        return self._post(change, values)

    def _post(self, change: Change, values: Raw) -> Receipt:
        """A message; ours is found again by what Slack keeps with it and shows nobody."""
        user, thread = values.pop("user", None), values.pop("thread", "")
        channel = values.get("channel") or (user and self._direct(user))
        if not channel:
            raise RejectedError(
                "a message is written into a channel",
                hint='Name it: to = [{type = "slack_channel", value = "C…"}].',
            )
        ours, values["channel"] = change.marker or change.key, channel
        if thread.startswith(f"{channel}/"):
            values["thread_ts"] = thread.partition("/")[2]
        if found := self._posted(channel, values.get("thread_ts"), ours):
            return _receipt(channel, found)
        kept = {"event_type": "hub_message", "event_payload": {"hub_key": ours}}
        told = {"unfurl_links": False, "metadata": kept, **values}
        return _receipt(channel, self.http.json("POST", "/chat.postMessage", json=told)["message"])

    def _direct(self, user: str) -> str:
        opened = {"users": user}
        body = self.http.json("POST", "/conversations.open", json=opened, repeatable=True)
        return str(body["channel"]["id"])

    def _posted(self, channel: str, thread: str | None, ours: str) -> Raw | None:
        asked = {"channel": channel, "limit": SOUGHT, "include_all_metadata": "true"}
        method = "/conversations.history"
        if thread:
            asked, method = {**asked, "ts": thread}, "/conversations.replies"
        for message in self.http.get(method, params=asked)["messages"]:
            if (message.get("metadata") or {}).get("event_payload", {}).get("hub_key") == ours:
                return dict(message)
        return None

    def _edit(self, id_: str, values: Raw) -> Receipt:
        channel, _, ts = id_.partition("/")
        told = {k: v for k, v in values.items() if k in ("text", "blocks")}
        told |= {"channel": channel, "ts": ts}
        body = self.http.json("POST", "/chat.update", json=told, repeatable=True)
        return _receipt(channel, {**body.get("message", {}), "ts": body["ts"]})

    def _whisper(self, change: Change, values: Raw) -> Receipt:
        """Words for one reader: where Slack waits for them, else beside their conversation."""
        url, place = values.pop("response_url", None), values.pop("ephemeral", "")
        channel, _, user = place.partition("/")
        receipt = Receipt(f"ephemeral/{change.key}")
        told: Raw = {k: v for k, v in values.items() if k in ("text", "blocks")}
        try:
            if url:
                self._respond(url, told)
                return receipt
        except RejectedError:  # it is open for half an hour
            if not channel:
                raise
        told |= {"channel": channel, "user": user}
        self.http.json("POST", "/chat.postEphemeral", json=told)
        return receipt

    def _respond(self, url: str, told: Raw) -> None:
        if not url.startswith(self.hooks_url):  # whoever writes a rule may name any
            raise RejectedError("this is no address of Slack's to answer to")
        nobody: dict[str, Any] = {"Authorization": None}  # the address is proof enough
        body = {"response_type": "ephemeral", "replace_original": False, **told}
        answer = self.http.request("POST", url, json=body, headers=nobody)
        if answer.content.startswith(b"{"):  # otherwise it is "ok"
            ANSWERS(answer.json())

    def _unfurl(self, change: Change, place: str, values: Raw) -> Receipt:
        first, _, second = place.partition("/")
        names = ("source", "unfurl_id") if first == "composer" else ("channel", "ts")
        told = {**dict(zip(names, (first, second), strict=True)), "unfurls": values["unfurls"]}
        self.http.json("POST", "/chat.unfurl", json=told, repeatable=True)
        return Receipt(f"unfurl/{change.key}")


def _receipt(channel: str, message: Raw) -> Receipt:
    return Receipt(f"{channel}/{message['ts']}", row(message, channel, "colleague"))


def escaped(text: str) -> str:
    """Text that calls nobody and leads nowhere, whatever a customer is called."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
