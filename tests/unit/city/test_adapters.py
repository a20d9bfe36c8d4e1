"""The city's adapters against its servers: nothing is lost, nothing is written twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from hub import mapping, registry
from hub.errors import (
    AuthError,
    ConflictError,
    CursorExpiredError,
    RejectedError,
    RetryableError,
    UnknownOutcomeError,
    UnsupportedError,
)
from hub.sdk import Adapter, Change, RecordRef, Sighting, Stream, Window, tally_digest
from hub.sdk.testing import walk
from tests.city import City

WRITABLE = ["crm/contacts", "crm/cases", "erp/parties", "erp/orders", "desk/tickets"]
PULLED = ["crm/contacts", "erp/parties", "erp/orders", "desk/requesters"]


def adapter_of(city: City, name: str, *, page_size: int = 2) -> Adapter[Any]:
    given = {**city.connections(page_size=page_size)[name]}
    manifest = registry.manifest(given.pop("adapter"))
    return manifest.adapter_class()(manifest.config_class().model_validate(given))


def opened(city: City, place: str) -> tuple[Any, Adapter[Any], Stream]:
    """The server, the adapter and the stream of ``connection/stream``."""
    name, _, stream = place.partition("/")
    adapter = adapter_of(city, name)
    found = next(s for s in adapter.streams if s.name == stream)
    return getattr(city, name), adapter, found


def ids(pages: Any) -> set[str]:
    return {row["id"] for page in pages for row in page.records}


@pytest.mark.parametrize("place", PULLED)
def test_everything_comes_and_again_from_each_cursor(city: City, place: str) -> None:
    site, adapter, stream = opened(city, place)
    made = set()
    for n in range(9):
        made.add(site.save(stream.name, {"name": f"n{n}"})["id"])
        if n % 3 == 2:  # three rows share each second: more than a page
            city.clock.wait(60)
    pages, resumed = walk(adapter, stream)
    assert ids(pages) == made
    for done, rest in enumerate(resumed, start=1):
        assert ids(pages[:done]) | ids(rest) == made


@pytest.mark.parametrize("place", PULLED)
def test_a_pull_without_news_soon_has_nothing_to_say(city: City, place: str) -> None:
    site, adapter, stream = opened(city, place)
    site.save(stream.name, {"name": "n"})
    cursor = list(adapter.pull(stream, None))[-1].cursor
    city.clock.wait(3600)
    pages = list(adapter.pull(stream, cursor))
    cursor = pages[-1].cursor if pages else cursor
    city.clock.wait(3600)
    assert ids(adapter.pull(stream, cursor)) == set()


def test_a_search_that_shows_only_so_much_hides_nothing_from_the_pull(city: City) -> None:
    city.erp.cap = 4
    _, adapter, stream = opened(city, "erp/parties")
    made = {city.erp.save("parties", {"name": f"n{n}"})["id"] for n in range(30)}
    assert ids(adapter.pull(stream, None)) == made
    with pytest.raises(RejectedError):
        adapter.http.get("/parties", params={"offset": 4, "limit": 1})


@pytest.mark.parametrize("place", WRITABLE)
def test_a_creation_asked_for_twice_is_made_once(city: City, place: str) -> None:
    site, adapter, stream = opened(city, place)
    change = Change(None, {"name": "李娜"}, key="k1", marker="hub-k1")
    first, again = adapter.push(stream, change), adapter.push(stream, change)
    assert first.id == again.id
    assert len(site.ledger.rows(stream.name)) == 1
    assert site.ledger.twice() == []


@pytest.mark.parametrize("place", WRITABLE)
def test_a_creation_whose_answer_is_lost_is_made_once(city: City, place: str) -> None:
    site, adapter, stream = opened(city, place)
    change = Change(None, {"name": "李娜"}, key="k1", marker="hub-k1")
    if place.startswith("erp"):
        adapter.check()  # signing in is a POST of its own
    site.faults.set(answer_lost=1.0)
    with pytest.raises((UnknownOutcomeError, RetryableError)):
        adapter.push(stream, change)
    site.faults.clear()
    receipt = adapter.push(stream, change)
    assert [row["id"] for row in site.ledger.rows(stream.name)] == [receipt.id]


@pytest.mark.parametrize("place", WRITABLE)
def test_a_copy_that_moved_meanwhile_is_not_overwritten(city: City, place: str) -> None:
    site, adapter, stream = opened(city, place)
    manifest = registry.manifest(site.name)
    path = manifest.mapping_files()[stream.name]
    spec = mapping.load(path.read_text("utf-8"), name=path.name)
    row = site.save(stream.name, {"name": "李娜"})
    version = spec.raw_version(row)
    city.clock.wait(5)
    site.save(stream.name, {"name": "李娜娜"}, id_=row["id"])
    with pytest.raises(ConflictError):
        adapter.push(stream, Change(row["id"], {"name": "x"}, key="k", version=version))
    assert site.ledger.row(stream.name, row["id"])["name"] == "李娜娜"
    newest = spec.raw_version(site.ledger.row(stream.name, row["id"]))
    adapter.push(stream, Change(row["id"], {"name": "y"}, key="k", version=newest))
    assert site.ledger.row(stream.name, row["id"])["name"] == "y"


@pytest.mark.parametrize("place", ["crm/contacts", "erp/parties", "desk/requesters"])
def test_rows_are_found_by_any_value_even_while_the_search_lags(city: City, place: str) -> None:
    site, adapter, stream = opened(city, place)
    site.faults.set(lag=1.0)
    one = site.save(stream.name, {"name": "a", "email": "a@example.com"})
    two = site.save(stream.name, {"name": "b", "phone": "13912345678"})
    asked = {"email": "a@example.com", "phone": "13912345678"}
    assert {row["id"] for row in adapter.find(stream, asked)} == {one["id"], two["id"]}
    assert adapter.find(stream, {"name": "a"}) == []
    assert ids(adapter.pull(stream, None)) == set()


@pytest.mark.parametrize("place", ["crm/contacts", "erp/parties", "desk/requesters"])
def test_a_survey_names_what_is_there_in_the_words_of_the_mapping(city: City, place: str) -> None:
    site, adapter, stream = opened(city, place)
    path = registry.manifest(site.name).mapping_files()[stream.name]
    spec = mapping.load(path.read_text("utf-8"), name=path.name)
    rows = [site.save(stream.name, {"name": f"n{n}"}) for n in range(5)]
    pages = list(adapter.survey(stream, None))
    seen = [one for page in pages for one in page.sightings]
    assert seen == [Sighting(row["id"], spec.raw_version(row)) for row in rows]
    rest = [one for page in adapter.survey(stream, pages[0].cursor) for one in page.sightings]
    assert rest == seen[2:]
    site.remove(stream.name, rows[2]["id"])
    left = {one.id for page in adapter.survey(stream, None) for one in page.sightings}
    assert left == {row["id"] for row in rows} - {rows[2]["id"]}


def test_orders_are_counted_by_day(city: City) -> None:
    _, adapter, stream = opened(city, "erp/orders")
    seen = []
    for n in range(4):
        row = city.erp.save("orders", {"total": f"{n}.005"})
        seen.append(Sighting(row["id"], f"{row['version']:020d}"))
        city.clock.wait(12 * 3600)
    tallies = list(adapter.tally(stream))
    assert [tally.count for tally in tallies] == [2, 2]
    assert tallies[0].digest == tally_digest(seen[:2])
    with pytest.raises(UnsupportedError):
        list(adapter.survey(stream, None))
    with pytest.raises(UnsupportedError):
        list(adapter.tally(next(s for s in adapter.streams if s.name == "parties")))


@pytest.mark.parametrize("place", PULLED)
def test_a_part_of_the_past_is_read_again(city: City, place: str) -> None:
    site, adapter, stream = opened(city, place)
    made = []
    for n in range(6):
        made.append(site.save(stream.name, {"name": f"n{n}"}))
        city.clock.wait(3600)
    began = city.clock.at - timedelta(hours=6)
    window = Window(since=began + timedelta(hours=1), until=began + timedelta(hours=4))
    pages = list(adapter.history(stream, window, None))
    assert {row["id"] for row in made[1:4]} <= ids(pages) <= {row["id"] for row in made[1:5]}
    for page in pages:
        later = list(adapter.history(stream, window, page.cursor))
        assert ids(later) <= ids(pages)
    assert list(adapter.history(stream, window, pages[-1].cursor)) == []


@pytest.mark.parametrize("place", ["crm/contacts", "erp/parties", "desk/tickets"])
def test_what_is_gone_is_gone(city: City, place: str) -> None:
    site, adapter, stream = opened(city, place)
    row = site.save(stream.name, {"name": "n"})
    site.remove(stream.name, row["id"])
    assert adapter.fetch(RecordRef(stream.name, row["id"])) is None


def test_deletions_come_by_the_feed_of_the_desk_and_the_flag_of_the_erp(city: City) -> None:
    for place in ("desk/tickets", "erp/parties"):
        site, adapter, stream = opened(city, place)
        rows = [site.save(stream.name, {"name": f"n{n}"}) for n in range(3)]
        cursor = list(adapter.pull(stream, None))[-1].cursor
        city.clock.wait(900)
        for row in rows:
            site.remove(stream.name, row["id"])
        gone = [id_ for page in adapter.pull(stream, cursor) for id_ in page.deleted]
        assert sorted(gone) == sorted(row["id"] for row in rows)


def test_a_feed_that_does_not_reach_back_is_named(city: City) -> None:
    site, adapter, stream = opened(city, "desk/tickets")
    row = site.save("tickets", {"subject": "s"})
    cursor = list(adapter.pull(stream, None))[-1].cursor
    site.remove("tickets", row["id"])
    city.clock.wait(31 * 24 * 3600)
    with pytest.raises(CursorExpiredError):
        list(adapter.pull(stream, cursor))


def test_a_cursor_the_crm_forgot_is_named(city: City) -> None:
    site, adapter, stream = opened(city, "crm/contacts")
    for n in range(5):
        site.save("contacts", {"name": f"n{n}"})
    site.faults.set(cursors_lost=1.0)
    with pytest.raises(CursorExpiredError):
        list(adapter.pull(stream, None))


def test_the_erp_gives_each_refresh_token_one_use(city: City) -> None:
    _, adapter, _ = opened(city, "erp/parties")
    adapter.check()
    first = adapter.tokens.load()
    city.clock.wait(3000)
    adapter.check()
    second = adapter.tokens.load()
    assert first is not None
    assert second is not None
    assert second.refresh != first.refresh
    with pytest.raises(AuthError):  # somebody uses the first one again: all of them end
        adapter.grants.renew(adapter.http, first)
    with pytest.raises(AuthError):
        adapter.check()


def test_a_lost_answer_of_the_token_endpoint_ends_the_grant(city: City) -> None:
    _, adapter, _ = opened(city, "erp/parties")
    adapter.check()
    city.erp.faults.set(grant_lost=1.0)
    city.clock.wait(3000)
    with pytest.raises(AuthError):
        adapter.check()
