"""The desk and the messages of a real Matrix homeserver."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from demo.systems import Matrix
from demo.systems.matrix import MatrixUser
from hub.errors import AuthError, CursorExpiredError, RetryableError
from hub.pipeline import listen
from hub.profiles.document import Profile
from hub.registry import Hub
from hub.sdk import Item
from hub.store import customers, listeners, read
from hub.web import create_app
from tests.contract.lines import EndedError, Inbox, listening
from tests.story.helpers import account, demo, drain, pull, scalar
from tests.story.processes import PATIENCE_S, wait_until
from tests.systems.live import change, chat

Open = Callable[..., Hub]
PHONE = "139 1234 5678"
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "LOOK_S", 0.05)
    monkeypatch.setattr("adapters.matrix.adapter.POLL_S", 1)


@contextmanager
def listens(hub: Hub) -> Iterator[None]:
    """The hub listens, as a process would."""
    stopping = threading.Event()
    thread = threading.Thread(target=listen.run, args=(hub, stopping))
    thread.start()
    try:
        wait_until("the line stands", lambda: _stands(hub))
        yield
    finally:
        stopping.set()
        thread.join(PATIENCE_S)


def _stands(hub: Hub) -> bool:
    with hub.database.read() as conn:
        return any(row["heard_at"] for row in listeners.every(conn))


def joined(user: MatrixUser, room: str, who: str) -> bool:
    members = user.call("GET", f"/rooms/{room.replace('!', '%21')}/joined_members")["joined"]
    return who in members


def answers(hub: Hub, asker: MatrixUser, room: str, count: int = 1) -> list[str]:
    """What the bot has answered, in the order of the questions, once it has said so much."""

    def said() -> list[str]:
        drain(hub)
        heard = asker.heard(room)
        notices = [e["content"] for e in heard if e["content"]["msgtype"] == "m.notice"]
        asked = [e["event_id"] for e in heard]
        notices.sort(key=lambda c: asked.index(c["m.relates_to"]["m.in_reply_to"]["event_id"]))
        return [content["body"] for content in notices]

    wait_until("the bot has answered", lambda: len(said()) >= count)
    return said()


def opened(open_with: Open, matrix: Matrix, **more: Any) -> Hub:
    """A hub that knows 李娜, with a desk in the chat."""
    live = chat(matrix, listen=True, **more)
    hub = open_with(
        {"crm": demo(), "chat": {"adapter": "matrix", **live.settings}}, language="zh_CN"
    )
    crm = account(hub, "crm")
    crm.put(
        "customers", {"id": "1", "name": "李娜", "phone": PHONE, "company": "宏达", "tier": "VIP"}
    )
    crm.put("tickets", {"id": "7", "subject": "净化器异响", "status": "open", "customer_id": "1"})
    pull(hub, "crm")
    return hub


@pytest.mark.usefixtures("quick")
def test_a_question_is_answered_with_a_card_as_the_desk_may_see_it(
    open_with: Open, matrix: Matrix
) -> None:
    hub, mei, bot = (
        opened(open_with, matrix, desk_role="agent"),
        matrix.user("mei"),
        matrix.user("hub"),
    )
    room = mei.make_room(bot.id)
    with listens(hub):
        wait_until("the bot comes when it is invited", lambda: joined(mei, room, bot.id))
        mei.say(room, f"!360 {PHONE}")
        mei.say(room, "!360 li na")
        mei.say(room, "!360 nobody@example.com")
        card, by_name, nobody = answers(hub, mei, room, 3)
    assert card.splitlines()[:2] == ["李娜", "宏达"]
    assert "+8613912345678" in card
    assert "• 净化器异响" in card
    assert by_name.splitlines()[0] == "李娜"
    assert nobody == "没有找到这位客户。"
    client = create_app(hub.settings, hub.database).test_client()
    link = card.splitlines()[-1].rpartition(": ")[2]
    page = client.get(link.removeprefix(hub.settings.public_url))
    assert page.status_code == 200
    assert "李娜" in page.text
    assert page.headers["Content-Security-Policy"].endswith("frame-ancestors 'none'")
    told = f"chat:{mei.id}"
    assert scalar(hub, "SELECT count(*) FROM audit WHERE actor = :actor", actor=told) == 2
    assert drain(hub) == 0  # its own words are no question


@ON_SQLITE
@pytest.mark.usefixtures("quick")
def test_a_masked_desk_shows_no_number_and_an_open_room_no_person(
    open_with: Open, matrix: Matrix
) -> None:
    hub, mei, bot = opened(open_with, matrix, rooms="any"), matrix.user("mei"), matrix.user("hub")
    private, public = mei.make_room(bot.id), mei.make_room(bot.id, preset="public_chat")
    with listens(hub):
        for room in (private, public):
            wait_until("the bot comes", lambda room=room: joined(mei, room, bot.id))
            mei.say(room, f"!360 {PHONE}")
        (masked,) = answers(hub, mei, private)
        (link,) = answers(hub, mei, public)
    assert "李娜" in masked
    assert "+86139******78" in masked
    assert "13912345678" not in masked
    assert link.startswith("登录后查看客户卡片: ")
    assert "?customer=" in link
    assert "李娜" not in link
    page = (
        create_app(hub.settings, hub.database).test_client().get("/card?" + link.partition("?")[2])
    )
    assert page.status_code == 302


@ON_SQLITE
@pytest.mark.usefixtures("quick")
def test_a_stranger_is_told_nothing_and_an_open_room_to_ask_in_private(
    open_with: Open, matrix: Matrix
) -> None:
    hub = opened(open_with, matrix, customers=["@eve:hub.test"], desk_role="agent")
    mei, eve, bot = matrix.user("mei"), matrix.user("eve"), matrix.user("hub")
    public, theirs = mei.make_room(bot.id, preset="public_chat"), eve.make_room(bot.id)
    mixed = mei.make_room(bot.id, eve.id)
    eve.join(mixed)
    with listens(hub):
        for room in (public, mixed):
            wait_until("the bot comes", lambda room=room: joined(mei, room, bot.id))
        eve.say(mixed, f"!360 {PHONE}")
        for room in (public, mixed):
            mei.say(room, f"!360 {PHONE}")
            assert answers(hub, mei, room) == ["请在私密房间里问我。"]
    assert not joined(eve, theirs, bot.id)


@ON_SQLITE
@pytest.mark.usefixtures("quick")
def test_customers_conversations_become_their_timeline(open_with: Open, matrix: Matrix) -> None:
    hub = opened(open_with, matrix, customers=["@wa_*:hub.test"], page_size=2)
    wang, mei, bot = matrix.user("wa_1"), matrix.user("mei"), matrix.user("hub")
    wang.call("PUT", f"/profile/{wang.id}/displayname", displayname="王伟")
    room = mei.make_room(bot.id, wang.id)
    wang.join(room)
    with listens(hub):
        wait_until("the bot comes", lambda: joined(mei, room, bot.id))
    asked = [wang.say(room, text) for text in ("在吗", "订单什么时候发货？", "喂", "？", "好吧")]
    mei.say(room, "colleagues talk")
    reply = {"m.relates_to": {"m.in_reply_to": {"event_id": asked[1]}}}
    mei.say(room, "明天发货", **reply)
    edit = {"msgtype": "m.text", "body": "在么"}
    replaces = {"rel_type": "m.replace", "event_id": asked[0]}
    wang.say(room, "* 在么", **{"m.new_content": edit, "m.relates_to": replaces})
    forged = {"rel_type": "m.replace", "event_id": asked[4]}
    mei.say(room, "* 不", **{"m.new_content": {**edit, "body": "不"}, "m.relates_to": forged})
    wang.call("PUT", f"/rooms/{room}/redact/{asked[2]}/r1")
    with listens(hub):  # more was said meanwhile than one answer holds
        wanted = {"在么", "订单什么时候发货？", "？", "好吧", "明天发货"}
        wait_until("all of it is there", lambda: _talk(hub, wang) == wanted, patience_s=30)
    inbox = scalar(hub, "SELECT group_concat(CAST(body AS TEXT)) FROM inbox")
    assert "colleagues talk" not in inbox


def _talk(hub: Hub, customer: MatrixUser) -> set[str]:
    """What stands in a customer's timeline."""
    drain(hub)
    with hub.database.read() as conn:
        links = customers.links(conn, [f"chat/users/{customer.id}"])
        found = [read.profile_json(conn, id_) for id_ in links.values()]
    profiles = [Profile.model_validate_json(one.document) for one in found if one]
    assert all(p.name and p.name.value == "王伟" for p in profiles)
    return {fact.fields.get("text") or fact.summary for p in profiles for fact in p.timeline}


