"""A customer through time: the whole history, what was said before, what a person pinned."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from hub.errors import ConfigError
from hub.pipeline import customer, due
from hub.pipeline.absorb import rebuild, settle
from hub.profiles.document import Profile
from hub.registry import Hub
from hub.store import customers, evidence, leases, read
from tests.story.helpers import account, demo, drain, pull, scalar

LI = {"id": "1", "kind": "person", "name": "李娜", "phone": "13900001234"}
Clock = Callable[[timedelta], None]


def shown(hub: Hub, phone: str, at: datetime | None = None) -> Profile | None:
    with hub.database.read() as conn:
        (id_,) = read.find(conn, "phone", phone)
        found = customer.profile(conn, hub.catalogue, id_, at)
    return None if found is None else Profile.model_validate(found)


def now_shown(hub: Hub, phone: str = "+8613900001234") -> Profile:
    found = shown(hub, phone)
    assert found is not None
    return found


def put(hub: Hub, stream: str, *rows: dict[str, Any], connection: str = "crm") -> None:
    for row in rows:
        account(hub, connection).put(stream, row)
    pull(hub, connection, stream)


def order(id_: int, customer_id: str = "1", **more: Any) -> dict[str, Any]:
    today = datetime.now(UTC).date().isoformat()
    row = {"id": str(id_), "customer_id": customer_id, "status": "confirmed", "ordered_on": today}
    return {**row, "total": "10.00", "currency": "CNY", **more}


def test_traits_count_what_the_profile_no_longer_shows(open_with: Callable[..., Hub]) -> None:
    hub = open_with({"crm": demo()})
    put(hub, "customers", LI)
    put(hub, "orders", *(order(n) for n in range(30)))
    profile = now_shown(hub)
    assert len(profile.orders) == 20
    assert profile.traits["orders"].value == profile.traits["orders_90d"].value == 30
    assert (profile.traits["lifetime_value"].value, profile.traits["lifetime_value"].unit) == (
        30_000,
        "CNY",
    )
    put(hub, "orders", order(0, status="cancelled"), order(1, total="11.00"))
    assert now_shown(hub).traits["orders"].value == 29
    assert now_shown(hub).traits["lifetime_value"].value == 29_100


def test_rules_ask_for_traits_and_segments(open_with: Callable[..., Hub]) -> None:
    rule = {
        "id": "vip-order",
        "when": "Order created",
        "if": [
            {"field": "customer.segments", "contains": "vip"},
            {"field": "customer.traits.orders_90d", "at_least": 2},
        ],
        "then": {
            "write": "crm/tickets",
            "fields": {"subject": "{customer.name}: {customer.traits.orders_90d}"},
        },
    }
    hub = open_with({"crm": demo()}, rules=[rule])
    pull(hub, "crm")
    put(hub, "customers", {**LI, "tier": "VIP"}, {**LI, "id": "2", "phone": "13900005678"})
    put(hub, "orders", order(1), order(10, "2"))
    put(hub, "orders", order(2), order(11, "2"))
    drain(hub)
    (written,) = account(hub, "crm").effects()
    assert written.values is not None
    assert written.values["subject"] == "李娜: 2"


def test_the_past_is_kept_for_as_long_as_the_settings_say(
    open_with: Callable[..., Hub], clock: Clock
) -> None:
    hub = open_with({"crm": demo()}, history_days=30)
    put(hub, "customers", LI)
    assert scalar(hub, "SELECT count(*) FROM earlier_profile") == 0
    began = leases.now()
    clock(timedelta(days=2))
    put(hub, "orders", order(1))
    bought = leases.now()
    clock(timedelta(days=2))
    put(hub, "customers", {**LI, "name": "李 娜娜"})
    then = shown(hub, "+8613900001234", began)
    assert then is not None
    assert (then.name and then.name.value, len(then.orders)) == ("李娜", 0)
    later = shown(hub, "+8613900001234", bought + timedelta(days=1))
    assert later is not None
    assert (later.name and later.name.value, len(later.orders)) == ("李娜", 1)
    assert later.traits["days_since_order"].value == 3
    assert shown(hub, "+8613900001234", began - timedelta(days=1)) is None
    assert scalar(hub, "SELECT count(*) FROM earlier_profile") == 2
    seen = "SELECT party, row FROM seen WHERE place = 'earlier_profile'"
    with hub.database.read() as conn:  # so erasure finds them
        assert conn.execute(text(seen)).all() == [("crm/customers/1", then.id)]
    clock(timedelta(days=29))
    due.sweep(hub)
    assert scalar(hub, "SELECT count(*) FROM earlier_profile") == 1
    assert shown(hub, "+8613900001234", began) is None
    assert customer.is_forgotten(began, hub.settings.history_days)


def test_what_says_nothing_new_is_not_written(open_with: Callable[..., Hub], clock: Clock) -> None:
    hub = open_with({"crm": demo()})
    put(hub, "customers", LI)
    built_at = now_shown(hub).built_at
    clock(timedelta(hours=1))
    assert customer.rebuild_all(hub) == (1, 0)
    assert now_shown(hub).built_at == built_at
    assert scalar(hub, "SELECT count(*) FROM earlier_profile") == 0


def test_a_first_load_keeps_no_halves_of_profiles(
    open_with: Callable[..., Hub], clock: Clock
) -> None:
    hub = open_with({"crm": demo()})
    put(hub, "customers", LI)
    put(hub, "orders", order(1))  # their first load too
    assert scalar(hub, "SELECT count(*) FROM earlier_profile") == 0
    clock(timedelta(days=2))
    put(
        hub, "tickets", {"id": "T1", "subject": "x", "customer_id": "1"}
    )  # a stream that came later
    assert scalar(hub, "SELECT count(*) FROM earlier_profile") == 1
    put(hub, "orders", order(2))
    assert scalar(hub, "SELECT count(*) FROM earlier_profile") == 2


def test_a_merge_while_a_pin_waits_for_its_customer(
    open_with: Callable[..., Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = open_with({"crm": demo(), "erp": demo()})
    put(hub, "customers", LI)
    put(hub, "customers", {**LI, "id": "9", "phone": "13900005678"}, connection="erp")
    id_ = now_shown(hub, "+8613900005678").id
    a, b = "crm/customers/1", "erp/customers/9"
    lock = customers.lock

    def merged_first(conn: Connection, ids: Iterable[str]) -> None:
        monkeypatch.setattr(customers, "lock", lock)
        customers.say(conn, "confirm", [(a, b)], actor="mei", why="")
        found = settle(conn, list(evidence.read(conn, [a, b]).values()), (), actor="mei")
        rebuild(conn, hub, found.touched)
        lock(conn, ids)

    monkeypatch.setattr(customers, "lock", merged_first)
    hub.database.run(lambda conn: customer.pin(conn, hub, id_, "name", "李娜（总）", "admin"))
    name = now_shown(hub).name
    assert name is not None
    assert name.value == "李娜（总）"
    assert scalar(hub, "SELECT count(*) FROM profile") == 1


def test_a_pin_outlives_changes_and_a_merge(open_with: Callable[..., Hub]) -> None:
    hub = open_with({"crm": demo(), "erp": demo()})
    put(hub, "customers", LI)
    id_ = now_shown(hub).id
    hub.database.run(lambda conn: customer.pin(conn, hub, id_, "name", "李娜（总）", "admin"))
    put(hub, "customers", {**LI, "name": "Li Na"})
    put(hub, "customers", {**LI, "id": "9", "name": "李娜"}, connection="erp")
    name = now_shown(hub).name
    assert name is not None
    assert (name.value, name.reason, name.pinned_by) == ("李娜（总）", "pinned", "admin")
    assert {other.value for other in name.others} == {"Li Na", "李娜"}
    hub.database.run(lambda conn: customer.pin(conn, hub, id_, "name", None, "admin"))
    name = now_shown(hub).name
    assert name is not None
    assert name.reason == "newest"
    with pytest.raises(ConfigError, match="no name is pinned"):
        hub.database.run(lambda conn: customer.pin(conn, hub, id_, "name", None, "admin"))
    with pytest.raises(ConfigError, match="cannot be pinned"):
        hub.database.run(lambda conn: customer.pin(conn, hub, id_, "phone", "1", "admin"))
    assert scalar(hub, "SELECT count(*) FROM audit WHERE verb IN ('pin name', 'unpin name')") == 2


def test_the_companys_orders_stand_on_the_card_of_who_acts_for_it(
    open_with: Callable[..., Hub],
) -> None:
    hub = open_with({"crm": demo(), "erp": demo()})
    company = {"kind": "organization", "name": "山海设备有限公司"}
    put(hub, "customers", {**company, "id": "7", "tax_id": "91310000MA1K35U29X"})
    put(hub, "customers", {**company, "id": "8", "name": "星河科技"}, connection="erp")
    put(hub, "customers", {**LI, "company_id": "7", "title": "CTO"})
    put(hub, "customers", {**LI, "id": "3", "company_id": "8", "title": "顾问"}, connection="erp")
    put(hub, "orders", order(1, "7"))
    put(hub, "tickets", {"id": "5", "subject": "漏水", "customer_id": "7", "status": "open"})

    profile = now_shown(hub)
    assert profile.orders == profile.open_requests == ()
    told = {c.name: (c.title, len(c.orders), len(c.open_requests)) for c in profile.companies}
    assert told == {"山海设备有限公司": ("CTO", 1, 1), "星河科技": ("顾问", 0, 0)}
    ids = {c.name: c.customer_id for c in profile.companies}
    with hub.database.read() as conn:
        found = customer.profile(conn, hub.catalogue, ids["山海设备有限公司"])
    assert found is not None
    (person,) = Profile.model_validate(found).people
    assert (person.customer_id, person.name, person.title) == (profile.id, "李娜", "CTO")


def test_consent_is_shown_as_it_was_last_said(open_with: Callable[..., Hub]) -> None:
    hub = open_with({"crm": demo(), "erp": demo()})
    agreed = {"purpose": "sms", "granted": True, "said_at": "2026-01-01T00:00:00Z"}
    refused = {"purpose": "sms", "granted": False, "said_at": "2026-02-01T00:00:00Z"}
    put(hub, "customers", {**LI, "consents": [refused]})
    put(hub, "customers", {**LI, "id": "9", "consents": [agreed]}, connection="erp")
    (consent,) = now_shown(hub).consents
    assert (consent.purpose, consent.granted) == ("sms", False)
    assert consent.source.connection == "crm"


def test_a_rule_about_a_trait_that_is_none_is_refused(open_with: Callable[..., Hub]) -> None:
    rule = {
        "id": "x",
        "when": "Order created",
        "if": [{"field": "customer.traits.orders_91d", "at_least": 1}],
        "then": {"write": "crm/tickets", "fields": {}},
    }
    with pytest.raises(ConfigError, match="orders_91d"):
        open_with({"crm": demo()}, rules=[rule])
