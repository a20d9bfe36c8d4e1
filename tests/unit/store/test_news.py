"""What subscribers are told, and in which form: the parts that need no database."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from cloudevents.core.bindings import http as peer
from standardwebhooks import Webhook

from hub.models import ContactPoint, Level, Person, Ref, Ticket, TicketStatus
from hub.pipeline.publish import message, signed
from hub.profiles.build import Held, Manner, Material, document
from hub.profiles.catalogue import read_catalogue
from hub.profiles.document import Source
from hub.store.news import TYPES, News, changed_parts
from hub.store.subscriptions import covers

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def person(connection: str, name: str = "李娜", *phones: str, **more: str) -> Person:
    points = [ContactPoint(type="phone", value=phone) for phone in phones]
    ref = Ref(connection=connection, stream="people", id="1")
    return Person(ref=ref, name=name, contact_points=points, **more)


def ticket(id_: str, status: TicketStatus = TicketStatus.NEW) -> Ticket:
    ref = Ref(connection="desk", stream="tickets", id=id_)
    return Ticket(ref=ref, subject="坏了", status=status, occurred_at=NOW)


MANNER = Manner(priority=(), regions={}, catalogue=read_catalogue())


def profile(*records: Any, at: datetime = NOW, mapping: str = "m1", newest: str = "") -> str:
    held = []
    for record in records:
        name, connection = str(record.ref), record.ref.connection
        seen_at = at + timedelta(hours=connection == newest)
        source = Source(ref=name, connection=connection, mapping_version=mapping, seen_at=seen_at)
        held.append(Held(record, source))
    made = document("c1", Material(held), MANNER, at)
    return orjson.dumps(made, option=orjson.OPT_UTC_Z).decode()


def test_what_says_the_same_is_no_change() -> None:
    records = [person("crm", "李娜", "13900001234", tier="VIP"), person("erp"), ticket("1")]
    before = profile(*records, newest="crm")
    assert changed_parts(before, before) == []
    assert changed_parts(before, profile(*records, newest="crm", mapping="m2")) == []
    assert changed_parts(before, profile(*records, newest="erp", at=NOW + timedelta(days=1))) == []
    assert changed_parts(before, profile(*reversed(records), newest="erp")) == []


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ([person("crm")], [person("crm", "李娜娜")], ["members", "name"]),
        ([person("crm")], [person("crm", tier="VIP")], ["tier"]),
        ([person("crm", tier="VIP")], [person("crm")], ["tier"]),
        ([person("crm")], [person("crm", "李娜", "13900001234")], ["contacts"]),
        ([person("crm")], [person("crm"), person("erp")], ["members"]),
        ([person("crm")], [person("crm"), ticket("1")], ["open_requests", "timeline"]),
        (
            [person("crm"), ticket("1")],
            [person("crm"), ticket("1", TicketStatus.SOLVED)],
            ["open_requests", "timeline"],
        ),
        (
            [person("crm"), ticket("1")],
            [person("crm"), ticket("2")],
            ["open_requests", "timeline"],
        ),
    ],
)
def test_the_parts_that_say_something_else(
    before: list[Any], after: list[Any], changed: list[str]
) -> None:
    assert changed_parts(profile(*before), profile(*after)) == changed


def test_a_surer_level_is_a_change() -> None:
    claimed, proven = (
        Person(
            ref=Ref(connection="crm", stream="people", id="1"),
            name="李娜",
            contact_points=[ContactPoint(type="phone", value="13900001234", level=level)],
        )
        for level in (Level.CLAIMED, Level.PROVEN)
    )
    assert changed_parts(profile(claimed), profile(proven)) == ["contacts"]


@pytest.mark.parametrize(
    ("pattern", "type_", "expected"),
    [
        ("customer.*", "customer.created", True),
        ("customer.created", "customer.created", True),
        ("customer.created", "customer.updated", False),
        ("customer.*", "customers.created", False),
        ("customer", "customer.created", False),
        ("*", "customer.created", False),
        (".*", "customer.created", False),
    ],
)
def test_patterns(pattern: str, type_: str, *, expected: bool) -> None:
    assert covers(pattern, type_) is expected


def news(type_: str, subject: str, **data: Any) -> News:
    return News(7, 3, type_, subject, "crm", {"id": subject, **data}, NOW)


def test_the_name_of_an_event_stays_and_holds_no_dot() -> None:
    assert news("customer.created", "c1").name == news("customer.updated", "c2").name
    later = News(7, 3, "customer.created", "c1", "", {}, NOW + timedelta(microseconds=1))
    assert later.name != news("customer.created", "c1").name  # another installation's seventh
    assert "." not in later.name


def test_a_standard_message() -> None:
    headers, body = message(
        "standard", news("customer.updated", "c1", changed=["tier"]), "https://h/"
    )
    assert headers == {"content-type": "application/json"}
    assert json.loads(body) == {
        "type": "customer.updated",
        "timestamp": "2026-11-21T12:00:00Z",
        "data": {
            "id": "c1",
            "changed": ["tier"],
            "customer_url": "https://h/api/v1/customers/c1",
            "cause": "crm",
        },
    }


@pytest.mark.parametrize("format_", ["cloudevents-binary", "cloudevents-structured"])
@pytest.mark.parametrize("type_", TYPES)
def test_messages_as_cloud_events(format_: str, type_: str) -> None:
    more = {"customer_id": "c1"} if type_.startswith("request.") else {}
    told = news(type_, "desk/票/T 1%", **more)
    headers, body = message(format_, told, "https://hub.example.com")
    read = peer.from_http_event(peer.HTTPMessage(dict(headers), body))
    assert (read.get_id(), read.get_type()) == (told.name, f"conduit.{type_}")
    assert (read.get_source(), read.get_subject()) == ("https://hub.example.com", "desk/票/T 1%")
    assert read.get_time() == NOW
    data = read.get_data()
    assert isinstance(data, dict)
    assert data["id"] == "desk/票/T 1%"
    assert ("customer_url" in data) == (type_ != "stream.loaded")


def test_one_signature_per_secret() -> None:
    at = datetime.now(UTC)
    other = "whsec_" + "QUJD" * 11
    headers = signed(
        {"content-type": "application/json"}, b'{"a": 1}', [SECRET, other], "evt_1", at
    )
    assert headers["webhook-id"] == "evt_1"
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (SECRET, other):
        assert Webhook(secret).verify(b'{"a": 1}', headers) == {"a": 1}
