"""Zendesk's incremental exports: by cursor for tickets and users, by time for the rest.

An export withholds the newest minute, so that nothing that becomes visible late is passed by. By
time, the rows of the last second come again; that costs nothing, for they are as before. Comments
are not exported: they are children of ticket events, with their text when asked for.

Source: https://developer.zendesk.com/api-reference/ticketing/ticket-management/incremental_exports/
(checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

from adapters.zendesk.account import ZendeskConfig
from hub.sdk import Http, Page, Raw, written

WITHHELD = timedelta(minutes=2)
"""A start that is younger is refused."""

BY_CURSOR = {"tickets": {"include": "users"}, "users": {}}
BY_TIME = {"organizations": ("organizations", {}), "ticket_comments": (
    "ticket_events", {"include": "comment_events"})}  # fmt: skip
"""What is asked for by stream; for those by time also what Zendesk calls it."""

AGENTS = ("agent", "admin")
SAID = frozenset({"Comment", "VoiceComment"})
AMENDED = frozenset({"CommentRedactionEvent", "CommentPrivacyChange"})
"""Child events that change a comment that came before."""


@dataclass(frozen=True)
class Exports:
    """The exports of one account, for one pull."""

    http: Http
    config: ZendeskConfig

    def pages(self, stream: str, cursor: str | None) -> Iterator[Page]:
        """Pages behind the cursor; none when nothing is new."""
        read = self._by_cursor if stream in BY_CURSOR else self._by_time
        yield from read(stream, cursor)

    def _by_cursor(self, stream: str, cursor: str | None) -> Iterator[Page]:
        path = f"/incremental/{stream}/cursor.json"
        size = {"per_page": self.config.page_size, **BY_CURSOR[stream]}
        while True:
            place = {"cursor": cursor} if cursor else {"start_time": self._start()}
            body = self.http.get(path, params={**size, **place})
            after = body.get("after_cursor") or cursor
            rows = named(body) if stream == "tickets" else body[stream]
            if after and (rows or after != cursor):
                yield Page(rows, after)
            if body["end_of_stream"] or after is None:
                return
            cursor = after

    def _by_time(self, stream: str, cursor: str | None) -> Iterator[Page]:
        source, more = BY_TIME[stream]
        size = {"per_page": self.config.page_size, **more}
        start = cursor or self._start()
        while True:
            told = self.http.get(
                f"/incremental/{source}.json", params={**size, "start_time": start}
            )
            end = str(told.get("end_time") or start)
            rows = told[source]
            if rows:
                yield Page(self._comments(rows) if stream == "ticket_comments" else rows, end)
            if not rows or told.get("end_of_stream", len(rows) < self.config.page_size):
                return
            start = end

    def _start(self) -> str:
        began = self.config.backfill_from
        latest = self.http.now() - WITHHELD
        return written(min(began, latest), "s") if began else "0"

    def _comments(self, events: list[Raw]) -> list[Raw]:
        """The comments among the events, and those which an event changed later."""
        rows: list[Raw] = []
        for event in events:
            for child in event.get("child_events") or ():
                kinds = {child.get("type"), child.get("event_type")}
                if kinds & SAID:
                    via = child.get("via") or event.get("via")
                    rows.append(comment({**child, "via": via}, event["ticket_id"], self._agents))
                elif kinds & AMENDED and child.get("comment_id"):
                    # Seldom: then its ticket is asked, newest comments first.
                    told = one_comment(self.http, str(event["ticket_id"]), str(child["comment_id"]))
                    rows += [told] if told else []
        return rows

    @cached_property
    def _agents(self) -> Mapping[Any, str]:
        """Roles of colleagues by id, asked once for all rows of a pull, and only if there are any.

        An event does not tell whether its author is one.
        """
        rows = listed(self.http, "/users.json", "users", {"role[]": list(AGENTS)})
        return {row["id"]: row["role"] for row in rows}


def named(body: Raw) -> list[Raw]:
    """The tickets of an answer, with the names of those in charge."""
    names = {user["id"]: user.get("name") for user in body.get("users") or ()}
    rows = body["tickets"] if "tickets" in body else [body["ticket"]]
    return [{**row, "assignee_name": names.get(row.get("assignee_id"))} for row in rows]


def comment(found: Raw, ticket: Any, roles: Mapping[Any, str]) -> Raw:
    """A comment with its ticket, a name of its own in the account, and who wrote it."""
    is_agent = roles.get(found.get("author_id")) in AGENTS or found.get("public") is False
    author = "agent" if is_agent else "customer"
    told = {"ticket_id": ticket, "key": f"{ticket}-{found['id']}", "author_role": author}
    return {**found, **told}


def one_comment(http: Http, ticket: str, id_: str) -> Raw | None:
    """One comment as it reads now; None when it or its ticket is gone."""
    path, asked = f"/tickets/{ticket}/comments.json", {"include": "users", "sort": "-created_at"}
    for body in turned(http, path, asked):
        roles = {user["id"]: user["role"] for user in body.get("users") or ()}
        for found in body["comments"]:
            if str(found["id"]) == id_:
                return comment(found, int(ticket), roles)
    return None


def listed(http: Http, path: str, name: str, asked: Mapping[str, Any]) -> Iterator[Raw]:
    """Every row of a list."""
    for body in turned(http, path, asked):
        yield from body[name]


def turned(http: Http, path: str, asked: Mapping[str, Any]) -> Iterator[Raw]:
    """The pages of a list; none of what is not there."""
    after: dict[str, str] = {}
    while body := http.find(path, params={**asked, "page[size]": 100, **after}):
        yield body
        meta = body.get("meta") or {}
        if not meta.get("has_more"):
            return
        after = {"page[after]": meta["after_cursor"]}
