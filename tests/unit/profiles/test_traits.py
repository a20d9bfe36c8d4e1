"""Traits and segments: data in, figures out, by the day they are asked for."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.errors import ConfigError
from hub.models import Asset, Invoice, Message, Money, Order, OrderStatus, Record, Ref
from hub.profiles.catalogue import Catalogue, read_catalogue
from hub.profiles.tally import AMOUNT_MAX, Tally, day_number, day_of, shares
from hub.profiles.traits import bases, since, values
from hub.profiles.view import brief, shown

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TODAY = day_of(NOW)
SHIPPED = read_catalogue()


def tally(record: Record, recent: int) -> list[Tally]:
    """What the store tells of one record, days before ``recent`` taken together."""
    return [
        Tally(
            s.kind, s.field, s.status, s.unit, s.day if s.day >= recent else None, 1, s.total, s.day
        )
        for s in shares(record)
    ]  # fmt: skip


def order(days: int, amount: int = 100, currency: str = "CNY", status: str = "done") -> Order:
    return Order(
        ref=Ref(connection="erp", stream="orders", id=f"{days}-{amount}"),
        status=OrderStatus(status),
        total=Money(amount_minor=amount, currency=currency),
        occurred_at=NOW - timedelta(days=days),
    )


def asset(until: date | None) -> Asset:
    ref = Ref(connection="erp", stream="assets", id=str(until))
    return Asset(ref=ref, serial_number="s", warranty_until=until)


def stored(*records: Record, catalogue: Catalogue = SHIPPED, **more: Any) -> dict[str, Any]:
    """A profile as it is stored."""
    sums = [t for r in records for t in tally(r, since(catalogue, NOW))]
    kept = bases(catalogue, sums, NOW)
    return {"id": "c1", "kind": "Person", "members": [], "bases": kept, **more}


def figures(document: dict[str, Any], later: int = 0) -> dict[str, float]:
    told = values(SHIPPED, document["bases"], TODAY + later)
    return {id_: trait["value"] for id_, trait in told.items()}


def test_traits_speak_of_the_whole_history() -> None:
    told = figures(stored(*(order(days, 100 + days) for days in range(0, 400, 4))))
    assert told["orders"] == 100
    assert told["lifetime_value"] == sum(100 + days for days in range(0, 400, 4))
    assert told["orders_90d"] == len(range(0, 90, 4))
    assert told["days_since_order"] == 0


def test_a_profile_nobody_touches_does_not_lie() -> None:
    until = (NOW + timedelta(days=61)).date()
    document = stored(order(0), order(80), asset(until), asset(None))
    assert figures(document)["orders_90d"] == 2
    assert figures(document, 10)["orders_90d"] == 1
    assert figures(document, 89)["orders_90d"] == 1
    assert figures(document, 90)["orders_90d"] == 0
    assert figures(document, 90)["days_since_order"] == 90
    assert figures(document)["warranty_ending"] == 0
    assert figures(document, 1)["warranty_ending"] == 1
    assert figures(document, 61)["warranty_ends_in"] == 0
    assert "warranty_ends_in" not in figures(document, 62)


def test_an_order_of_tomorrow_counts_tomorrow() -> None:
    document = stored(order(-1))
    assert figures(document)["orders_90d"] == 0
    assert figures(document, 1)["orders_90d"] == 1


def test_currencies_are_not_added_to_one_another() -> None:
    orders = [order(1, 100), order(2, 200), order(3, 900, "USD"), order(4, status="draft")]
    value = values(SHIPPED, stored(*orders)["bases"], TODAY)["lifetime_value"]
    assert (value["value"], value["unit"]) == (300, "CNY")
    assert value["others"] == [{"value": 900, "unit": "USD"}]


def test_of_nothing_there_are_no_orders_but_no_last_order_either() -> None:
    told = figures(stored())
    assert told["orders"] == told["lifetime_value"] == 0
    assert told.keys().isdisjoint({"days_since_order", "satisfaction", "warranty_ends_in"})


def test_an_amount_that_is_a_slip_is_counted_and_not_summed() -> None:
    (share,) = shares(order(1, AMOUNT_MAX))
    assert (share.unit, share.total) == ("", 0)


def test_facts_share_by_what_they_measure() -> None:
    ref = Ref(connection="erp", stream="x", id="1")
    bill = Invoice(
        ref=ref,
        total=Money(amount_minor=300, currency="CNY"),
        due_on=date(2026, 12, 1),
    )
    told = [(s.field, s.day, s.unit, s.total) for s in shares(bill)]
    assert told == [("total", 0, "CNY", 300), ("due_on", day_number(date(2026, 12, 1)), "", 0)]
    said = Message(ref=ref, channel="chat", direction="in", occurred_at=NOW)
    assert [(s.status, s.day) for s in shares(said)] == [("in", TODAY)]


def test_segments_and_signals_follow_from_traits_and_from_time() -> None:
    document = stored(*(order(days, 100) for days in (10, 20, 30)))
    assert "segments" not in shown(document, SHIPPED, NOW)
    later = NOW + timedelta(days=170)
    told = shown(document, SHIPPED, later)
    assert [s["id"] for s in told["signals"]] == ["no_orders"]
    assert [s["id"] for s in told["segments"]] == ["at_risk"]
    assert told["segments"][0]["label"] == {"zh": "流失风险", "en": "At risk"}
    facts = brief(document, SHIPPED, later)
    assert facts["segments"] == ["at_risk"]
    assert facts["traits"]["orders"] == 3
    assert brief(stored(tier={"value": "VIP"}), SHIPPED, NOW)["segments"] == ["vip"]


def test_requests_are_overdue_when_their_time_has_passed() -> None:
    due = [(NOW + timedelta(hours=h)).isoformat() for h in (-2, 3)]
    document = stored(due=due)
    assert shown(document, SHIPPED, NOW)["service"] == {
        "overdue": 1,
        "next_due_at": "2026-11-21T15:00:00Z",
    }
    assert shown(document, SHIPPED, NOW + timedelta(hours=4))["service"] == {"overdue": 2}
    assert brief(document, SHIPPED, NOW)["signals"] == ["overdue"]


def test_a_file_of_ones_own_adds_replaces_and_takes_away(tmp_path: Path) -> None:
    path = tmp_path / "traits.toml"
    path.write_text(
        """
        [traits]
        requests_30d = false
        [traits.orders_90d]
        label = {zh = "年", en = "Year"}
        kind = "Order"
        aggregate = "count"
        past_days = 365
        [traits.big]
        label = {zh = "大单", en = "Big"}
        kind = "Order"
        aggregate = "average"
        [signals]
        many_requests = false
        """,
        encoding="utf-8",
    )  # fmt: skip
    found = read_catalogue(path)
    assert "requests_30d" not in found.traits
    assert found.traits["orders_90d"].past_days == 365
    assert found.past_days == 365
    assert list(found.traits)[-1] == "big"
    assert "lifetime_value" in found.traits


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('[traits.x]\nkind = "Order"\naggregate = "count"', "traits.x.label"),
        ("[traits.x]\n" + 'label = {zh = "x", en = ""}', "traits.x.label.en"),
        ("[trait.x]", "trait: unknown"),
        ("not toml", "not valid TOML"),
        ('[segments.x]\nlabel = {zh = "x", en = "x"}', "segments.x"),
        ('[segments.x]\nlabel = {zh = "x", en = "x"}\nall = [{field = "traits.no"}]', "traits.no"),
        ('[segments.x]\nlabel = {zh = "x", en = "x"}\nall = [{field = "tear"}]', '"tear"'),
        (
            '[segments.x]\nlabel = {zh = "x", en = "x"}\nall = [{field = "tier", becomes = "a"}]',
            "becomes",
        ),
        ('[segments.x]\nlabel = {zh = "x", en = "x"}\nall = [{fjeld = "tier"}]', "segments.x.all"),
    ],
)
def test_a_wrong_file_says_where(tmp_path: Path, entry: str, said: str) -> None:
    path = tmp_path / "traits.toml"
    path.write_text(entry, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"traits\.toml") as caught:
        read_catalogue(path)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ('kind = "Person"\naggregate = "count"', "must be of"),
        ('kind = "Ticket"\naggregate = "sum"', "can be summed"),
        ('kind = "Order"\naggregate = "sum"\nfield = "score"', "no field"),
        ('kind = "Order"\naggregate = "soonest"', "holds a day"),
        ('kind = "Asset"\naggregate = "sum"\nfield = "warranty_until"', "can be summed"),
        ('kind = "Order"\naggregate = "count"\nstatus = ["solved"]', "no status solved"),
        ('kind = "Order"\naggregate = "count"\npast_days = 1\nnext_days = 1', "exclude"),
        ('kind = "Order"\naggregate = "median"', "traits.x.aggregate"),
    ],
)
def test_a_trait_that_cannot_be_is_refused(tmp_path: Path, wrong: str, said: str) -> None:
    path = tmp_path / "traits.toml"
    path.write_text(f'[traits.x]\nlabel = {{zh = "x", en = "x"}}\n{wrong}', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_catalogue(path)
    assert said in str(caught.value)
