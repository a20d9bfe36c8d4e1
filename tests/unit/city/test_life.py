"""People's deeds can be repeated, and what systems disagree on is named."""

from __future__ import annotations

from demo.city.life import Life, disagreements
from tests.city import City


def test_the_same_seed_gives_the_same_life() -> None:
    told = []
    for _ in range(2):
        city = City(seed=1)
        life = Life(*city.sites, seed=5)
        deeds = [life.step() for _ in range(200)]
        told.append((deeds, [site.ledger.entries for site in city.sites]))
    assert told[0] == told[1]
    assert {*told[0][0]} == {deed.__name__ for _, deed in life._deeds}


def test_whoever_is_missing_somewhere_is_named(city: City) -> None:
    city.crm.save("contacts", {"name": "李娜", "email": "a@example.com"})
    (found,) = disagreements(city.sites)
    assert found == "a@example.com exists {'crm': 1, 'erp': 0, 'desk': 0}"
    assert list(disagreements(city.sites, everywhere=False)) == []


def test_a_field_that_differs_is_named_but_not_spaces_and_capitals(city: City) -> None:
    for site, stream in ((city.crm, "contacts"), (city.erp, "parties"), (city.desk, "requesters")):
        tier = " Gold" if site is city.crm else "GOLD"
        site.save(stream, {"name": "李娜", "email": "a@example.com", "tier": tier})
    assert list(disagreements(city.sites)) == []
    city.erp.save("parties", {"name": "王伟"}, id_="P00001")
    (found,) = disagreements(city.sites)
    assert found.startswith("a@example.com: name is")
