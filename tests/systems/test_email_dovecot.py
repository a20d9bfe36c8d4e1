"""The adapter against a real Dovecot: the server most mailboxes of companies are kept by."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from demo.people import Writer
from demo.systems import Mailbox
from demo.systems.mailbox import new_message
from hub.errors import AuthError, ConfigError, RetryableError
from hub.mapping import to_canonical
from hub.registry import Live, manifest
from hub.sdk import Row
from tests.contract.lines import EndedError, Inbox, listening
from tests.systems.dovecot import PASSWORD, USER, Dovecot, dovecot
from tests.systems.live import LOOPBACK, change, pulled

LI_NA = Writer("Li Na 李娜", "lina@example.com")


@pytest.fixture
def server() -> Iterator[Dovecot]:
    with dovecot() as found:
        yield found


def mail(of: Dovecot, **more: Any) -> Live:
    given = {"address": USER, "password": PASSWORD, "imap_host": "127.0.0.1", "imap_tls": "none"}
    given |= {"imap_port": of.port, "allow_networks": LOOPBACK}
    return Live("mail", manifest("email"), {**given, **more})


def write(to: Dovecot, *subjects: str) -> None:
    for subject in subjects:
        to.deliver(new_message(LI_NA, USER, subject, f"{subject}：净水器漏水 💧\n"))


def subjects(rows: Mapping[str, Any]) -> list[str]:
    return [row["subject"] for row in rows.values()]


def test_letters_come_once_however_small_the_pages(server: Dovecot) -> None:
    live = mail(server, page_size=2)
    live.adapter.check()
    assert pulled(live, "messages") == ({}, None)
    write(server, "一", "二", "三", "四", "五")
    rows, cursor = pulled(live, "messages")
    assert subjects(rows) == ["一", "二", "三", "四", "五"]
    for raw in rows.values():
        assert to_canonical(live.mappings["messages"], raw, connection="mail")
    assert pulled(live, "messages", cursor)[0] == {}
    for done, page in enumerate(live.adapter.pull(live.streams["messages"], None), start=1):
        assert subjects(pulled(live, "messages", page.cursor)[0]) == subjects(rows)[2 * done :]
    with server.imap() as session:
        assert session.search(None, "UNSEEN") == ("OK", [b"1 2 3 4 5"]), "reading marks nothing"


def test_what_agents_move_away_costs_no_other_letter(server: Dovecot) -> None:
    write(server, "一", "二", "三")
    live = mail(server)
    _, cursor = pulled(live, "messages")
    with server.imap() as session:
        session.uid("STORE", "1:3", "+FLAGS", r"(\Deleted)")
        session.expunge()
    write(server, "四")
    rows, cursor = pulled(live, "messages", cursor)
    assert subjects(rows) == ["四"]
    with server.imap() as session:
        session.uid("STORE", "4", "+FLAGS", r"(\Deleted)")
        session.expunge()
    assert pulled(live, "messages", cursor) == ({}, cursor), "the folder is empty"


def test_a_renumbered_folder_is_read_anew(server: Dovecot) -> None:
    write(server, "一", "二")
    live = mail(server)
    before, cursor = pulled(live, "messages")
    server.stop()
    server.renumber()
    server.start()
    write(server, "三")
    after, again = pulled(live, "messages", cursor)
    assert list(after)[:2] == list(before), "the same letters by the same ids"
    assert subjects(after) == ["一", "二", "三"]
    assert str(again).partition(":")[0] != str(cursor).partition(":")[0]


def test_letters_are_heard_as_they_come(server: Dovecot) -> None:
    """The same rows as a pull gives, over a line that waits (IDLE); none is lost between lines."""
    write(server, "早")
    live, inbox = mail(server), Inbox()
    _, cursor = pulled(live, "messages")
    with listening(live.new_adapter(), inbox):
        inbox.until_stands()
        for subject in ("第一封", "第二封"):
            heard = set(inbox.items)
            write(server, subject)
            inbox.until_more(heard)
    write(server, "第三封")
    again = Inbox(inbox.cursor)
    with listening(live.new_adapter(), again):
        again.until_more(set())
    items = [*inbox.items.values(), *again.items.values()]
    said = [one for item in items for one in live.parser.parse(item.body)]
    rows, _ = pulled(live, "messages", cursor)
    assert said == [Row("messages", row) for row in rows.values()]
    assert subjects(rows) == ["第一封", "第二封", "第三封"]


def test_a_letter_that_was_not_stored_is_heard_again(server: Dovecot) -> None:
    live, inbox = mail(server), Inbox()
    with listening(live.new_adapter(), inbox) as ended:
        inbox.until_stands()
        inbox.refuse = 1
        write(server, "一")
        assert isinstance(ended(), EndedError)
    again = Inbox(inbox.cursor)
    with listening(live.new_adapter(), again):
        again.until_more(set())
    assert len(again.items) == 1


def test_a_line_that_breaks_is_told(server: Dovecot) -> None:
    inbox = Inbox()
    with listening(mail(server).new_adapter(), inbox) as ended:
        inbox.until_stands()
        server.stop()
        assert isinstance(ended(), RetryableError)


def test_an_answer_is_sent_once_and_filed(server: Dovecot, mailbox: Mailbox) -> None:
    """Dovecot keeps the proof; another server carries the letter."""
    sends = {"smtp_host": "127.0.0.1", "smtp_port": mailbox.smtp_port, "smtp_tls": "none"}
    live = mail(server, smtp_login=False, sent_folder="已发送", **sends)
    stream, subject = live.streams["messages"], f"Re: 退换货 {uuid.uuid4().hex[:6]}"
    answer = change(to=[{"address": LI_NA.email}], subject=subject, text="已受理。\n")
    receipts = [live.new_adapter().push(stream, answer) for _ in range(2)]
    assert receipts[0].id == receipts[1].id
    arrived = mailbox.letters(LI_NA.email).values()
    assert [one["Message-ID"] for one in arrived if one["Subject"] == subject] == [receipts[0].id]
    filed, _ = pulled(mail(server, folder="已发送"), "messages")
    assert subjects(filed) == [subject]


def test_refusals_are_told_apart(server: Dovecot) -> None:
    for wrong in ("no", "不对"):
        with pytest.raises(AuthError):
            mail(server, password=wrong).adapter.check()
    with pytest.raises(ConfigError, match="no folder"):
        mail(server, folder="没有").adapter.check()
    with pytest.raises(ConfigError, match="private"):
        mail(server, allow_networks=[]).adapter.check()
    with pytest.raises(ConfigError, match="STARTTLS"):
        mail(server, imap_tls="starttls").adapter.check()
    server.stop()
    with pytest.raises(RetryableError):
        mail(server).adapter.check()
