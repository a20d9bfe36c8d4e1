"""Somebody asks in a chat: one answer, as that desk's role may see it; nothing for strangers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import responses

from hub.registry import Hub
from hub.sdk import Item
from hub.store import read
from tests.story.helpers import account, demo, drain, pull, receive, scalar

Open = Callable[..., Hub]

HOME = "https://matrix.example.com"
ROOM, MEI = "!room:example.com", "@mei:example.com"


def opened(open_with: Open, public_url: str = "http://127.0.0.1:8360", **more: Any) -> Hub:
    chat = {"adapter": "matrix", "homeserver": HOME, "access_token": "t", **more}
    hub = open_with({"crm": demo(), "chat": chat}, language="en", public_url=public_url)
    crm = account(hub, "crm")
    for number, name in ((1, "李娜"), (2, "Li Nan")):
        phone = f"1391234567{number}"
        crm.put("customers", {"id": str(number), "name": name, "phone": phone, "tier": "VIP"})
    pull(hub, "crm")
    return hub


def question(text: str, number: int = 1, *, private: bool = True, known: bool = True) -> Item:
    event = {
        "type": "m.room.message",
        "event_id": f"$q{number}",
        "sender": MEI,
        "origin_server_ts": 1795287219374,
        "content": {"msgtype": "m.text", "body": f"!360 {text}"},
    }
    body = {"room_id": ROOM, "event": event, "known": known, "private": private}
    return Item(json.dumps(body).encode(), event["event_id"], ROOM, "m.room.message")


def said(hub: Hub, *asked: Item, others: Sequence[str] = ()) -> list[dict[str, Any]]:
    """What the homeserver was told, in a room where by then there are others too."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.put(re.compile(f"{HOME}/.*/send/m.room.message/.*"), json={"event_id": "$a"})
        mock.get(f"{HOME}/_matrix/client/v3/account/whoami", json={"user_id": "@bot:example.com"})
        mock.get(re.compile(f"{HOME}/.*/state/.*"), json={"join_rule": "invite"})
        here = [{"state_key": who, "content": {"membership": "join"}} for who in (MEI, *others)]
        mock.get(re.compile(f"{HOME}/.*/members"), json={"chunk": here})
        receive(hub, "chat", *asked)
        drain(hub)
        sent = [call.request.body for call in mock.calls if call.request.method == "PUT"]
        return [json.loads(body or b"{}") for body in sent]


def test_a_question_is_answered_once_and_audited(open_with: Open) -> None:
    hub = opened(open_with, desk_role="agent")
    (told,) = said(hub, question("139 1234 5671"))
    assert told["msgtype"] == "m.notice"
    assert told["m.relates_to"] == {"m.in_reply_to": {"event_id": "$q1"}}
    title, reach, words, link = told["body"].splitlines()
    assert (title, reach) == ("李娜", "+8613912345671")
    assert words == "VIP · no open requests"
    assert link.startswith("Open the card: http://127.0.0.1:8360/card?t=")
    assert said(hub, question("139 1234 5671")) == []  # the homeserver tells it once more
    held = "SELECT count(*) FROM seen WHERE party = 'crm/customers/1' AND place = :place"
    for place in ("inbox", "delivery"):  # erasure finds the question and the answer
        assert scalar(hub, held, place=place) == 1
    actor = f"chat:{MEI}"
    assert scalar(hub, "SELECT count(*) FROM audit WHERE actor = :actor", actor=actor) == 1


def test_a_desk_is_masked_unless_somebody_says_otherwise(open_with: Open) -> None:
    hub = opened(open_with)
    (told,) = said(hub, question("13912345671"))
    assert "+86139******71" in told["body"]
    assert "13912345671" not in json.dumps(told)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_several_are_told_without_ways_to_reach_them(open_with: Open) -> None:
    hub = opened(open_with, desk_role="agent")
    (told,) = said(hub, question("li na"))
    lines = told["body"].splitlines()
    assert lines[0] == "Several customers are known by that:"
    assert {"李娜", "Li Nan"} < set(lines)
    assert "139" not in re.sub(r"\?t=\S+", "", told["body"])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_who_and_where_decide(open_with: Open) -> None:
    hub = opened(open_with, desk_role="agent")
    assert said(hub, question("13912345671", 1, known=False)) == []
    (told,) = said(hub, question("13912345671", 2, private=False))
    assert told["body"] == "Ask me in a private room, please."
    for number, text in ((3, "nobody@example.com"), (4, "x " * 2000)):
        (told,) = said(hub, question(text, number))
        assert told["body"] == "Nobody is known by that."


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_where_others_read_along_there_is_but_a_link_for_whom_may_sign_in(open_with: Open) -> None:
    hub = opened(open_with, desk_role="agent", rooms="any")
    (told,) = said(hub, question("13912345671", private=False))
    pattern = r"Sign in to see the card: http://127\.0\.0\.1:8360/card\?customer=[0-9a-f-]+"
    assert re.fullmatch(pattern, told["body"])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_whoever_came_before_the_answer_reads_nothing_but_that_link(open_with: Open) -> None:
    hub = opened(open_with, desk_role="agent")
    (told,) = said(hub, question("13912345671"), others=["@guest:else.org"])
    assert re.fullmatch(r"Sign in to see the card: \S+/card\?customer=[0-9a-f-]+", told["body"])
    assert set(told) == {"msgtype", "body", "m.relates_to"}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_card_is_found_by_its_address_and_no_other_address_is_one(open_with: Open) -> None:
    hub = opened(open_with, desk_role="agent", public_url="https://hub.example/")
    with hub.database.read() as conn:
        (id_,) = read.find(conn, "phone", "+8613912345671")
    address = f"https://hub.example/card?customer={id_}"
    (told,) = said(hub, question(address))
    assert told["body"].splitlines()[0] == "李娜"
    strange = [f"https://evil.example/card?customer={id_}", "https://hub.example/card?customer=x"]
    strange += ["https://hub.example/card", "http://["]
    for number, text in enumerate(strange, start=2):
        (told,) = said(hub, question(text, number))
        assert told["body"] == "Nobody is known by that."
