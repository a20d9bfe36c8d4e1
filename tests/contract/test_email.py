"""The e-mail adapter against a mail server on a socket: what the HTTP suite cannot ask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from adapters.email.adapter import EmailAdapter, EmailConfig
from hub.errors import (
    AuthError,
    ConfigError,
    RejectedError,
    RetryableError,
    UnknownOutcomeError,
    UnsupportedError,
)
from hub.sdk import Change
from tests.contract.mailbox_server import PASSWORD, Mailbox, serving

MESSAGES = EmailAdapter.streams[0]


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with serving() as found:
        found.folders["INBOX"] = [mail(n) for n in range(5)]
        yield found


def mail(n: int) -> bytes:
    return (
        f"From: c{n}@example.com\r\nTo: us@example.org\r\nSubject: Nr. {n}\r\n"
        f"Message-ID: <m{n}@example.com>\r\nDate: Sun, 1 Nov 2026 10:00:0{n} +0800\r\n"
        f"\r\nhi {n}\r\n"
    ).encode()


def adapter(box: Mailbox, **given: Any) -> EmailAdapter:
    config = {
        "address": "us@example.org",
        "password": PASSWORD,
        "imap_host": "127.0.0.1",
        "imap_port": box.imap_port,
        "imap_tls": "none",
        "smtp_host": "127.0.0.1",
        "smtp_port": box.smtp_port,
        "smtp_tls": "none",
        "smtp_login": False,
        "allow_networks": ("127.0.0.0/8",),
        "page_size": 2,
    }
    return EmailAdapter(EmailConfig.model_validate({**config, **given}))


def ids(box: Mailbox, cursor: str | None = None) -> list[str]:
    pages = adapter(box).pull(MESSAGES, cursor)
    return [row["message_id"][2:3] for page in pages for row in page.records]


def change(**values: Any) -> Change:
    mail = {"to": [{"address": "c1@example.com"}], "subject": "Re", "text": "fine", **values}
    return Change(id=None, values=mail, key="k1")


def test_everything_comes_and_again_from_each_cursor(box: Mailbox) -> None:
    pages = list(adapter(box).pull(MESSAGES, None))
    assert [len(page.records) for page in pages] == [2, 2, 1]
    assert [page.cursor for page in pages] == ["1:2", "1:4", "1:5"]
    assert [ids(box, page.cursor) for page in pages] == [["2", "3", "4"], ["4"], []]


def test_a_range_beyond_the_end_gives_nothing_old(box: Mailbox) -> None:
    assert ids(box, "1:5") == []


def test_a_renumbered_folder_is_read_anew(box: Mailbox) -> None:
    assert ids(box, "99:4") == ["0", "1", "2", "3", "4"]


def test_a_message_that_vanishes_meanwhile_is_passed_over(box: Mailbox) -> None:
    box.gone = {3}
    assert ids(box) == ["0", "1", "3", "4"]


def test_a_cut_connection_loses_nothing(box: Mailbox) -> None:
    box.cut_at = "UID FETCH 4"
    pages = adapter(box).pull(MESSAGES, None)
    first = next(pages)
    with pytest.raises(RetryableError):
        next(pages)
    assert len(first.records) == 2
    assert ids(box, first.cursor) == ["2", "3", "4"]


def test_a_mailbox_larger_than_one_search(box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.email.wire._WINDOW", 2)
    assert ids(box) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"password": "wrong"}, AuthError),
        ({"password": "错误"}, AuthError),
        ({"folder": "Nope"}, ConfigError),
        ({"imap_tls": "starttls"}, ConfigError),
        ({"imap_tls": "ssl"}, ConfigError),
        ({"allow_networks": ()}, ConfigError),
        ({"imap_port": 1}, RetryableError),
        ({"smtp_port": 1}, RetryableError),
        ({"imap_host": "no.such.host.invalid"}, RetryableError),
    ],
)
def test_check_names_the_trouble(box: Mailbox, given: dict[str, Any], error: type) -> None:
    adapter(box).check()
    with pytest.raises(error) as caught:
        adapter(box, **given).check()
    assert PASSWORD not in str(caught.value)


def test_a_mail_is_sent_once_and_filed(box: Mailbox) -> None:
    first = adapter(box).push(MESSAGES, change(in_reply_to="<m1@example.com>", automatic=True))
    assert adapter(box).push(MESSAGES, change()) == first
    assert len(box.sent) == len(box.folders["Sent"]) == 1
    sent = box.sent[0].decode()
    assert f"Message-ID: {first.id}" in sent
    assert "In-Reply-To: <m1@example.com>" in sent
    assert "Auto-Submitted: auto-replied" in sent


@pytest.mark.parametrize(
    ("refuse", "error"),
    [
        ({"RCPT": "550 no such user"}, RejectedError),
        ({"RCPT": "451 try later"}, RetryableError),
        ({"MAIL": "452 full"}, RetryableError),
        ({"DATA": "554 spam"}, RejectedError),
        ({"DATA": "421 busy"}, RetryableError),
        ({".": "554 spam"}, RejectedError),
        ({".": "451 busy"}, RetryableError),
    ],
)
def test_a_refusal_is_for_now_or_for_good(
    box: Mailbox, refuse: dict[str, str], error: type
) -> None:
    box.refuse = refuse
    with pytest.raises(error) as caught:
        adapter(box).push(MESSAGES, change())
    assert not isinstance(caught.value, UnknownOutcomeError)


def test_hung_up_before_the_message_is_for_now(box: Mailbox) -> None:
    box.cut_at = "rcpt"
    with pytest.raises(RetryableError):
        adapter(box).push(MESSAGES, change())


def test_hung_up_after_the_message_is_unknown(box: Mailbox) -> None:
    box.cut_at = "."
    with pytest.raises(UnknownOutcomeError):
        adapter(box).push(MESSAGES, change())


@pytest.mark.parametrize(
    "values",
    [
        {"to": []},
        {"to": [{"address": "nobody"}]},
        {"to": [{"address": "US@example.org"}]},
        {"in_reply_to": "<a>\r\nBcc: x@example.com"},
    ],
)
def test_what_must_not_be_sent(box: Mailbox, values: dict[str, Any]) -> None:
    with pytest.raises(RejectedError):
        adapter(box).push(MESSAGES, change(**values))
    assert box.sent == []


def test_without_smtp_nothing_is_sent(box: Mailbox) -> None:
    with pytest.raises(UnsupportedError):
        adapter(box, smtp_host="").push(MESSAGES, change())


def test_a_sent_mail_that_cannot_be_filed_is_still_sent(
    box: Mailbox, caplog: pytest.LogCaptureFixture
) -> None:
    box.cut_at = "APPEND"
    assert adapter(box).push(MESSAGES, change()).id
    assert "could not be filed" in caplog.text
