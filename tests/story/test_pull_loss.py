"""Ways in which a pull loses rows, one at a time: none is lost, and nothing goes round for ever."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from hub.errors import CursorExpiredError, RemoteError, RetryableError
from hub.pipeline.absorb import Arrived, absorb
from hub.registry import Hub
from hub.sdk import Item, Row
from hub.store import alerts, checkpoints, leases
from tests.story.helpers import account, customer, demo, drain, pull, receive, scalar
from tests.story.shelf.server import BEGIN, Shelf, answering, registered

Open = Callable[..., Hub]
SHELF: dict[str, Any] = {"adapter": "shelf"}


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    found = Shelf()
    with registered(tmp_path / "packages"), answering(found):
        yield found


def held(hub: Hub, stream: str, connection: str = "shelf") -> set[str]:
    """Ids of the raw rows the hub holds."""
    prefix = f"{connection}/{stream}/"
    with hub.database.read() as conn:
        refs = conn.execute(text("SELECT ref FROM raw")).scalars()
        return {ref.removeprefix(prefix) for ref in refs if ref.startswith(prefix)}


def open_alerts(hub: Hub) -> list[str]:
    with hub.database.read() as conn:
        return [row["kind"] for row in alerts.every(conn)]


@pytest.mark.parametrize("stream", ["people", "parts"])
def test_rows_with_equal_timestamps_above_the_page_cap(
    open_with: Open, shelf: Shelf, stream: str
) -> None:
    hub = open_with({"shelf": {**SHELF, "page_size": 10}})
    wanted = {f"P{n:03d}" for n in range(60)}
    for n, id_ in enumerate(sorted(wanted)):
        at = BEGIN + timedelta(seconds=min(max(n - 15, 0), 2))  # 16, one, and 43 of one instant
        shelf.put(stream, id_, at=at)
    pull(hub, "shelf", stream)
    assert held(hub, stream) == wanted


def test_more_rows_of_one_instant_than_a_query_gives_are_an_error(
    open_with: Open, shelf: Shelf
) -> None:
    shelf.cap = 30
    hub = open_with({"shelf": {**SHELF, "page_size": 10, "cap": 30}})
    for n in range(40):
        shelf.put("parts", f"P{n:02d}")
    with pytest.raises(RemoteError, match="one instant"):
        pull(hub, "shelf", "parts")
    assert scalar(hub, "SELECT state FROM connection") == "degraded"


def test_rows_changed_while_pages_are_turned(open_with: Open, shelf: Shelf) -> None:
    """Each change moves a row to the end, and would pull another over the edge of a page."""
    hub = open_with({"shelf": {**SHELF, "page_size": 10}})
    ids = [f"P{n:02d}" for n in range(40)]
    for n, id_ in enumerate(ids):
        shelf.put("parts", id_, at=BEGIN + timedelta(seconds=n))
    shelf.wait(60)
    moving = iter(ids[:8])

    def move() -> None:
        shelf.wait(1)
        if id_ := next(moving, None):
            shelf.put("parts", id_)

    shelf.before_answer = move
    pull(hub, "shelf", "parts")
    assert held(hub, "parts") == set(ids)


def test_late_visible_rows_with_older_stamps(open_with: Open, shelf: Shelf) -> None:
    hub = open_with({"shelf": SHELF})
    shelf.put("people", "P1")
    shelf.put("people", "P2", lag_s=200)
    shelf.wait(100)
    pull(hub, "shelf", "people")
    assert held(hub, "people") == {"P1"}
    shelf.wait(150)
    pull(hub, "shelf", "people")
    assert held(hub, "people") == {"P1", "P2"}


@pytest.mark.parametrize(("given", "found"), [({}, {"P1"}), ({"overlap_s": 3600}, {"P1", "P2"})])
def test_a_lagging_search(
    open_with: Open, shelf: Shelf, given: dict[str, Any], found: set[str]
) -> None:
    """Told how far the search lags, a pull reaches back so far; the usual overlap is shorter."""
    hub = open_with({"shelf": {**SHELF, **given}})
    shelf.put("people", "P1")
    shelf.put("people", "P2", lag_s=1800)
    for _ in range(4):
        pull(hub, "shelf", "people")
        shelf.wait(700)
    assert held(hub, "people") == found


def test_ten_thousand_result_cap(open_with: Open, shelf: Shelf) -> None:
    """A tenth of it does: beyond the cap a query is silent, as if there were no more."""
    shelf.cap = 1000
    hub = open_with({"shelf": {**SHELF, "page_size": 250, "cap": 1000}})
    for n in range(1300):
        shelf.put("parts", f"P{n:05d}", at=BEGIN + timedelta(seconds=n // 3))
    pull(hub, "shelf", "parts")
    assert len(held(hub, "parts")) == 1300


@pytest.mark.parametrize(
    "circle",
    [
        pytest.param(["A"], id="cursor_that_does_not_advance"),
        pytest.param(["A", "B"], id="cursor_that_goes_in_a_circle"),
        pytest.param(["A", "B", "C", "D", "B", "C", "D"], id="cursor_that_goes_in_a_late_circle"),
    ],
)
def test_a_cursor_that_comes_back_is_an_error(
    open_with: Open, shelf: Shelf, circle: list[str]
) -> None:
    hub = open_with({"shelf": SHELF})
    shelf.circle = circle
    with pytest.raises(RetryableError, match="does not advance"):
        pull(hub, "shelf", "rounds")
    assert len(shelf.asked) <= 3 * len(circle) + 1
    assert held(hub, "rounds") >= {f"R{n + 1}" for n in range(len({*circle}))}


def test_retention_passed_means_full_refresh(open_with: Open) -> None:
    rule = {
        "id": "tell",
        "when": "Ticket changed",
        "then": {"write": "desk/messages", "fields": {"text": "{subject}"}},
    }
    hub = open_with({"crm": demo(sample=30, page_size=7), "desk": demo()}, [rule])
    pull(hub, "crm")
    vendor = account(hub, "crm")
    vendor.put("tickets", {"id": "T0003", "subject": "changed meanwhile"})
    vendor.plan("pull", CursorExpiredError("the vendor keeps changes for 30 days"))
    pull(hub, "crm", "tickets")
    assert scalar(hub, "SELECT count(*) FROM history") == 1, "what did not change cost nothing"
    assert scalar(hub, "SELECT count(*) FROM delivery") == 1, "what did change is news"
    assert scalar(hub, "SELECT count(*) FROM alert WHERE kind = 'cursor-expired'") == 1
    assert open_alerts(hub) == [], "and it is over once everything was read"
    assert scalar(hub, "SELECT state FROM connection WHERE name = 'crm'") == "ok"


def test_a_cursor_refused_at_the_very_beginning_is_a_fault(open_with: Open) -> None:
    hub = open_with({"crm": demo(sample=3)})
    account(hub, "crm").plan("pull", CursorExpiredError("no"))
    with pytest.raises(CursorExpiredError):
        pull(hub, "crm", "customers")
    assert scalar(hub, "SELECT state FROM connection") == "degraded"


def test_a_webhook_is_not_beaten_by_an_older_polled_row(open_with: Open) -> None:
    hub = open_with({"crm": demo(sample=3)})
    pull(hub, "crm", "customers")
    account(hub, "crm").put("customers", {"id": "C0001", "name": "polled"})
    record = {"id": "C0001", "version": "9", "name": "told", "member_no": "M1"}
    said = {"event_id": "e1", "stream": "customers", "record": record}
    receive(hub, "crm", Item(json.dumps(said).encode(), "e1", "customers/C0001"))
    drain(hub)
    pull(hub, "crm", "customers")
    assert customer(hub, "member_no", "M1").name.value == "told"


def test_a_webhook_is_not_beaten_by_a_page_asked_for_before_it_came(
    open_with: Open, shelf: Shelf
) -> None:
    """These rows have no version: what was asked for first is older, whenever it is answered."""
    hub = open_with({"shelf": SHELF})
    told = {"id": "R1", "name": "told", "member_no": "M1"}

    def tell() -> None:
        arrived = Arrived(Row("rounds", told), leases.now())
        absorb(hub, hub.registry.get("shelf"), [arrived])

    shelf.circle, shelf.before_answer = [""], tell
    pull(hub, "shelf", "rounds")
    assert customer(hub, "member_no", "M1").name.value == "told"


def test_a_row_that_says_it_was_deleted(open_with: Open, shelf: Shelf) -> None:
    hub = open_with({"shelf": SHELF})
    living = "SELECT count(*) FROM record WHERE deleted_at IS NULL"
    shelf.put("people", "P1")
    shelf.put("people", "P2", deleted=True)
    pull(hub, "shelf", "people")
    assert scalar(hub, living) == 1
    shelf.wait(1)
    shelf.put("people", "P1", deleted=True)
    pull(hub, "shelf", "people")
    assert scalar(hub, living) == 0
    shelf.wait(1)
    shelf.put("people", "P1", deleted=False)
    pull(hub, "shelf", "people")
    assert scalar(hub, living) == 1


def test_a_row_that_is_not_shown_is_not_deleted(open_with: Open, shelf: Shelf) -> None:
    hub = open_with({"shelf": SHELF})
    shelf.put("people", "P1")
    pull(hub, "shelf", "people")
    shelf.put("people", "P1", lag_s=60)
    read_all(hub, "people")
    assert scalar(hub, "SELECT count(*) FROM raw WHERE deleted_at IS NULL") == 1


# A read from beginning to end that gives too little


def read_all(hub: Hub, stream: str) -> None:
    with hub.database.write() as conn:
        checkpoints.restart(conn, "shelf", stream)
    pull(hub, "shelf", stream)


def test_a_drop_of_the_count_is_an_alarm_and_deletes_nothing(open_with: Open, shelf: Shelf) -> None:
    hub = open_with({"shelf": SHELF})
    for n in range(100):
        shelf.put("people", f"P{n:03d}")
    pull(hub, "shelf", "people")
    assert open_alerts(hub) == []
    for n in range(50):
        shelf.put("people", f"P{n:03d}", lag_s=60)  # hidden for a minute
    read_all(hub, "people")
    assert open_alerts(hub) == ["count-drop"]
    assert scalar(hub, "SELECT count(*) FROM raw WHERE deleted_at IS NULL") == 100
    pull(hub, "shelf", "people")
    assert open_alerts(hub) == ["count-drop"], "a pull of what changed says nothing about it"
    shelf.wait(60)
    read_all(hub, "people")
    assert open_alerts(hub) == []


def test_a_source_that_shows_nothing_any_more_is_an_alarm(open_with: Open, shelf: Shelf) -> None:
    hub = open_with({"shelf": SHELF})
    for n in range(30):
        shelf.put("people", f"P{n:03d}")
    pull(hub, "shelf", "people")
    for n in range(30):
        shelf.put("people", f"P{n:03d}", lag_s=60)
    read_all(hub, "people")
    assert open_alerts(hub) == ["count-drop"]
