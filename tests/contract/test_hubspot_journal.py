"""HubSpot's webhooks journal against a server that keeps its files for a while."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from adapters.hubspot import journal as module
from adapters.hubspot.adapter import HubspotAdapter
from adapters.hubspot.config import HubspotConfig
from adapters.hubspot.webhook import HubspotReceiver
from hub.errors import AuthError, ConfigError, CursorExpiredError, RetryableError
from hub.sdk import Deleted
from tests.contract.journal_server import CLIENT, SECRET, Journal, serving
from tests.contract.lines import EndedError, Inbox, listening


@pytest.fixture
def journal() -> Iterator[Journal]:
    with serving() as found:
        yield found


def adapter(journal: Journal, **given: Any) -> HubspotAdapter:
    config = {
        "client_id": CLIENT,
        "client_secrets": [SECRET],
        "api_url": journal.url,
        "allow_networks": ["127.0.0.0/8"],
    }
    return HubspotAdapter(HubspotConfig.model_validate({**config, **given}))


class Once(Inbox):
    """Ends where a listener would wait for news."""

    def rest(self, seconds: float) -> None:
        super().rest(seconds)
        if seconds:
            raise EndedError


def read(journal: Journal, inbox: Inbox, **given: Any) -> None:
    """Everything there is."""
    with pytest.raises(EndedError):
        adapter(journal, **given).listen(inbox)


def test_everything_comes_in_order_and_goes_on_behind_it(journal: Journal) -> None:
    journal.tell(1, events=2)
    journal.tell(2)
    inbox = Once()
    read(journal, inbox)
    assert list(inbox.items) == ["journal/offset-1/0", "journal/offset-1/1", "journal/offset-2/0"]
    assert inbox.cursor == "offset-2"
    journal.tell(3)
    later = Once(inbox.cursor)
    read(journal, later)
    assert list(later.items) == ["journal/offset-3/0"]
    assert journal.asked[-2:] == ["/offset/offset-2/next", "/offset/offset-3/next"]


def test_an_empty_journal_is_asked_again_later(journal: Journal) -> None:
    inbox = Once()
    read(journal, inbox)
    assert (inbox.items, inbox.cursor, inbox.rests) == ({}, None, [module.POLL_S])


def test_an_event_reads_as_if_it_had_been_pushed(journal: Journal) -> None:
    journal.tell(1)
    inbox = Once()
    read(journal, inbox)
    (item,) = inbox.items.values()
    assert (item.type, item.order_key) == ("contact.deletion", "contact/1000")
    receiver = HubspotReceiver(adapter(journal).config)
    assert list(receiver.parse(item.body)) == [Deleted("contacts", "1000")]


@pytest.mark.parametrize(
    ("action", "about", "type_", "order_key"),
    [
        ("UPDATE", ("objectTypeId", "0-5"), "ticket.propertyChange", "ticket/7"),
        ("GDPR_DELETE", ("objectTypeId", "0-1"), "contact.privacyDeletion", "contact/7"),
        ("CREATE", ("objectTypeId", "2-99"), "object.creation", "object/7"),
        (
            "ASSOCIATION_ADDED",
            ("fromObjectTypeId", "0-2"),
            "company.associationChange",
            "company/7",
        ),
        ("APP_INSTALL", ("appId", "1"), "object.app_install", None),
    ],
)
def test_the_words_of_the_journal_become_those_of_webhooks(
    journal: Journal, action: str, about: tuple[str, str], type_: str, order_key: str | None
) -> None:
    name, value = about
    event = {"action": action, name: value, name.replace("TypeId", "Id"): 7}
    journal.files["offset-1"] = [event]
    inbox = Once()
    read(journal, inbox)
    (item,) = inbox.items.values()
    assert (item.type, item.order_key) == (type_, order_key)
    assert json.loads(item.body) == {**event, "subscriptionType": type_}
    list(HubspotReceiver(adapter(journal).config).parse(item.body))


def test_what_was_not_stored_comes_again_under_the_same_names(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH_MAX", 2)
    journal.tell(1, events=5)
    inbox = Once()
    stored: list[int] = []

    def full() -> bool:
        stored.append(len(inbox.items))
        return len(inbox.items) == 4

    inbox.refuse_when = full
    read(journal, inbox)  # killed in the middle of a file
    assert (stored, inbox.cursor) == ([0, 2, 4], None)
    again = Once()
    again.items = dict(inbox.items)
    read(journal, again)
    assert len(again.items) == 5
    assert again.repeated == list(inbox.items)


def test_a_forgotten_offset_is_an_expired_cursor(journal: Journal) -> None:
    journal.tell(1)
    journal.tell(2)
    journal.forget(1)
    with pytest.raises(CursorExpiredError):
        adapter(journal).listen(Inbox("offset-1"))
    inbox = Once()
    read(journal, inbox)
    assert list(inbox.items) == ["journal/offset-2/0"]


def test_an_expired_address_of_a_file_is_no_fault_of_our_credentials(journal: Journal) -> None:
    journal.tell(1)
    journal.expired_once = {"offset-1"}
    with pytest.raises(RetryableError):
        adapter(journal).listen(Inbox())
    inbox = Once()
    read(journal, inbox)
    assert inbox.cursor == "offset-1"


def test_a_rest_ends_when_it_is_time(journal: Journal) -> None:
    inbox = Inbox()
    with listening(adapter(journal), inbox):
        inbox.until_stands()


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"client_id": "wrong"}, AuthError),
        ({"client_secrets": ["wrong-secret"]}, AuthError),
        ({"client_id": ""}, ConfigError),
        ({"allow_networks": []}, ConfigError),
        ({"api_url": "http://127.0.0.1:1"}, RetryableError),
        ({"journal_version": "no-such-version"}, ConfigError),
    ],
)
def test_the_trouble_has_a_name(journal: Journal, given: dict[str, Any], error: type) -> None:
    adapter(journal).check()
    with pytest.raises(error) as caught:
        adapter(journal, **given).listen(Inbox())
    assert "secret" not in str(caught.value)


def test_a_server_that_is_down_is_for_now(journal: Journal) -> None:
    journal.down = 3  # as often as the client tries by itself
    with pytest.raises(RetryableError):
        adapter(journal).listen(Inbox())
