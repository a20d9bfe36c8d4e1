"""What strangers may write into a room or do to it, and the line stands all the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import responses

from adapters.matrix.adapter import MatrixAdapter, MatrixConfig
from adapters.matrix.desk import replied_to
from hub.sdk import Item
from tests.contract.lines import EndedError, Inbox

HOME = "https://matrix.example.com"
ROOM, BOT, MEI, GUEST = "!r:example.com", "@bot:example.com", "@mei:example.com", "@g:else.org"
MEMBERS = re.compile(rf"{HOME}/_matrix/client/v3/rooms/[^/]+/members")


class Once(Inbox):
    """Takes what comes once."""

    def __call__(self, *items: Item, cursor: str | None = None) -> None:
        super().__call__(*items, cursor=cursor)
        self.ending = True


@pytest.fixture
def server() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.get(f"{HOME}/_matrix/client/v3/account/whoami", json={"user_id": BOT})
        yield mock


def adapter(**given: Any) -> MatrixAdapter:
    known = {"homeserver": HOME, "access_token": "t", **given}
    return MatrixAdapter(MatrixConfig.model_validate(known))


def heard(server: responses.RequestsMock, **rooms: Any) -> list[dict[str, Any]]:
    """What is stored of one look at these rooms."""
    told = {"next_batch": "s2", "rooms": rooms}
    server.get(f"{HOME}/_matrix/client/v3/sync", json=told)
    inbox = Once("s1")
    with pytest.raises(EndedError):
        adapter(customers=["@wa_*:example.com"]).listen(inbox)
    assert inbox.cursor == "s2"
    return [json.loads(item.body) for item in inbox.items.values()]


def event(number: int, content: Any, sender: str = "@wa_1:example.com") -> dict[str, Any]:
    told = {"type": "m.room.message", "event_id": f"$m{number}", "sender": sender}
    return {**told, "content": {"msgtype": "m.text", "body": "x", **content}}


def test_what_is_written_badly_holds_nobody_up(server: responses.RequestsMock) -> None:
    server.get(f"{HOME}/_matrix/client/v3/profile/%40wa_1%3Aexample.com", json={})
    odd: list[Any] = ["x", {"rel_type": "m.replace"}, {"rel_type": "m.replace", "event_id": {}},
                      {"m.in_reply_to": "x"}, {"m.in_reply_to": {"event_id": 7}}, []]  # fmt: skip
    said = [event(n, {"m.relates_to": relation}) for n, relation in enumerate(odd)]
    told = heard(server, join={ROOM: {"timeline": {"events": said}}})
    assert [item["event"]["event_id"] for item in told] == [one["event_id"] for one in said]
    assert {replied_to(item["original"]) for item in told} == {None}


@pytest.mark.parametrize("status", [403, 404])
def test_an_invitation_that_leads_nowhere_holds_nobody_up(
    server: responses.RequestsMock, status: int
) -> None:
    server.post(re.compile(f"{HOME}/.*/join/.*"), status=status, json={"errcode": "M_FORBIDDEN"})
    state = [{"type": "m.room.member", "state_key": BOT, "sender": MEI, "content": {}}]
    assert heard(server, invite={ROOM: {"invite_state": {"events": state}}}) == []


def room_with(server: responses.RequestsMock, *members: tuple[str, str]) -> None:
    """A room for the invited, and who is in it how."""
    rules = {"m.room.join_rules": {"join_rule": "invite"}, "m.room.history_visibility": {}}
    for kind, content in rules.items():
        server.get(re.compile(f"{HOME}/.*/state/{kind}"), json=content)
    known = [{"state_key": who, "content": {"membership": how}} for who, how in members]
    server.get(MEMBERS, json={"chunk": known})


@pytest.mark.parametrize(("how", "private"), [("join", False), ("invite", False), ("ban", True)])
def test_whoever_is_invited_reads_along(
    server: responses.RequestsMock, how: str, *, private: bool
) -> None:
    room_with(server, (BOT, "join"), (MEI, "join"), (GUEST, how))
    asked = event(1, {"body": "!360 李娜"}, MEI)
    (told,) = heard(server, join={ROOM: {"timeline": {"events": [asked]}}})
    assert told["private"] is private
