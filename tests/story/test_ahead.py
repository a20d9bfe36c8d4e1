"""What is worked on ahead of its turn, or made from memory, ends as if it had waited its turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from hub.pipeline.absorb import Arrived, absorb, prepare, rebuild
from hub.pipeline.pull import ahead
from hub.registry import Hub
from hub.sdk import Row
from tests.story.helpers import demo, pull, scalar

Open = Callable[..., Hub]
AT = datetime(2026, 11, 20, 8, tzinfo=UTC)


def arrived(name: str, minute: int, id_: str = "C1") -> Arrived:
    raw = {"id": id_, "name": name, "member_no": "M1"}
    return Arrived(Row("customers", raw), AT + timedelta(minutes=minute))


def documents(hub: Hub) -> dict[str, Any]:
    """Every profile without the instant it was built."""
    with hub.database.read() as conn:
        rows = conn.execute(text("SELECT customer_id, document FROM profile"))
        found = {id_: orjson.loads(document) for id_, document in rows}
    return {id_: {**document, "built_at": None} for id_, document in found.items()}


def test_a_row_known_ahead_is_looked_at_again_when_others_wrote_meanwhile(open_with: Open) -> None:
    hub = open_with({"crm": demo()})
    live = hub.registry.get("crm")
    absorb(hub, live, [arrived("Li Na", 0)])
    back = [arrived("Li Na", 2)]
    ready = prepare(hub, live, back)
    assert not ready.rows
    absorb(hub, live, [arrived("Li Na-Wang", 1)])
    absorb(hub, live, back, ready=ready)
    assert orjson.loads(scalar(hub, "SELECT payload FROM raw"))["name"] == "Li Na"
    assert scalar(hub, "SELECT name FROM profile") == "Li Na"


def test_profiles_made_from_memory_are_those_made_from_the_database(open_with: Open) -> None:
    hub = open_with({"crm": demo(sample=120, page_size=50)})
    pull(hub, "crm")
    at_once = documents(hub)
    assert len(at_once) > 50
    with hub.database.write() as conn:
        rebuild(conn, hub, list(at_once))
    assert documents(hub) == at_once


def test_a_new_party_that_facts_waited_for_shows_them(open_with: Open) -> None:
    hub = open_with({"crm": demo()})
    live = hub.registry.get("crm")
    ticket = {"id": "T1", "subject": "broken", "status": "open", "customer_id": "C1"}
    absorb(hub, live, [Arrived(Row("tickets", ticket), AT)])
    absorb(hub, live, [arrived("Li Na", 1)])
    (profile,) = documents(hub).values()
    assert [fact["source"]["ref"] for fact in profile["open_requests"]] == ["crm/tickets/T1"]


def test_two_copies_of_a_new_row_in_one_batch_show_the_newer(open_with: Open) -> None:
    hub = open_with({"crm": demo()})
    absorb(hub, hub.registry.get("crm"), [arrived("Li Na", 0), arrived("Wang Fang", 5)])
    (profile,) = documents(hub).values()
    assert profile["name"]["value"] == "Wang Fang"
    assert profile["name"]["source"]["seen_at"] == "2026-11-20T08:05:00Z"


def test_what_fails_ahead_fails_in_its_turn() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2)
        raise ValueError("the third")

    found = []
    with pytest.raises(ValueError, match="the third"):
        found.extend(ahead(items()))
    assert found == [1, 2]
