"""Rows that tell a part of a record: laid over what is stored, in any order, at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.models import Ticket
from hub.pipeline.absorb import Arrived, absorb, prepare
from hub.pipeline.replay import replay_quarantine
from hub.registry import Hub
from hub.sdk import Row
from hub.store import records
from tests.story.helpers import demo, scalar

Open = Callable[..., Hub]
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def hub(open_with: Open, own_settings: Path) -> Iterator[Hub]:
    overlay = own_settings.parent / "overlays" / "crm" / "tickets.yaml"
    overlay.parent.mkdir(parents=True)
    overlay.write_text("partial: true\n")
    return open_with({"crm": demo()})


def told(second: int, **fields: Any) -> Arrived:
    return Arrived(Row("tickets", {"id": "1", **fields}), NOW + timedelta(seconds=second))


def take(hub: Hub, *rows: Arrived) -> None:
    absorb(hub, hub.registry.get("crm"), rows)


def ticket(hub: Hub) -> Ticket | None:
    with hub.database.read() as conn:
        found = records.load(conn, ["crm/tickets/1"]).get("crm/tickets/1")
    assert found is None or isinstance(found, Ticket)
    return found


PARTS = (
    told(1, subject="空调不制冷", status="new"),
    told(2, status="open", assignee="王五"),
    told(3, priority="urgent", assignee=None),
)


def test_what_was_seen_last_counts(hub: Hub) -> None:
    """A part that comes late fills the gaps, and takes nothing back."""
    for number in (0, 2, 1):
        take(hub, PARTS[number])
    take(hub, told(0, subject="?", description="漏水"))
    found = ticket(hub)
    assert found is not None
    assert (found.subject, found.description) == ("空调不制冷", "漏水")
    assert (found.assignee, found.priority) == ("王五", "urgent")


def test_parts_of_one_record_in_one_batch(hub: Hub) -> None:
    take(hub, *PARTS)
    found = ticket(hub)
    assert found is not None
    assert (found.subject, found.assignee, found.priority) == ("空调不制冷", "王五", "urgent")


def test_what_is_known_is_no_news(hub: Hub) -> None:
    take(hub, *PARTS)
    ready = prepare(hub, hub.registry.get("crm"), [PARTS[1]])
    assert (ready.rows, len(ready.same)) == ([], 1)
    count = "SELECT count(*) FROM history"
    before = scalar(hub, count)
    take(hub, PARTS[1])
    assert scalar(hub, count) == before


def test_a_record_written_meanwhile_loses_nothing(hub: Hub) -> None:
    """Both were made ready over an empty store; the second is laid over the first all the same."""
    live = hub.registry.get("crm")
    first, second = (prepare(hub, live, [part]) for part in PARTS[:2])
    absorb(hub, live, [PARTS[0]], ready=first)
    absorb(hub, live, [PARTS[1]], ready=second)
    found = ticket(hub)
    assert found is not None
    assert (found.subject, found.status, found.assignee) == ("空调不制冷", "open", "王五")


def test_a_part_that_cannot_be_read_is_held_and_loses_nothing(hub: Hub) -> None:
    take(hub, told(1, assignee="王五"))  # a ticket needs a subject
    assert ticket(hub) is None
    assert scalar(hub, "SELECT count(*) FROM quarantine WHERE state = 'held'") == 1
    take(hub, told(2, subject="空调不制冷"))
    assert replay_quarantine(hub, "crm") == (1, 0)
    found = ticket(hub)
    assert found is not None
    assert (found.subject, found.assignee) == ("空调不制冷", "王五")
