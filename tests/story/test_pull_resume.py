"""A pull that is killed goes on where it was; a second one does only what changed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.demo.account import Account
from hub import pipeline
from hub.errors import AuthError, LeaseLostError, RetryableError
from hub.pipeline import due
from hub.pipeline.lane import Lane, leased
from hub.registry import Hub
from hub.sdk import Item
from hub.store import checkpoints, connections, leases, outbox, schema
from tests.conftest import KEY
from tests.story.helpers import account, demo, drain, pull, receive, scalar
from tests.story.processes import Installation, wait_until

Open = Callable[..., Hub]
ROWS = 2_000


@pytest.fixture
def there(database_url: str, tmp_path: Path) -> Iterator[Installation]:
    """An installation whose vendor's account is a file that its processes share with us."""
    ledger = tmp_path / "vendor.jsonl"
    rows = [{"id": f"C{n:05d}", "name": f"客户{n}", "member_no": f"M{n}"} for n in range(ROWS)]
    Account(ledger).fill(("customers", row) for row in rows)
    crm = {"adapter": "demo", "ledger_path": str(ledger), "page_size": 100}
    given = {"database_url": database_url, "secret_keys": [KEY], "connections": {"crm": crm}}
    folder = tmp_path / "there"
    folder.mkdir()
    installation = Installation(folder, given)
    try:
        installation.run("apply")
        yield installation
    finally:
        installation.close()


def written_since(hub: Hub, at: int) -> int:
    count: int = scalar(hub, "SELECT count(*) FROM record WHERE saved_at > :at", at=at)
    return count


def newest(hub: Hub) -> int:
    at: int = scalar(hub, "SELECT max(saved_at) FROM record")
    return at


def test_a_killed_pull_goes_on_at_its_checkpoint(there: Installation) -> None:
    with there.hub() as hub:
        killed = 0
        while killed < 3:
            before = pulled(hub)
            there.start("pull", ["hub", "pull", "crm", "customers"])
            wait_until(
                "some pages are in",
                lambda before=before: pulled(hub) >= before + 200 or not there.alive("pull"),
            )
            there.kill("pull")
            killed += 1
            assert scalar(hub, "SELECT count(*) FROM record") == pulled(hub)
        assert pulled(hub) < ROWS, "it was through before it was killed"
        there.run("pull", "crm", "customers")
        assert pulled(hub) == scalar(hub, "SELECT count(*) FROM profile") == ROWS
        assert scalar(hub, "SELECT count(*) FROM history") == 0
        at = newest(hub)
        there.run("pull", "crm", "customers")
        there.run("pull", "crm", "customers", "--full")
        assert written_since(hub, at) == 0
        assert scalar(hub, "SELECT count(*) FROM link") == ROWS


def pulled(hub: Hub) -> int:
    with hub.database.read() as conn:
        rows: int = checkpoints.get(conn, "crm", "customers")["rows"]
    return rows


def test_only_what_changed_is_written(open_with: Open) -> None:
    hub = open_with({"crm": demo(sample=400, page_size=100)})
    pull(hub, "crm")
    at = newest(hub)
    built = scalar(hub, "SELECT max(built_at) FROM profile")
    vendor = account(hub, "crm")
    for n in random.Random(7).sample(range(400), 4):
        vendor.put("customers", {"id": f"C{n:04d}", "tier": "gold+"})
    with hub.database.write() as conn:
        checkpoints.restart(conn, "crm")
    pull(hub, "crm")
    assert written_since(hub, at) == 4
    assert scalar(hub, "SELECT count(*) FROM history") == 4
    assert scalar(hub, "SELECT count(*) FROM profile WHERE built_at > :at", at=built) == 4


def test_the_first_load_is_silent_and_news_is_not(open_with: Open) -> None:
    rule = {
        "id": "tell",
        "when": "Ticket created",
        "then": {"write": "desk/messages", "fields": {"text": "{subject}"}},
    }
    hub = open_with({"crm": demo(sample=5), "desk": demo()}, [rule])
    pull(hub, "crm")
    assert scalar(hub, "SELECT count(*) FROM delivery") == 0
    account(hub, "crm").put("tickets", {"subject": "new", "customer_id": "C0001"})
    pull(hub, "crm")
    assert scalar(hub, "SELECT count(*) FROM delivery") == 1


def test_a_pull_that_fails_keeps_its_pages_and_waits(open_with: Open) -> None:
    hub = open_with({"crm": demo(sample=5)})
    account(hub, "crm").plan("pull", RetryableError("busy", retry_after_s=900.0))
    with pytest.raises(RetryableError):
        pull(hub, "crm", "customers")
    with hub.database.read() as conn:
        checkpoint = checkpoints.get(conn, "crm", "customers")
    assert (checkpoint["failures"], checkpoint["error"]) == (1, "busy")
    assert ("crm", "customers") not in due.pulls(hub)
    assert scalar(hub, "SELECT state FROM connection WHERE name = 'crm'") == "degraded"


# A holder whose lease was taken over finds out before it commits anything.


@pytest.fixture
def hub(open_with: Open) -> Hub:
    rule = {
        "id": "copy",
        "when": "Order changed",
        "if": [{"field": "connection", "is": "crm"}],
        "then": {"write": "desk/orders", "fields": {"reference": "{number}"}},
    }
    return open_with({"crm": demo(sample=30, page_size=10), "desk": demo()}, [rule])


