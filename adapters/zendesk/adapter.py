"""Zendesk Support: tickets, comments, users and organizations; all but the last can be written.

Rows are as Zendesk sends them. Added are, to a ticket, ``assignee_name``; to a comment,
``ticket_id``, ``key`` and ``author_role``.

Source: https://developer.zendesk.com/api-reference/ticketing/introduction/ (checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adapters.zendesk.account import ZendeskConfig
from adapters.zendesk.exports import Exports, comment, named, one_comment
from hub.sdk import (
    Adapter,
    AuthError,
    Change,
    ConflictError,
    Http,
    Page,
    Raw,
    Receipt,
    RecordRef,
    RejectedError,
    Stream,
)
from hub.sdk.auth import OAuth2

TICKETS = Stream("tickets", writable=True)
COMMENTS = Stream("ticket_comments", writable=True, fresh_s=30 * 86400.0)
USERS = Stream("users", writable=True, every_s=120)
ORGANIZATIONS = Stream("organizations", every_s=600)
"""All four together stay below the ten calls a minute that exports may be asked."""

MARK = "hub_key"
"""Where our comments carry our key: in what Zendesk keeps with the audit of an update."""


class ZendeskAdapter(Adapter[ZendeskConfig]):
    """One account."""

    looks_up = True
    streams = (TICKETS, COMMENTS, USERS, ORGANIZATIONS)

    def connect(self) -> Http:
        return self.config.http(self.tokens)

    def oauth(self) -> OAuth2:
        return self.config.oauth() if self.config.client_id else super().oauth()

    def reads(self, stream: Stream) -> bool:
        return self.config.asks

    def check(self) -> None:
        if not self.config.asks:  # who takes webhooks only has nothing to try
            return
        me = self.http.get("/users/me.json")["user"]
        if me.get("role") != "admin":  # a stranger is answered, too: as nobody
            raise AuthError(
                "this account may not read exports",
                hint="Use the API token of an administrator, or sign in as one.",
            )

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        yield from Exports(self.http, self.config).pages(stream.name, cursor)

    def fetch(self, ref: RecordRef) -> Raw | None:
        if ref.stream == COMMENTS.name:
            return one_comment(self.http, *ref.id.split("-", 1))
        more = {"include": "users"} if ref.stream == TICKETS.name else {}
        body = self.http.find(f"/{ref.stream}/{ref.id}.json", params=more)
        if body is None:
            return None
        return named(body)[0] if ref.stream == TICKETS.name else dict(body[ref.stream[:-1]])

    def find(self, stream: Stream, values: Raw) -> list[Raw]:
        if stream.name != USERS.name or not values.get("email"):
            return []
        asked = {"query": f'email:"{values["email"]}"'}
        found = self.http.get("/users/search.json", params=asked)["users"]
        return [row for row in found if row.get("role") == "end-user"]

    def push(self, stream: Stream, change: Change) -> Receipt:
        values = dict(change.values)
        if stream.name == COMMENTS.name:
            return self._add_comment(change, values)
        if stream.name == USERS.name:
            return self._save_user(change, values)
        text = values.pop("description", None)  # it is the first comment, and stands then
        if change.id is None:
            return self._create_ticket(change, values, text or values.get("subject") or "-")
        if change.version:
            values |= {"safe_update": True, "updated_stamp": change.version}
        body = self.http.json("PUT", f"/tickets/{change.id}.json", json={"ticket": values})
        return _receipt(body["ticket"])

    def _create_ticket(self, change: Change, values: Raw, text: str) -> Receipt:
        """Found again by our own reference; Zendesk knows the key of a request for two hours."""
        ours = change.marker or change.key
        found = self.http.get("/tickets.json", params={"external_id": ours})["tickets"]
        if found:
            return _receipt(found[0])
        ticket = {**values, "external_id": ours, "comment": {"body": text}}
        asked = {"json": {"ticket": ticket}, "idempotency_key": change.key}
        return _receipt(self.http.json("POST", "/tickets.json", **asked)["ticket"])

    def _add_comment(self, change: Change, values: Raw) -> Receipt:
        """A reply or a note is an update of its ticket; ours is known by what the audit keeps."""
        ticket, ours = values.pop("ticket_id", None), change.marker or change.key
        if change.id is not None or not ticket:
            raise RejectedError("a comment can be added to a ticket, not changed, not sent alone")
        asked = {"page[size]": 100, "sort": "-created_at"}
        audits = self.http.get(f"/tickets/{ticket}/audits.json", params=asked)["audits"]
        for audit in audits:
            if ((audit.get("metadata") or {}).get("custom") or {}).get(MARK) == ours:
                return _comment_in(audit, ticket)
        told = {"ticket": {"comment": values, "metadata": {MARK: ours}}}
        body = self.http.json("PUT", f"/tickets/{ticket}.json", json=told, repeatable=False)
        return _comment_in(body["audit"], ticket)

    def _save_user(self, change: Change, values: Raw) -> Receipt:
        if change.id is not None:
            self._is_as_known(change)
            body = self.http.json("PUT", f"/users/{change.id}.json", json={"user": values})
            return _receipt(body["user"])
        if not values.get("email"):  # nothing else would recognise them
            values["external_id"] = change.marker or change.key
        path, user = "/users/create_or_update.json", {"user": values}
        return _receipt(self.http.json("POST", path, json=user, repeatable=True)["user"])

    def _is_as_known(self, change: Change) -> None:
        """Return when the user is as we know them; there is no lock as for tickets."""
        row = self.fetch(RecordRef(USERS.name, str(change.id))) if change.version else None
        if row and row["updated_at"] > change.version:
            raise ConflictError(f"user {change.id} was changed meanwhile")


def _receipt(row: Raw) -> Receipt:
    return Receipt(str(row["id"]), row)


def _comment_in(audit: Raw, ticket: Any) -> Receipt:
    """The comment an update made."""
    made = next(event for event in audit["events"] if event["type"] == "Comment")
    times = {"created_at": audit.get("created_at"), "via": audit.get("via")}
    row = comment({**times, **made}, int(ticket), {made["author_id"]: "agent"})
    return Receipt(row["key"], row)
