"""Each fault is what it says, and chance can be repeated."""

from __future__ import annotations

import json
from typing import Any

import pytest

from demo.city.faults import FAULTS, Faults
from hub.errors import HubError, RetryableError
from hub.sdk import Adapter
from tests.city import City
from tests.unit.city.test_adapters import adapter_of, ids


def crm(city: City) -> tuple[Adapter[Any], Any]:
    adapter = adapter_of(city, "crm", page_size=50)
    return adapter, adapter.streams[0]


def test_nothing_goes_wrong_unless_told() -> None:
    faults = Faults(seed=1)
    assert not any(faults.strikes(name) for name in FAULTS)


def test_the_same_seed_gives_the_same_chance() -> None:
    one, other = Faults(seed=3, busy=0.5), Faults(seed=3, busy=0.5)
    drawn = [one.strikes("busy") for _ in range(50)]
    assert drawn == [other.strikes("busy") for _ in range(50)]
    assert {*drawn} == {True, False}


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(KeyError):
        Faults(lagg=1.0)


@pytest.mark.parametrize("name", ["busy", "busy_without_word", "down", "page", "hang", "dribble"])
def test_a_read_that_goes_wrong_may_be_tried_again(city: City, name: str) -> None:
    adapter, stream = crm(city)
    city.crm.save("contacts", {"name": "n"})
    city.crm.faults.set(**{name: 1.0})
    with pytest.raises(RetryableError):
        list(adapter.pull(stream, None))
    city.crm.faults.clear()
    assert len(ids(adapter.pull(stream, None))) == 1


@pytest.mark.parametrize("name", ["busy", "down", "page", "hang"])
def test_a_write_that_goes_wrong_before_it_was_done_leaves_nothing(city: City, name: str) -> None:
    adapter, _ = crm(city)
    city.crm.faults.set(**{name: 1.0})
    with pytest.raises(HubError):
        adapter.http.json("POST", "/contacts", json={"name": "n"})
    assert city.crm.ledger.rows("contacts") == []


@pytest.mark.parametrize("name", ["answer_lost", "gateway"])
def test_a_write_may_be_done_and_not_answered(city: City, name: str) -> None:
    adapter, _ = crm(city)
    city.crm.faults.set(**{name: 1.0})
    with pytest.raises(HubError):
        adapter.http.json("POST", "/contacts", json={"name": "n"})
    assert len(city.crm.ledger.rows("contacts")) == 1


def test_lag_hides_a_change_from_search_and_shows_it_later(city: City) -> None:
    adapter, stream = crm(city)
    row = city.crm.save("contacts", {"name": "old"})
    city.crm.faults.set(lag=1.0)
    city.crm.save("contacts", {"name": "new"}, id_=row["id"])
    (page,) = adapter.pull(stream, None)
    assert page.records[0]["name"] == "old"
    city.clock.wait(city.crm.ledger.lag_s)
    (page,) = adapter.pull(stream, None)
    assert page.records[0]["name"] == "new"


def test_a_backdated_change_stands_before_what_was_read(city: City) -> None:
    adapter, stream = crm(city)
    city.crm.save("contacts", {"name": "n"})
    cursor = list(adapter.pull(stream, None))[-1].cursor
    city.clock.wait(60)
    city.crm.faults.set(backdated=1.0)
    late = city.crm.save("contacts", {"name": "late"})["id"]
    assert late not in ids(adapter.pull(stream, cursor))


@pytest.mark.parametrize(
    ("name", "shows"),
    [
        ("added", {"name": "n", "phone": "13912345678", "loyalty_points": 7}),
        ("retyped", {"name": "n", "phone": 13912345678}),
        ("renamed", {"full_name": "n", "phone": "13912345678"}),
        ("nested", {"name": "n", "phone": {"number": "13912345678"}}),
    ],
)
def test_a_row_takes_another_shape_and_keeps_it(
    city: City, name: str, shows: dict[str, Any]
) -> None:
    adapter, stream = crm(city)
    city.crm.faults.set(**{name: 1.0})
    city.crm.save("contacts", {"name": "n", "phone": "13912345678"})
    city.crm.faults.clear()
    (page,) = adapter.pull(stream, None)
    meta = {"id", "version", "created_at", "changed_at"}
    assert {k: v for k, v in page.records[0].items() if k not in meta} == shows


def test_the_erp_tidies_up(city: City) -> None:
    city.erp.faults.set(rewritten=1.0)
    row = city.erp.save("parties", {"name": " 李娜 ", "tier": "gold"})
    assert (row["name"], row["tier"]) == ("李娜", "GOLD")
    assert city.erp.save("orders", {"total": "9.999"})["total"] == "10.00"


def sent(city: City, **chances: float) -> list[str]:
    """The events of five changes, as they arrive when the faults are as given."""
    arrived: list[str] = []

    def post(_: dict[str, str], body: bytes) -> int:
        arrived.append(json.loads(body)["event"])
        return 202

    city.crm.faults.set(**chances)
    for n in range(5):
        city.crm.save("contacts", {"name": f"n{n}"})
    city.crm.send_hooks(post)
    city.crm.faults.clear()
    city.crm.send_hooks(post)
    return arrived


def test_webhooks_come_in_order_once(city: City) -> None:
    assert sent(city) == [f"crm-{n}" for n in range(1, 6)]


def test_webhooks_get_lost(city: City) -> None:
    assert sent(city, hook_lost=1.0) == []


def test_webhooks_come_twice(city: City) -> None:
    assert sent(city, hook_twice=1.0) == [f"crm-{n}" for n in range(1, 6)] * 2


def test_webhooks_come_in_any_order(city: City) -> None:
    arrived = sent(city, hooks_reordered=1.0)
    assert arrived != sorted(arrived)
    assert len(arrived) == 5


def test_a_webhook_nobody_took_is_sent_again(city: City) -> None:
    city.crm.save("contacts", {"name": "n"})
    answers = iter([503, 202])
    assert city.crm.send_hooks(lambda *_: next(answers)) == 0
    assert city.crm.send_hooks(lambda *_: next(answers)) == 1
    assert city.crm.send_hooks(lambda *_: next(answers)) == 0


def test_the_ledger_counts_what_was_made_twice(city: City) -> None:
    adapter, _ = crm(city)
    for _ in range(2):
        adapter.http.json("POST", "/contacts", json={"name": "n", "external_ref": "hub-1"})
    adapter.http.json("POST", "/contacts", json={"name": "n"})
    city.crm.save("contacts", {"name": "by a person"})
    assert city.crm.ledger.twice() == ["contacts hub-1", "contacts "]