def test_a_message_is_sent_once_and_not_where_the_bot_is_not(matrix: Matrix) -> None:
    live, mei, bot = chat(matrix), matrix.user("mei"), matrix.user("hub")
    room = mei.make_room(bot.id)
    bot.join(room)
    write = change(room_id=room, body="您好", msgtype="m.text")
    stream = live.streams["messages"]
    assert live.adapter.push(stream, write).id == live.adapter.push(stream, write).id
    assert [event["content"]["body"] for event in mei.heard(room)] == ["您好"]


def test_trouble_has_its_name(matrix: Matrix) -> None:
    with pytest.raises(AuthError):
        chat(matrix, access_token="wrong").adapter.check()
    with pytest.raises(RetryableError):
        chat(matrix, homeserver="http://127.0.0.1:9").adapter.check()
    with pytest.raises(CursorExpiredError):
        chat(matrix).adapter.listen(Inbox("never given"))


def test_what_was_not_stored_comes_again(matrix: Matrix, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.matrix.adapter.POLL_S", 1)
    live, mei, bot = chat(matrix), matrix.user("mei"), matrix.user("hub")
    room = mei.make_room(bot.id)
    bot.join(room)
    inbox = Inbox()
    with listening(live.new_adapter(), inbox):
        inbox.until_stands()
    asked = mei.say(room, "!360 lost?")
    inbox = Inbox(inbox.cursor)
    inbox.refuse = 1
    with pytest.raises(EndedError, match="commit failed"):
        live.new_adapter().listen(inbox)
    assert inbox.items == {}
    with listening(live.new_adapter(), inbox):
        inbox.until_more(set())
    (item,) = inbox.items.values()
    assert isinstance(item, Item)
    assert (item.event_id, item.order_key) == (asked, room)
    assert json.loads(item.body)["private"]
