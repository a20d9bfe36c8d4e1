"""Roundup: pull issues, messages, users and agents; create and change issues, add messages.

A row is an item as the REST interface lists it, with the names of what it links to. Added are, to
an issue, ``customer_id``: its creator, else the author of its first message, else one of its nosy
list, whoever is a customer; to a message, ``issue_id``, ``author_role`` and ``customer_id``.

Source: https://www.roundup-tracker.org/docs/rest.html (checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

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
    Stream,
    scan,
)
from hub.sdk.signing import body_hash

CLASSES = {"issues": "issue", "messages": "msg", "users": "user", "agents": "user"}
FIELDS = {
    "issue": "title,status,priority,assignedto,nosy,keyword,superseder,messages,creator,creation,"
    "activity",
    "msg": "author,content,date,creation,activity,recipients,messageid,inreplyto,files",
    "user": "username,realname,address,alternate_addresses,phone,organisation,roles,creation,"
    "activity",
}


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

    streams = (
        Stream("users"),
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

    def check(self) -> None:
        if any("roles" not in user for user in self._list("user", {"@page_size": 2})):
            raise AuthError(
                "the account may not see the users of the tracker",
                hint='Give its role the permissions "View" and "Create" on the class "user".',
            )

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        agents = self._agents()

        def read(since: datetime | None, position: str) -> tuple[list[Raw], str | None]:
            rows, after = self._changed(CLASSES[stream.name], since, position)
            return self._complete(stream.name, rows, agents), after

        yield from scan(read, cursor, now=self.http.now, since=self.config.backfill_from)

    def fetch(self, ref: RecordRef) -> Raw | None:
        # Asked as a list: an item alone is also answered after it was retired.
        rows = self._list(CLASSES[ref.stream], {"id": ref.id})
        return next(iter(self._complete(ref.stream, rows, self._agents())), None)

    def push(self, stream: Stream, change: Change) -> Receipt:
        if stream.name == "messages":
            return self._push_message(change)
        if change.id is None:
            return self._create_issue(change)
        values = {k: v for k, v in change.values.items() if k != "message"}
        self._patch(change.id, values)
        return Receipt(id=change.id)

    def _create_issue(self, change: Change) -> Receipt:
        """An issue begins with a message, by whose id it is found again after a lost answer."""
        values = dict(change.values)
        text = values.pop("message", None) or values.get("title") or "-"
        first = {"content": text, "author": values.get("nosy") or self.config.username}
        message = self._message_id(first, change.marker or change.key)
        found = self._list("issue", {"messages": message}) or [
            self._create("issue", {**values, "messages": message})
        ]
        return Receipt(id=found[0]["id"])

    def _push_message(self, change: Change) -> Receipt:
        values = dict(change.values)
        issue = values.pop("issue", None)
        if change.id or not issue:
            raise RejectedError(
                "a message can be added to an issue, not changed and not sent alone"
            )
        author = values.pop("author", None) or self.config.username  # none breaks the mail to nosy
        message = self._message_id({**values, "author": author}, change.marker or change.key)
        self._patch(str(issue), {}, message)
        return Receipt(id=message)

    def _message_id(self, values: Mapping[str, Any], key: str) -> str:
        """The message made under this key, now or earlier; ``messageid`` is what finds it again."""
        marker = f"<{body_hash(key.encode())[:32]}@conduit>"
        found = self._list("msg", {"messageid:": marker})
        return str((found or [self._create("msg", {**values, "messageid": marker})])[0]["id"])

    def _create(self, class_: str, values: Mapping[str, Any]) -> Raw:
        given = {name: value for name, value in values.items() if value is not None}
        created: Raw = self.http.json("POST", f"/{class_}", json=given)["data"]
        return created

    def _patch(self, issue: str, values: Mapping[str, Any], message: str | None = None) -> None:
        item = self.http.get(f"/issue/{issue}", params={"@fields": "nosy,messages"})["data"]
        headers = {"If-Match": item["@etag"]}  # 412 when somebody was faster
        lists = {
            name: [one["id"] for one in item["attributes"][name]] for name in ("nosy", "messages")
        }
        values = dict(values)
        if nosy := values.pop("nosy", None):
            values["nosy"] = [*dict.fromkeys([*lists["nosy"], str(nosy)])]
        if message and message not in lists["messages"]:
            values["messages"] = [*lists["messages"], message]
        if values:
            self.http.json("PATCH", f"/issue/{issue}", json=values, headers=headers)

    def _changed(
        self, class_: str, since: datetime | None, position: str
    ) -> tuple[list[Raw], str | None]:
        """The rows behind ``position`` in the order of activity, and the position behind them."""
        activity, _, id_ = position.partition(" ")
        behind = (activity, int(id_ or 0))
        begin = activity or (f"{since.astimezone(UTC):%Y-%m-%d.%H:%M:%S}" if since else "")
        # Without the zone the tracker would read the time in that of the hub's own account.
        params = {"@sort": "activity,id", **({"activity": f"{begin}+0000;"} if begin else {})}
        size = self.config.page_size
        while True:
            rows = self._list(class_, {**params, "@page_size": size})
            fresh = [row for row in rows if (row["activity"], int(row["id"])) > behind]
            if len(rows) < size:
                return fresh, None
            if fresh:
                return fresh, f"{fresh[-1]['activity']} {fresh[-1]['id']}"
            size *= 2  # more changes within one second than fit a page

    def _list(self, class_: str, params: Mapping[str, str | int]) -> list[Raw]:
        asked = {"@fields": FIELDS[class_], "@verbose": 3, **params}
        found: list[Raw] = self.http.get(f"/{class_}", params=asked)["data"]["collection"]
        return found

    def _agents(self) -> frozenset[str]:
        """User names of colleagues, asked anew each time: who joins today is one today."""
        rows = [
            row for role in self.config.agent_roles for row in self._list("user", {"roles": role})
        ]
        named = (row["username"] for row in rows if _roles(row) & set(self.config.agent_roles))
        return frozenset((*named, *self.config.agents, self.config.username))

    def _complete(self, stream: str, rows: list[Raw], agents: frozenset[str]) -> list[Raw]:
        if stream == "issues":
            authors = self._first_authors(rows)
            return [{**row, "customer_id": _customer(row, authors, agents)} for row in rows]
        if stream == "agents":
            return [row for row in rows if row["username"] in agents]
        if stream == "users":
            roles = set(self.config.customer_roles)
            return [r for r in rows if r["username"] not in agents and _roles(r) & roles]
        issues = self._issues_of([row["id"] for row in rows])
        return [{**row, "issue_id": issues.get(row["id"]), **_author(row, agents)} for row in rows]

    def _issues_of(self, messages: Sequence[str]) -> dict[str, str]:
        found = self._list_some("issue", "messages", messages)
        return {message["id"]: issue["id"] for issue in found for message in issue["messages"]}

    def _first_authors(self, issues: Sequence[Raw]) -> dict[str, Raw]:
        """Who wrote an issue's first message, by the issue's id."""
        first = {
            i["id"]: min((m["id"] for m in i["messages"]), key=int) for i in issues if i["messages"]
        }
        authors = {m["id"]: m["author"] for m in self._list_some("msg", "id", [*first.values()])}
        return {issue: authors[message] for issue, message in first.items() if authors.get(message)}

    def _list_some(self, class_: str, property_: str, ids: Sequence[str]) -> list[Raw]:
        """The items with any of these ids there; asked in pieces, as an address has its limit."""
        pieces = [ids[start : start + 100] for start in range(0, len(ids), 100)]
        return [row for some in pieces for row in self._list(class_, {property_: ",".join(some)})]


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
