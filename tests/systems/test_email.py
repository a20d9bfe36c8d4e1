"""The adapter against a real mailbox: letters come once, an answer is sent once."""

from __future__ import annotations

import uuid

import pytest

from demo.people import Writer
from demo.systems import Mailbox
from demo.systems.mailbox import SUPPORT, new_message
from hub.errors import AuthError, RetryableError
from hub.mapping import to_canonical
from hub.sdk import Row
from tests.contract.lines import Inbox, listening
from tests.systems.live import change, mail, pulled


def test_letters_come_once_and_an_answer_is_sent_once(mailbox: Mailbox) -> None:
    live = mail(mailbox)
    live.adapter.check()
    rows, cursor = pulled(live, "messages")
    assert len(rows) == len(mailbox.letters())
    assert pulled(live, "messages", cursor)[0] == {}
    for raw in rows.values():
        assert to_canonical(live.mappings["messages"], raw, connection="mail")
    subject = f"Re: 退换货 {uuid.uuid4().hex[:6]}"
    answer = change(to=[{"address": "lina@example.com"}], subject=subject, text="已受理。\n")
    stream = live.streams["messages"]
    assert live.adapter.push(stream, answer).id == live.adapter.push(stream, answer).id
    arrived = [m for m in mailbox.letters("lina@example.com").values() if m["Subject"] == subject]
    assert len(arrived) == 1


def test_a_letter_is_heard_as_it_comes(mailbox: Mailbox) -> None:
    """The same row as a pull gives, over a line that waits (IDLE)."""
    live, inbox = mail(mailbox), Inbox()
    _, cursor = pulled(live, "messages")
    with listening(live.new_adapter(), inbox):
        inbox.until_stands()
        for subject in ("第一封", "第二封"):
            heard = set(inbox.items)
            mailbox.send(
                new_message(Writer("Li Na 李娜", "lina@example.com"), SUPPORT, subject, "你好")
            )
            inbox.until_more(heard)
    rows, _ = pulled(live, "messages", cursor)
    said = [one for item in inbox.items.values() for one in live.parser.parse(item.body)]
    assert said == [Row("messages", row) for row in rows.values()]
    assert [row["subject"] for row in rows.values()] == ["第一封", "第二封"]


def test_wrong_credentials_and_a_stopped_server_are_told_apart(mailbox: Mailbox) -> None:
    with pytest.raises(AuthError):
        mail(mailbox, password="no").adapter.check()
    with pytest.raises(RetryableError):
        mail(mailbox, imap_port=9).adapter.check()
