"""Roundup: pull issues, messages, users and agents; create and change issues, add messages.

A row is an item as the REST interface lists it, with the names of what it links to. Added are, to
an issue, ``customer_id``: its creator, else the author of its first message, else one of its nosy
list, whoever is a customer; to a message, ``issue_id``, ``author_role`` and ``customer_id``.

Source: https://www.roundup-tracker.org/docs/rest.html (checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from adapters.roundup.tracker import SURVEYED, Tracker
from hub.sdk import (
    Adapter,
    AuthError,
    Change,
    ConnectionConfig,
    Http,
    Page,
    Raw,
    Receipt,
    RecordRef,
    RejectedError,
    Sighting,
    Stream,
    Survey,
    scan,
)

CLASSES = {"issues": "issue", "messages": "msg", "users": "user", "agents": "user"}


class RoundupConfig(ConnectionConfig):
    url: str = Field(
        pattern=r"^https?://.+/rest$",
        description="Address of the tracker's REST interface",
        examples=["https://tracker.example.org/rest"],
    )
    username: str = Field(
        description="Tracker account of the hub, best one of its own", examples=["conduit"]
    )
    password: SecretStr = Field(description="Password of that account")
    agents: tuple[str, ...] = Field(
        default=(), description="User names of colleagues; they never become customers"
    )
    agent_roles: tuple[str, ...] = Field(
        default=("Admin",), description="Everybody with one of these roles is a colleague, too"
    )
    customer_roles: tuple[str, ...] = Field(
        default=("User",), description="Who of the others is a customer, by role"
    )
    webhook_secrets: tuple[SecretStr, ...] = Field(
        default=(), description="Keys of the tracker's detector; two while one is rotated"
    )
    backfill_from: datetime | None = Field(
        default=None, description="Leave out what was last changed before this instant"
    )
    page_size: int = Field(default=100, ge=1, description="Items per call")


class RoundupAdapter(Adapter[RoundupConfig]):
    """One tracker with the classic schema, or one that extends it."""

    looks_up = True
    streams = (
        Stream("users", writable=True),
        Stream("agents", every_s=600),
        Stream("issues", writable=True),
        Stream("messages", writable=True),
    )

    def connect(self) -> Http:
        c = self.config
        site = urlsplit(c.url)
        return Http(
            f"{c.url}/data",
            auth=(c.username, c.password.get_secret_value()),
            headers={"X-Requested-With": "rest", "Origin": f"{site.scheme}://{site.netloc}"},
            conflicts=(412,),  # 409 is how Roundup refuses a value
        )

    @cached_property
    def tracker(self) -> Tracker:
        return Tracker(self.http)

    def check(self) -> None:
        if any("roles" not in user for user in self.tracker.items("user", {"@page_size": 2})):
            raise AuthError(
                "the account may not see the users of the tracker",
                hint='Give its role the permission "View" on the whole class "user".',
            )

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        agents, size = self._agents(), self.config.page_size

        def read(since: datetime | None, position: str) -> tuple[list[Raw], str | None]:
            rows, after = self.tracker.changed(CLASSES[stream.name], since, position, size)
            return self._complete(stream.name, rows, agents), after

        since, overlap_s = self.config.backfill_from, stream.overlap_s
        yield from scan(read, cursor, now=self.http.now, since=since, overlap_s=overlap_s)

    def survey(self, stream: Stream, cursor: str | None) -> Iterator[Survey]:
        agents, class_ = self._agents(), CLASSES[stream.name]
        since, size = self.config.backfill_from, self.config.page_size * 10  # they are short
        position: str | None = cursor or ""
        while position is not None:
            fields = SURVEYED[class_]
            rows, position = self.tracker.changed(class_, since, position, size, fields=fields)
            told = self._of(stream.name, rows, agents)
            yield Survey([Sighting(row["id"], row["activity"]) for row in told], position)

    def fetch(self, ref: RecordRef) -> Raw | None:
        # Asked as a list: an item alone is also answered after it was retired.
        rows = self.tracker.items(CLASSES[ref.stream], {"id": ref.id})
        return next(iter(self._complete(ref.stream, rows, self._agents())), None)

    def push(self, stream: Stream, change: Change) -> Receipt:
        values = dict(change.values)
        if stream.name == "users":
            return self._save_user(change, values)
        if stream.name == "messages":
            return self._add_message(change, values)
        text = values.pop("message", None)
        if change.id is None:
            return self._create_issue(change, values, text or values.get("title") or "-")
        self.tracker.change_issue(change.id, values, version=change.version)
        return Receipt(id=change.id)

    def find(self, stream: Stream, values: Raw) -> list[Raw]:
        if stream.name != "users":
            return []
        rows = {
            row["id"]: row
            for name in ("address", "phone")
            if values.get(name)
            for row in self.tracker.items("user", {f"{name}:": values[name]})  # with ":" exactly
        }
        return self._complete("users", list(rows.values()), self._agents())

    def _save_user(self, change: Change, values: Raw) -> Receipt:
        """A customer's account; a new one is found again by its name after a lost answer."""
        if change.id is not None:
            self.tracker.change_user(change.id, values, version=change.version)
            return Receipt(id=change.id)
        name = change.marker or change.key
        found = self.tracker.items("user", {"username:": name})
        if found:
            return Receipt(id=found[0]["id"])
        roles = ",".join(self.config.customer_roles)
        return Receipt(id=self.tracker.create("user", {"username": name, "roles": roles, **values}))

    def _create_issue(self, change: Change, values: Raw, text: str) -> Receipt:
        """An issue begins with a message, by whose id it is found again after a lost answer."""
        first = {"content": text, "author": values.get("nosy") or self.config.username}
        message = self.tracker.message(first, change.marker or change.key)
        found = self.tracker.items("issue", {"messages": message})
        if found:
            return Receipt(id=found[0]["id"])
        return Receipt(id=self.tracker.create("issue", {**values, "messages": message}))

    def _add_message(self, change: Change, values: Raw) -> Receipt:
        issue = values.pop("issue", None)
        if change.id or not issue:
            raise RejectedError("a message can be added to an issue, not changed, not sent alone")
        author = values.pop("author", None) or self.config.username  # none breaks the mail to nosy
        message = self.tracker.message({**values, "author": author}, change.marker or change.key)
        self.tracker.change_issue(str(issue), {}, message=message)
        return Receipt(id=message)

    def _agents(self) -> frozenset[str]:
        """User names of colleagues, asked anew each time: who joins today is one today."""
        roles = set(self.config.agent_roles)
        rows = [
            row
            for role in self.config.agent_roles
            for row in self.tracker.items("user", {"roles": role})
        ]
        named = (row["username"] for row in rows if _roles(row) & roles)
        return frozenset((*named, *self.config.agents, self.config.username))

    def _complete(self, stream: str, rows: list[Raw], agents: frozenset[str]) -> list[Raw]:
        if stream == "issues":
            authors = self._first_authors(rows)
            return [{**row, "customer_id": _customer(row, authors, agents)} for row in rows]
        if stream in ("agents", "users"):
            return self._of(stream, rows, agents)
        issues = self._issues_of([row["id"] for row in rows])
        return [{**row, "issue_id": issues.get(row["id"]), **_author(row, agents)} for row in rows]

    def _of(self, stream: str, rows: list[Raw], agents: frozenset[str]) -> list[Raw]:
        """Those that belong to a stream: colleagues and customers are both users."""
        if stream == "agents":
            return [row for row in rows if row["username"] in agents]
        if stream == "users":
            roles = set(self.config.customer_roles)
            return [r for r in rows if r["username"] not in agents and _roles(r) & roles]
        return rows

    def _issues_of(self, messages: Sequence[str]) -> dict[str, str]:
        found = self.tracker.with_any("issue", "messages", messages)
        return {message["id"]: issue["id"] for issue in found for message in issue["messages"]}

    def _first_authors(self, issues: Sequence[Raw]) -> dict[str, Raw]:
        """Who wrote an issue's first message, by the issue's id."""
        told = {issue["id"]: [m["id"] for m in issue["messages"]] for issue in issues}
        first = {issue: min(ids, key=int) for issue, ids in told.items() if ids}
        found = self.tracker.with_any("msg", "id", [*first.values()])
        authors = {message["id"]: message["author"] for message in found}
        return {issue: authors[message] for issue, message in first.items() if authors.get(message)}


def _roles(user: Raw) -> set[str]:
    return {role.strip() for role in (user.get("roles") or "").split(",")}


def _customer(issue: Raw, authors: dict[str, Raw], agents: frozenset[str]) -> str | None:
    involved = [issue["creator"], authors.get(issue["id"]), *issue["nosy"]]
    nobody = {*agents, "anonymous"}
    return next((user["id"] for user in involved if user and user["username"] not in nobody), None)


def _author(message: Raw, agents: frozenset[str]) -> Raw:
    author = message["author"] or {"id": None, "username": ""}
    if author["username"] in agents:
        return {"author_role": "agent", "customer_id": None}
    return {"author_role": "customer", "customer_id": author["id"]}
