"""Matrix: what is said in the rooms a bot is in, by long polling; and saying something there.

A message that is sent again with the same transaction id is the same message. Nothing of what
colleagues say to each other is taken: only questions to the desk, and customers' conversations.

Source: https://spec.matrix.org/latest/client-server-api/ (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from pydantic import Field, SecretStr

from adapters.matrix.desk import MatrixDeskConfig, fits, is_question, replaced, replied_to
from hub.sdk import (
    Adapter,
    AuthError,
    Change,
    CursorExpiredError,
    Deleted,
    Emit,
    Http,
    Item,
    Raw,
    Receipt,
    RejectedError,
    Row,
    Stream,
)

MESSAGES = Stream("messages", writable=True)
POLL_S = 25
KINDS = ("m.room.message", "m.room.redaction")
READERS = ("join", "invite")  # whoever is invited may come at any time


class MatrixConfig(MatrixDeskConfig):
    homeserver: str = Field(
        pattern=r"^https?://",
        description="Address of the homeserver's client API",
        examples=["https://matrix.example.com"],
    )
    access_token: SecretStr = Field(description="Access token of the bot's own account")
    page_size: int = Field(
        default=100, ge=1, le=1000, description="Messages of a room asked for at once"
    )


class MatrixAdapter(Adapter[MatrixConfig]):
    """One bot. Items are messages with what is known of their room; rows are messages."""

    streams = (MESSAGES,)
    looks_up = True  # the homeserver knows our transaction ids for a day

    def connect(self) -> Http:
        base = f"{self.config.homeserver.rstrip('/')}/_matrix/client/v3"
        token = self.config.access_token.get_secret_value()
        headers = {"Authorization": f"Bearer {token}"}
        return Http(base, headers=headers, raise_for_refusal=_raise_for_refusal)

    def check(self) -> None:
        self._me()

    def listen(self, emit: Emit) -> None:
        me, since, wait_s = self._me(), emit.cursor, 0
        while True:
            told = self._sync(since, wait_s)
            for room, invited in told.get("rooms", {}).get("invite", {}).items():
                self._consider(me, room, invited)
            # What was said before we first listened is nobody's question any more.
            emit(*(self._new(me, told, since) if since else ()), cursor=told["next_batch"])
            since, wait_s = told["next_batch"], POLL_S

    def parse(self, body: bytes) -> Iterator[Row | Deleted]:
        item = json.loads(body)
        event = item["event"]
        if event["type"] == "m.room.redaction":
            gone = event.get("redacts") or event["content"].get("redacts")
            yield Deleted(MESSAGES.name, gone)
        elif "author_role" in item and not is_question(self.config, event):
            yield Row(MESSAGES.name, _row(item))

    def push(self, stream: Stream, change: Change) -> Receipt:
        values = dict(change.values)
        room, reply_to = values.pop("room_id", None), values.pop("reply_to", None)
        private, elsewhere = values.pop("private_room_id", None), values.pop("elsewhere", "")
        if private and not self._is_private(self._me(), private):  # somebody came since
            values = {"msgtype": values.get("msgtype", "m.text"), "body": elsewhere}
        room = room or private
        if change.id is not None or not room:
            raise RejectedError(
                "a message is written into a room, and once",
                hint='Name the room: to = [{type = "matrix_room", value = "!…"}].',
            )
        if reply_to:
            values["m.relates_to"] = {"m.in_reply_to": {"event_id": reply_to}}
        if "formatted_body" in values:
            values["format"] = "org.matrix.custom.html"
        path = f"/rooms/{_safe(room)}/send/m.room.message/{_safe(change.key)}"
        sent = self.http.json("PUT", path, json={"msgtype": "m.text", **values})
        return Receipt(sent["event_id"])

    def _me(self) -> str:
        return str(self.http.get("/account/whoami")["user_id"])

    def _sync(self, since: str | None, wait_s: int) -> Raw:
        asked = {"timeout": wait_s * 1000, "filter": json.dumps(self._filter())}
        if since:
            asked["since"] = since
        try:
            told: Raw = self.http.get("/sync", params=asked, timeout=wait_s + 30)
        except RejectedError as exc:
            if since is None:
                raise
            raise CursorExpiredError("the homeserver does not know our place any more") from exc
        return told

    def _filter(self) -> Raw:
        nothing: Raw = {"types": []}
        timeline = {"types": list(KINDS), "limit": self.config.page_size}
        room = {"timeline": timeline, "state": nothing, "ephemeral": nothing}
        rooms = {**room, "account_data": nothing}
        return {"room": rooms, "presence": nothing, "account_data": nothing}

    def _consider(self, me: str, room: str, invited: Raw) -> None:
        """Go where a colleague invites us."""
        for event in invited["invite_state"]["events"]:
            is_ours = event["type"] == "m.room.member" and event["state_key"] == me
            if is_ours and self.config.may_ask(event["sender"], me):
                with suppress(RejectedError):  # taken back, or out of reach: the others go on
                    self.http.json("POST", f"/join/{_safe(room)}", json={}, repeatable=True)

    def _new(self, me: str, told: Raw, since: str) -> Iterator[Item]:
        names: dict[str, str] = {}
        for room, joined in told.get("rooms", {}).get("join", {}).items():
            timeline = joined["timeline"]
            events = timeline["events"]
            if timeline.get("limited") and timeline.get("prev_batch"):
                events = [*self._gap(room, timeline["prev_batch"], since), *events]
            for event in events:
                about = self._about(me, room, event, names) if event["sender"] != me else None
                if about is not None:
                    body = json.dumps({"room_id": room, "event": _bare(event), **about})
                    yield Item(body.encode(), event["event_id"], room, event["type"])

    def _gap(self, room: str, before: str, since: str) -> list[Raw]:
        """What was said between two looks beyond what fits into one answer, oldest first."""
        found: list[Raw] = []
        asked = {"dir": "b", "to": since, "limit": self.config.page_size}
        types = json.dumps({"types": list(KINDS)})
        at: str | None = before
        while at:
            page = self.http.get(
                f"/rooms/{_safe(room)}/messages", params={**asked, "from": at, "filter": types}
            )
            found += page["chunk"]
            at = page.get("end") if page.get("end") != at else None
        return found[::-1]

    def _about(self, me: str, room: str, event: Raw, names: dict[str, str]) -> Raw | None:
        """What has to be known of a message to work on it; None for what is not our business."""
        sender, customers = event["sender"], self.config.customers
        if is_question(self.config, event):
            known = self.config.may_ask(sender, me)
            return {"known": known, "private": known and self._is_private(me, room)}
        if event["type"] == "m.room.redaction":
            return {} if customers else None
        if not customers or "body" not in event["content"]:  # it was redacted meanwhile
            return None
        original = self._original(room, event)
        if original is None:
            return None
        about: Raw = {"original": _bare(original), "author_role": "colleague"}
        if not fits(sender, customers):
            return about if replied_to(original) else None
        if sender not in names:
            names[sender] = self._name(sender)
        return {**about, "author_role": "customer", "customer_name": names[sender]}

    def _original(self, room: str, event: Raw) -> Raw | None:
        """What an edit replaces; None when somebody else wrote that."""
        edited = replaced(event)
        if edited is None:
            return event
        path = f"/rooms/{_safe(room)}/event/{_safe(edited)}"
        told = self.http.request("GET", path, any_status=True)
        found: Raw | None = told.json() if told.ok else None
        return found if found and found["sender"] == event["sender"] else None

    def _name(self, user: str) -> str:
        told = self.http.request("GET", f"/profile/{_safe(user)}", any_status=True)
        name = told.json().get("displayname") if told.ok else None
        return str(name or user)

    def _is_private(self, me: str, room: str) -> bool:
        """Whether only invited people read along, all of whom may ask as well."""
        rule = self._state(room, "m.room.join_rules").get("join_rule")
        seen = self._state(room, "m.room.history_visibility").get("history_visibility")
        if rule != "invite" or seen == "world_readable":
            return False
        path = f"/rooms/{_safe(room)}/members"
        known = self.http.get(path, params={"not_membership": "leave"})["chunk"]
        who = {e["state_key"] for e in known if e["content"].get("membership") in READERS}
        return all(user == me or self.config.may_ask(user, me) for user in who)

    def _state(self, room: str, kind: str) -> Raw:
        told = self.http.request("GET", f"/rooms/{_safe(room)}/state/{kind}", any_status=True)
        return dict(told.json()) if told.ok else {}


def _bare(event: Raw) -> Raw:
    """The event without what changes every time one looks, such as its age."""
    kept = ("type", "event_id", "sender", "origin_server_ts", "content", "redacts")
    return {name: event[name] for name in kept if name in event}


def _row(item: Raw) -> Raw:
    """The message as it reads now, under the name it has had from the beginning."""
    event, original = item["event"], item["original"]
    content = event["content"].get("m.new_content") or event["content"]
    row = {**event, "event_id": original["event_id"], "content": content}
    row |= {"room_id": item["room_id"], "author_role": item["author_role"]}
    row |= {"sent_ts": original["origin_server_ts"], "reply_to": replied_to(original)}
    if item["author_role"] == "customer":
        row |= {"customer_id": event["sender"], "customer_name": item["customer_name"]}
    return row


def _safe(name: str) -> str:
    return quote(name, safe="")


def _raise_for_refusal(status: int, body: Any) -> None:
    code = str(body.get("errcode", ""))[:60] if isinstance(body, dict) else ""
    if status == 401:
        raise AuthError(
            f"the homeserver does not know the bot's token: {code}",
            hint="Log the bot in again and set access_token.",
        )
    if status == 403:
        raise RejectedError(f"the homeserver refuses it: {code}", hint="Is the bot in that room?")