def taken_over(hub: Hub, name: str) -> Lane:
    """The lane of a holder who slept until somebody else took it."""
    with hub.database.write() as conn:
        leases.ensure_lanes(conn, [name]) if name.count(":") == 2 else leases.ensure(conn, [name])
        slept = leases.take(conn, [name], "sleeper", -1)
        assert slept
        assert leases.take(conn, [name], "other", 60)
    return Lane(slept, held_at=float("-inf"))


def facts(hub: Hub) -> dict[str, Any]:
    with hub.database.read() as conn:
        return {
            table.name: sorted(map(repr, conn.execute(table.select())))
            for table in schema.metadata.sorted_tables
            if table.name != "lease"
        }


def test_a_pull_without_its_lease_writes_nothing(hub: Hub) -> None:
    lane = taken_over(hub, pipeline.pull_lease("crm", "customers"))
    before = facts(hub)
    with pytest.raises(LeaseLostError):
        pipeline.pull(hub, lane, "crm", "customers")
    assert facts(hub) == before


def test_a_failing_pull_without_its_lease_notes_nothing(hub: Hub) -> None:
    lane = taken_over(hub, pipeline.pull_lease("crm", "customers"))
    account(hub, "crm").plan("pull", AuthError("refused"))
    before = facts(hub)
    with pytest.raises(LeaseLostError):
        pipeline.pull(hub, lane, "crm", "customers")
    assert facts(hub) == before


def order(n: int, version: int) -> Item:
    record = {"id": f"O{n}", "version": str(version), "number": f"SO{n}-{version}"}
    said = {"event_id": f"e{n}-{version}", "stream": "orders", "record": record}
    return Item(json.dumps(said).encode(), f"e{n}-{version}", f"orders/O{n}")


def lane_of(hub: Hub, table: str) -> str:
    name: str = scalar(hub, f"SELECT lane FROM {table} LIMIT 1")
    return name


def test_an_ingest_without_its_lease_writes_nothing(hub: Hub) -> None:
    receive(hub, "crm", order(1, 1))
    lane = taken_over(hub, lane_of(hub, "inbox"))
    before = facts(hub)
    with pytest.raises(LeaseLostError):
        pipeline.ingest(hub, lane)
    assert facts(hub) == before


def test_a_delivery_without_its_lease_is_neither_sent_nor_noted(hub: Hub) -> None:
    receive(hub, "crm", order(1, 1))
    for names in due.lanes(hub):
        with leased(hub, *names) as lane:
            assert lane
            pipeline.ingest(hub, lane)
    lane = taken_over(hub, lane_of(hub, "delivery"))
    before = facts(hub)
    with pytest.raises(LeaseLostError):
        pipeline.deliver(hub, lane)
    assert facts(hub) == before
    assert account(hub, "desk").effects() == []


def test_a_lease_lost_while_a_vendor_is_asked_confirms_nothing(hub: Hub) -> None:
    """The write happened; the new holder asks again under the same key, and confirms."""
    receive(hub, "crm", order(1, 1))
    for names in due.lanes(hub):
        with leased(hub, *names) as lane:
            assert lane
            pipeline.ingest(hub, lane)
    lane = taken_over(hub, lane_of(hub, "delivery"))
    lane.held_at = float("inf")  # as if just prolonged: it only finds out when it comes back
    before = facts(hub)
    with pytest.raises(LeaseLostError):
        pipeline.deliver(hub, lane)
    assert facts(hub) == before
    run_out(hub)
    drain(hub)
    assert len(account(hub, "desk").effects()) == 1
    assert scalar(hub, "SELECT state FROM delivery") == "confirmed"


def run_out(hub: Hub) -> None:
    """Time passes, until every lease has run out."""
    with hub.database.write() as conn:
        conn.execute(schema.lease.update().values(until=schema.EPOCH))


# What waits holds back only its own record, and nobody looks again and again.


def test_what_waits_behind_a_retry_does_not_spin(hub: Hub) -> None:
    account(hub, "desk").plan("push", RetryableError("down", retry_after_s=60.0))
    receive(hub, "crm", order(1, 1))
    drain(hub)
    receive(hub, "crm", order(1, 2))
    assert drain(hub) == 2  # the event, and one look at the delivery that must wait
    assert due.lanes(hub) == []
    assert account(hub, "desk").effects() == []
    with hub.database.write() as conn:
        conn.execute(schema.delivery.update().values(available_at=schema.EPOCH))
    run_out(hub)
    drain(hub)
    told = [effect.values["reference"] for effect in account(hub, "desk").effects()]
    assert told == ["SO1-1", "SO1-2"]


def test_an_unknown_outcome_holds_back_its_record_and_no_other(hub: Hub) -> None:
    receive(hub, "crm", order(1, 1), order(2, 1))
    drain(hub)
    with hub.database.write() as conn:
        one = schema.delivery.c.subject == "crm/orders/O1"
        conn.execute(schema.delivery.update().where(one).values(state="unknown"))
    receive(hub, "crm", order(1, 2), order(2, 2))
    drain(hub)
    with hub.database.read() as conn:
        counts = outbox.counts(conn)
    assert counts == {("desk", "confirmed"): 2, ("desk", "queued"): 1, ("desk", "unknown"): 1}


def test_a_paused_connection_is_not_woken_by_work_that_ends(hub: Hub) -> None:
    with hub.database.write() as conn:
        assert connections.set_state(conn, "crm", "paused")
    pull(hub, "crm", "customers")
    assert scalar(hub, "SELECT state FROM connection WHERE name = 'crm'") == "paused"
