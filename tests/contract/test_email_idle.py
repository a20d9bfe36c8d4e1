"""A mailbox that tells what is new (IDLE), against a mail server on a socket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adapters.email.adapter import EmailAdapter
from hub.errors import AuthError, RetryableError, UnsupportedError
from hub.sdk import Row
from tests.contract.lines import EndedError, Inbox, listening
from tests.contract.mailbox_server import Mailbox, serving
from tests.contract.test_email import MESSAGES, adapter, mail


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with serving() as found:
        found.folders["INBOX"] = [mail(n) for n in range(3)]
        yield found


def uid(number: int, validity: int = 1) -> str:
    return f"INBOX/{validity}:{number}"


def test_what_comes_is_told_and_what_was_there_is_left_to_the_pull(box: Mailbox) -> None:
    inbox = Inbox()
    with listening(adapter(box), inbox):
        inbox.until_stands()
        box.arrive(mail(3))
        inbox.until(uid(4))
        box.arrive(mail(4))
        inbox.until(uid(5))
    assert list(inbox.items) == [uid(4), uid(5)]
    assert inbox.cursor == "1:5"


def test_an_item_reads_as_the_row_a_pull_gives(box: Mailbox) -> None:
    made, inbox = adapter(box), Inbox("1:1")
    with listening(made, inbox):
        inbox.until(uid(2), uid(3))
    rows = [row for page in adapter(box).pull(MESSAGES, "1:1") for row in page.records]
    told = [said for item in inbox.items.values() for said in made.parse(item.body)]
    assert told == [Row("messages", row) for row in rows]
    assert inbox.items[uid(2)].order_key == "messages/<m1@example.com>"


def test_it_goes_on_where_it_was_stored(box: Mailbox) -> None:
    inbox = Inbox("1:2")
    inbox.refuse = 1
    made = adapter(box)
    with pytest.raises(EndedError):
        made.listen(inbox)
    assert inbox.cursor == "1:2"
    with listening(made, inbox):
        inbox.until(uid(3))
    assert (list(inbox.items), inbox.cursor) == ([uid(3)], "1:3")


def test_a_renumbered_folder_is_left_to_the_pull(box: Mailbox) -> None:
    inbox = Inbox("99:1")
    with listening(adapter(box), inbox):
        inbox.until_stands()
        box.arrive(mail(3))
        inbox.until(uid(4))
    assert (list(inbox.items), inbox.cursor) == ([uid(4)], "1:4")


def test_a_mail_that_comes_just_before_it_waits_is_not_missed(box: Mailbox) -> None:
    box.arrives_before_idle = [mail(3)]
    inbox = Inbox()
    with listening(adapter(box), inbox):
        inbox.until(uid(4))


def test_a_message_that_vanishes_meanwhile_is_passed_over(box: Mailbox) -> None:
    inbox = Inbox()
    box.gone = {4}
    with listening(adapter(box), inbox):
        inbox.until_stands()
        box.arrive(mail(3))
        box.arrive(mail(4))
        inbox.until(uid(5))
    assert (list(inbox.items), inbox.cursor) == ([uid(5)], "1:5")


@pytest.mark.parametrize(
    "cut_at", ["UID SEARCH UID 4:4", "UID FETCH 4", "IDLE", "UID SEARCH UID 5:*"]
)
def test_a_cut_line_loses_nothing(box: Mailbox, cut_at: str) -> None:
    box.cut_at = cut_at
    inbox, made = Inbox("1:3"), adapter(box)
    box.arrive(mail(3))
    with pytest.raises(RetryableError):
        made.listen(inbox)
    with listening(adapter(box), inbox):
        inbox.until(uid(4))
        box.drop()


def test_a_server_that_hangs_up_is_for_now(box: Mailbox) -> None:
    inbox = Inbox()
    with listening(adapter(box), inbox) as ended:
        inbox.until_stands()
        box.until_idle()
        box.drop()
        assert isinstance(ended(), RetryableError)


def test_a_silent_line_is_built_up_anew(box: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A firewall may have forgotten it, and then nothing would come for ever."""
    monkeypatch.setattr("adapters.email.adapter.IDLE_S", 0.05)
    assert EmailAdapter.listen(adapter(box), Inbox()) is None


def test_a_server_that_cannot_is_told(box: Mailbox) -> None:
    box.idles = False
    with pytest.raises(UnsupportedError) as caught:
        adapter(box).listen(Inbox())
    assert "every minute" in caught.value.hint


def test_wrong_credentials_are_told(box: Mailbox) -> None:
    with pytest.raises(AuthError):
        adapter(box, password="wrong").listen(Inbox())
