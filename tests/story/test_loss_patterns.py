"""Every way in which records get lost, one at a time: none is, and a certificate says so.

Each test is named after its pattern. It ends with one cycle of reconciliation, after which no row
is lost, none was written twice, and every certificate is complete. Where the pattern does hide rows
from the pull, the test shows that first, so that the repair means something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hub.pipeline.replay import replay_quarantine
from hub.registry import Hub
from tests.story.city_world import SYNCS, World

Open = Callable[..., Hub]


def alike(*streams: str) -> list[dict[str, Any]]:
    return [{**SYNCS[0], "streams": streams, "create": streams}]


BOTH = alike("crm/contacts", "erp/parties")
DESK = alike("crm/contacts", "desk/requesters")
NO_HOOKS = {"hook_lost": 1.0}
"""Webhooks would tell of what a pull cannot see."""


@contextmanager
def world(open_with: Open, *only: str, **more: Any) -> Iterator[World]:
    """A city of these systems, three people in each, and all of them loaded."""
    made = World(open_with, only=only, **more)
    with made.open():
        for name in only:
            for n in range(3):
                person(made, name, n)
        made.settle()
        yield made


def people(name: str) -> str:
    return {"crm": "contacts", "erp": "parties", "desk": "requesters"}[name]


def person(city: World, name: str, n: int) -> str:
    """Somebody new in one system; the id."""
    known = sum(len(site.ledger.entries) for site in city.city.sites)
    values = {"name": f"王{known:04d}", "phone": f"1391234{n:04d}", "email": f"c{n}@example.com"}
    row: dict[str, str] = city.city.site(name).save(people(name), values)
    return row["id"]


def ends_well(city: World) -> None:
    """One cycle, and then everything is as it should be."""
    city.calm()
    city.settle()
    city.reconcile()
    assert city.faults() == []


def repaired(city: World, place: str) -> int:
    """How much the newest reconciliation of a stream mended."""
    return city.certified()[place][1]


@pytest.mark.parametrize("name", ["crm", "erp", "desk"])
def test_search_that_lags(open_with: Open, name: str) -> None:
    with world(open_with, name) as city:
        faults = city.city.site(name).faults
        faults.set(lag=1.0, **NO_HOOKS)
        person(city, name, 7)
        faults.set(lag=0.0)
        city.city.clock.wait(600)
        person(city, name, 8)  # it moves the cursor past the one that is still hidden
        city.work()
        city.settle()
        assert city.lost()
        ends_well(city)
        assert repaired(city, f"{name}/{people(name)}") == 1


@pytest.mark.parametrize("name", ["crm", "erp", "desk"])
def test_rows_with_equal_timestamps_above_the_page_cap(open_with: Open, name: str) -> None:
    with world(open_with, name, page_size=2) as city:
        city.city.site(name).faults.set(**NO_HOOKS)
        for n in range(3, 12):
            person(city, name, n)  # all in one second
        city.settle()
        assert city.lost() == []
        ends_well(city)


@pytest.mark.parametrize("name", ["crm", "erp", "desk"])
def test_late_visible_rows_with_older_stamps(open_with: Open, name: str) -> None:
    with world(open_with, name) as city:
        city.city.clock.wait(3600)
        city.settle()
        city.city.site(name).faults.set(backdated=1.0, **NO_HOOKS)
        person(city, name, 7)
        city.settle()
        assert city.lost()
        ends_well(city)
        assert repaired(city, f"{name}/{people(name)}") == 1


def test_result_cap(open_with: Open) -> None:
    with world(open_with, "erp", given={"cap": 4}) as city:
        for n in range(3, 30):
            person(city, "erp", n)
            city.city.clock.wait(n % 2)
        city.settle()
        assert city.lost() == []
        ends_well(city)


@pytest.mark.parametrize("fault", ["busy", "busy_without_word"])
def test_storm_of_429(open_with: Open, fault: str) -> None:
    with world(open_with, "crm", "erp", syncs=BOTH) as city:
        for site in city.city.sites:
            site.faults.set(**{fault: 0.7})
        person(city, "crm", 7)
        for _ in range(5):
            city.work()
            city.city.clock.wait(120)
        ends_well(city)


@pytest.mark.parametrize("fault", ["answer_lost", "gateway"])
@pytest.mark.parametrize(("name", "syncs"), [("erp", BOTH), ("desk", DESK)])
def test_timeout_after_the_write_was_done(
    open_with: Open, fault: str, name: str, syncs: list[dict[str, Any]]
) -> None:
    with world(open_with, "crm", name, syncs=syncs) as city:
        site = city.city.site(name)
        site.faults.set(**{fault: 1.0})
        person(city, "crm", 7)
        for _ in range(3):
            city.receive()
            city.work()
            city.city.clock.wait(70)
        assert len(site.ledger.find(people(name), "email", "c7@example.com")) == 1
        ends_well(city)


@pytest.mark.parametrize("name", ["crm", "desk"])
def test_duplicate_and_reordered_webhooks(open_with: Open, name: str) -> None:
    with world(open_with, name) as city:
        site = city.city.site(name)
        site.faults.set(hook_twice=1.0, hooks_reordered=1.0)
        id_ = person(city, name, 7)
        for n in range(8):
            site.save(people(name), {"title": f"t{n}"}, id_=id_)
        city.receive()
        site.remove(people(name), id_)
        city.receive()
        city.work()
        ends_well(city)


@pytest.mark.parametrize("name", ["crm", "desk"])
def test_webhooks_lost(open_with: Open, name: str) -> None:
    with world(open_with, name) as city:
        site = city.city.site(name)
        site.faults.set(**NO_HOOKS)
        gone = person(city, name, 7)
        city.settle()
        site.remove(people(name), gone)
        person(city, name, 8)
        ends_well(city)


def test_single_use_refresh_tokens(open_with: Open) -> None:
    with world(open_with, "erp") as city:
        for n in range(4, 7):
            city.city.clock.wait(3000)
            person(city, "erp", n)
            city.settle()
            assert city.lost() == []
        ends_well(city)


def test_refresh_token_used_up_and_its_answer_lost(open_with: Open) -> None:
    with world(open_with, "erp") as city:
        city.city.erp.faults.set(grant_lost=1.0)
        city.city.clock.wait(4000)
        person(city, "erp", 7)
        city.work()
        assert city.lost()
        ends_well(city)


@pytest.mark.parametrize("name", ["王  ", "  王 伟"])
def test_values_rewritten_on_save(open_with: Open, name: str) -> None:
    with world(open_with, "crm", "erp", syncs=BOTH) as city:
        city.city.erp.faults.set(rewritten=1.0)
        values = {"name": name, "email": "c7@example.com", "tier": "gold"}
        city.city.crm.save("contacts", values)
        city.settle()
        (copy,) = city.city.erp.ledger.find("parties", "email", "c7@example.com")
        assert copy["tier"] == "GOLD"
        written = len(city.city.erp.ledger.entries)
        city.settle()
        assert len(city.city.erp.ledger.entries) == written
        ends_well(city)


@pytest.mark.parametrize("name", ["crm", "erp", "desk"])
def test_deleted_rows(open_with: Open, name: str) -> None:
    with world(open_with, name) as city:
        site = city.city.site(name)
        site.faults.set(**NO_HOOKS)
        site.remove(people(name), site.ledger.rows(people(name))[0]["id"])
        ends_well(city)
        assert city.certified()[f"{name}/{people(name)}"][0]


@pytest.mark.parametrize("fault", ["added", "retyped"])
def test_schema_change_that_the_mapping_bears(open_with: Open, fault: str) -> None:
    with world(open_with, "crm", "erp", syncs=BOTH) as city:
        city.city.crm.faults.set(**{fault: 1.0})
        person(city, "crm", 7)
        ends_well(city)


def test_schema_change_that_wants_another_mapping(open_with: Open, own_settings: Path) -> None:
    with world(open_with, "crm") as city:
        city.city.crm.faults.set(nested=1.0)
        person(city, "crm", 7)
        city.settle()
        city.reconcile()
        assert city.certified()["crm/contacts"] == (False, 0)
        overlay = own_settings.parent / "overlays" / "crm" / "contacts.yaml"
        overlay.parent.mkdir(parents=True)
        overlay.write_text(
            "fields:\n  contact_points:\n    - {type: phone, path: phone.number || phone | text}\n"
        )
        city.restart()
        assert replay_quarantine(city.hub, "crm")[0] == 1
        ends_well(city)


def test_slow_bodies(open_with: Open) -> None:
    with world(open_with, "crm", "erp", syncs=BOTH) as city:
        for site in city.city.sites:
            site.faults.set(dribble=0.6)
        person(city, "crm", 7)
        for _ in range(3):
            city.work()
        ends_well(city)


@pytest.mark.parametrize("fault", ["page", "down", "hang"])
def test_answers_that_are_none(open_with: Open, fault: str) -> None:
    """A web page with status 200, 500 to 504, or nothing at all."""
    with world(open_with, "crm", "erp", syncs=BOTH) as city:
        for site in city.city.sites:
            site.faults.set(**{fault: 0.6})
        person(city, "crm", 7)
        person(city, "erp", 8)
        for _ in range(3):
            city.work()
            city.city.clock.wait(70)
        ends_well(city)


def test_cursors_that_are_forgotten(open_with: Open) -> None:
    with world(open_with, "crm") as city:
        city.city.crm.faults.set(cursors_lost=0.5, **NO_HOOKS)
        for n in range(3, 20):
            person(city, "crm", n)
        for _ in range(3):
            city.work()
            city.city.clock.wait(70)
        ends_well(city)
