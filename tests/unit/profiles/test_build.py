"""The profile is a pure function of its records."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import orjson

from hub.models import ContactPoint, Level, Order, Person, Record, Ref, Ticket, TicketStatus
from hub.profiles.build import SHOWN, Held, build, document
from hub.profiles.document import Profile, Source

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def held(record: Record, age_h: int = 0) -> Held:
    name = str(record.ref)
    seen_at = NOW - timedelta(hours=age_h)
    return Held(
        record,
        Source(ref=name, connection=record.ref.connection, mapping_version="m1", seen_at=seen_at),
    )


def person(connection: str, name: str, *points: ContactPoint, tier: str = "") -> Person:
    ref = Ref(connection=connection, stream="people", id="1")
    return Person(ref=ref, name=name, contact_points=points, tier=tier)


def order(n: int) -> Order:
    ref = Ref(connection="erp", stream="orders", id=str(n))
    return Order(ref=ref, number=f"SO{n}", occurred_at=NOW - timedelta(days=n))


def made(*records: Held, priority: tuple[str, ...] = ()) -> Profile:
    profile = build("c1", records, priority=priority, regions={}, now=NOW)
    assert profile is not None
    return profile


def test_priority_wins_then_the_newest_and_losers_are_kept() -> None:
    erp, desk = held(person("erp", "李娜"), 9), held(person("desk", "Li Na"), 1)
    newest = made(erp, desk)
    assert newest.name is not None
    assert newest.name.value == "Li Na"
    assert [other.value for other in newest.name.others] == ["李娜"]
    preferred = made(erp, desk, priority=("erp",))
    assert preferred.name is not None
    assert preferred.name.value == "李娜"


def test_an_empty_value_never_wins() -> None:
    best = made(
        held(person("erp", "李娜")), held(person("desk", "", tier="VIP"), 3), priority=("desk",)
    )
    assert best.name is not None
    assert best.name.value == "李娜"
    assert best.tier is not None
    assert best.tier.source.connection == "desk"


def test_one_contact_known_to_two_systems_is_shown_once_with_its_surest_level() -> None:
    a = ContactPoint(type="phone", value="139 1234 5678", level=Level.RECORDED)
    b = ContactPoint(type="phone", value="+8613912345678", level=Level.PROVEN)
    (contact,) = made(held(person("erp", "李娜", a)), held(person("desk", "李娜", b))).contacts
    assert contact.value == "+8613912345678"
    assert contact.level is Level.PROVEN
    assert {source.connection for source in contact.sources} == {"erp", "desk"}


def test_facts_are_newest_first_and_no_more_than_shown() -> None:
    profile = made(held(person("erp", "李娜")), *(held(order(n)) for n in range(SHOWN + 5)))
    assert len(profile.orders) == SHOWN
    assert profile.orders[0].summary == "SO0"


def test_only_open_tickets_are_open_requests() -> None:
    tickets = [
        Ticket(ref=Ref(connection="d", stream="t", id=status), subject=status, status=status)
        for status in TicketStatus
    ]
    profile = made(held(person("d", "李娜")), *map(held, tickets))
    assert {fact.status for fact in profile.open_requests} == {"new", "open", "waiting"}


def test_the_order_of_records_does_not_matter() -> None:
    records = [held(person(c, n), h) for c, n, h in (("a", "X", 1), ("b", "Y", 2), ("c", "Z", 3))]
    records += [held(order(n)) for n in range(10)]
    expected = made(*records)
    for seed in range(20):
        random.Random(seed).shuffle(records)
        assert made(*records) == expected


def test_no_party_no_profile() -> None:
    assert build("c1", [held(order(1))], priority=(), regions={}, now=NOW) is None


def test_the_document_is_what_the_model_writes() -> None:
    ref = Ref(connection="d", stream="t", id="1")
    ticket = Ticket(ref=ref, subject="x", status=TicketStatus.OPEN)
    phone = ContactPoint(type="phone", value="139 1234 5678", label="work")
    records = [held(person("erp", "李娜", phone), 9), held(person("desk", "Li Na", tier="VIP"), 1)]
    records += [held(order(1)), held(ticket)]
    made_of = {"priority": (), "regions": {}, "now": NOW}
    written = orjson.dumps(document("c1", records, **made_of), option=orjson.OPT_UTC_Z)
    profile = build("c1", records, **made_of)
    assert profile is not None
    assert orjson.loads(written) == orjson.loads(profile.model_dump_json(exclude_defaults=True))
