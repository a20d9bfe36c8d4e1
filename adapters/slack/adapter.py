"""Slack: colleagues, and customers in shared channels; messages, answers, lines behind links.

Rows are members and messages as Slack has them. Added are, to a member, ``hub_role``; to a message,
``channel`` and ``author_role``. A message is named by channel and time.

Source: https://docs.slack.dev/reference/methods (checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from adapters.slack.account import SlackConfig
from adapters.slack.events import row
from adapters.slack.writing import Pen
from hub.sdk import (
    Adapter,
    Change,
    CursorExpiredError,
    Http,
    Page,
    Raw,
    Receipt,
    RecordRef,
    RejectedError,
    Stream,
    UnsupportedError,
)

USERS = Stream("users", every_s=3600, whole=False)  # customers among them are in no list
MESSAGES = Stream("messages", writable=True)
ANEW = "anew"
"""The cursor behind a whole list: there is no "changed since"."""


class SlackAdapter(Adapter[SlackConfig]):
    """One app in one workspace."""

    looks_up = True
    streams = (USERS, MESSAGES)

    def connect(self) -> Http:
        return self.config.http()

    def reads(self, stream: Stream) -> bool:
        return self.config.asks and stream.name == USERS.name

    def check(self) -> None:
        if self.config.asks:  # who takes events only has nothing to try
            self.http.get("/auth.test")
            self.http.get("/users.list", params={"limit": 1})

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        if stream.name != USERS.name:
            raise UnsupportedError("messages of Slack come by events only")
        place = cursor if cursor != ANEW else None
        while True:
            asked = {"limit": self.config.page_size, **({"cursor": place} if place else {})}
            try:
                body = self.http.get("/users.list", params=asked)
            except RejectedError as exc:
                if place is None or place != cursor:
                    raise
                raise CursorExpiredError("Slack does not know our place any more") from exc
            place = (body.get("response_metadata") or {}).get("next_cursor") or None
            rows = [self._member(one) for one in body["members"] if not _is_bot(one)]
            yield Page([one for one in rows if one["hub_role"] == "colleague"], place or ANEW)
            if place is None:
                return

    def fetch(self, ref: RecordRef) -> Raw | None:
        if ref.stream == USERS.name:
            body = self.http.find("/users.info", params={"user": ref.id, "include_locale": "true"})
            return self._member(body["user"]) if body else None
        channel, _, ts = ref.id.partition("/")
        asked = {"channel": channel, "latest": ts, "inclusive": "true", "limit": 1}
        for found in self.http.get("/conversations.history", params=asked)["messages"]:
            if found["ts"] == ts:
                is_ours = (found.get("user_team") or found.get("team") or "") in ("", self._team)
                return row(found, channel, "colleague" if is_ours else "customer")
        raise RejectedError("Slack does not show this message; deletions are told by events")

    def push(self, stream: Stream, change: Change) -> Receipt:
        return Pen(self.http, self.config.hooks_url).write(change)

    def _member(self, one: Raw) -> Raw:
        is_ours = one.get("team_id") == self._team and not one.get("is_stranger")
        return {**one, "hub_role": "colleague" if is_ours else "customer"}

    @cached_property
    def _team(self) -> str:
        return self.config.team_id or str(self.http.get("/auth.test")["team_id"])


def _is_bot(one: Raw) -> bool:
    return bool(one.get("is_bot")) or one["id"] == "USLACKBOT"
