"""The profile is a pure function of its records."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import orjson

from hub.models import (
    Consent,
    ContactPoint,
    Level,
    Message,
    Order,
    Person,
    Record,
    Ref,
    Ticket,
    TicketStatus,
)
from hub.profiles.build import SHOWN, Held, Manner, Material, Pin, build, document
from hub.profiles.catalogue import read_catalogue
from hub.profiles.document import Profile, Source
from hub.profiles.tally import Tally, day_of

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


CATALOGUE = read_catalogue()


def made(*records: Held, priority: tuple[str, ...] = (), pins: tuple[Pin, ...] = ()) -> Profile:
    profile = build("c1", Material(records, pins=pins), Manner(priority, {}, CATALOGUE), NOW)
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
    assert build("c1", Material([held(order(1))]), Manner((), {}, CATALOGUE), NOW) is None


def test_the_document_is_what_the_model_writes() -> None:
    ref = Ref(connection="d", stream="t", id="1")
    ticket = Ticket(ref=ref, subject="x", status=TicketStatus.OPEN, due_at=NOW)
    phone = ContactPoint(type="phone", value="139 1234 5678", label="work")
    said = Message(
        ref=ref.model_copy(update={"stream": "m"}), channel="chat", direction="in", occurred_at=NOW
    )
    consent = Consent(purpose="marketing", granted=False, said_at=NOW)
    company = Ref(connection="erp", stream="companies", id="7")
    rich = person("erp", "李娜", phone).model_copy(
        update={"consents": (consent,), "organization": company, "title": "CTO"}
    )
    records = [held(rich, 9), held(person("desk", "Li Na", tier="VIP"), 1)]
    records += [held(order(1)), held(ticket), held(said)]
    day = day_of(NOW)
    sums = [
        Tally("Order", "total", "done", "CNY", None, 3, 900, day - 200),
        Tally("Order", "total", "done", "CNY", day, 1, 100, day),
    ]
    pins = [Pin("owner", "王强", "admin", NOW)]
    made_of = Material(records, sums, pins), Manner((), {}, CATALOGUE), NOW
    written = orjson.dumps(document("c1", *made_of), option=orjson.OPT_UTC_Z)
    profile = build("c1", *made_of)
    assert profile is not None
    assert orjson.loads(written) == orjson.loads(profile.model_dump_json(exclude_defaults=True))


def test_each_value_says_by_which_rule_it_won() -> None:
    claimed = ContactPoint(type="email", value="a@example.com", level=Level.CLAIMED)
    proven = ContactPoint(type="email", value="a@example.com", level=Level.PROVEN)

    def reason(*records: Held, priority: tuple[str, ...] = ()) -> str:
        name = made(*records, priority=priority).name
        assert name is not None
        assert name.value == "好"
        return name.reason

    good = person("erp", "好")
    assert reason(held(good)) == "only value"
    assert reason(held(good), held(person("desk", "好"))) == "only value"
    worse = held(person("desk", "差"))
    assert reason(held(good, 9), worse, priority=("erp",)) == "source priority"
    assert reason(held(person("erp", "好", proven), 9), worse) == "verified"
    assert reason(held(good, 9), held(person("desk", "差", claimed))) == "verified"
    assert reason(held(good), held(person("desk", "差"), 9)) == "newest"
    assert reason(held(person("erp", "好", tier="VIP")), worse) == "most complete"
    assert reason(held(person("a", "好")), worse) == "first by name"


def test_a_pinned_value_wins_and_says_who_pinned_it() -> None:
    pins = (
        Pin("tier", "普通", "admin", NOW - timedelta(days=1)),
        Pin("tier", "黑金", "王强", NOW),
    )
    tier = made(held(person("erp", "李娜", tier="VIP")), priority=("erp",), pins=pins).tier
    assert tier is not None
    assert (tier.value, tier.reason, tier.pinned_by) == ("黑金", "pinned", "王强")
    assert [other.value for other in tier.others] == ["VIP"]


def test_a_person_acts_for_each_company_once() -> None:
    def acting(connection: str, id_: str | None, name: str, title: str) -> Held:
        ref = Ref(connection="erp", stream="companies", id=id_) if id_ else None
        update = {"organization": ref, "organization_name": name, "title": title}
        return held(person(connection, "李娜").model_copy(update=update))

    companies = made(
        acting("a", "7", "山海", "CTO"),
        acting("b", "9", "", "顾问"),
        acting("c", None, "山海", "经理"),
        acting("d", None, "星河", ""),
    ).companies
    told = [(c.ref, c.name, c.title) for c in companies]
    assert told == [
        ("erp/companies/7", "山海", "CTO"),
        ("erp/companies/9", "", "顾问"),
        ("", "星河", ""),
    ]


def test_the_newest_word_on_consent_counts_whoever_says_it() -> None:
    def saying(connection: str, *, granted: bool, days: int | None) -> Held:
        at = NOW - timedelta(days=days) if days is not None else None
        consent = Consent(purpose="sms", granted=granted, said_at=at)
        return held(person(connection, "李娜").model_copy(update={"consents": (consent,)}))

    (consent,) = made(
        saying("a", granted=True, days=None),
        saying("b", granted=True, days=9),
        saying("c", granted=False, days=2),
        priority=("a", "b"),
    ).consents
    assert (consent.granted, consent.source.connection) == (False, "c")
