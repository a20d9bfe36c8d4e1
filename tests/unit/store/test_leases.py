"""A lease has one holder, ends, and fences late writers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hub.errors import LeaseLostError
from hub.sdk import Item
from hub.store import inbox, leases
from hub.store.db import Database


def test_one_holder_at_a_time_and_a_late_one_cannot_commit(database_url: str) -> None:
    database = Database(database_url)
    with database.write() as conn:
        leases.ensure(conn, ["job"])
        first = leases.take(conn, ["job"], "a", 60)
        assert first
        assert leases.take(conn, ["job"], "b", 60) == []
        conn.exec_driver_sql("UPDATE lease SET until = 0")  # its time has passed
        second = leases.take(conn, ["job"], "b", 60)
        assert second
        assert second[0].token > first[0].token
        with pytest.raises(LeaseLostError):
            leases.hold(conn, first, 60)
        leases.release(conn, first)  # says nothing, changes nothing
        leases.hold(conn, second, 60)
    database.close()


def test_a_lane_is_woken_once(database_url: str) -> None:
    database = Database(database_url)
    name = leases.lane_name("in", "crm", "orders/1")
    with database.write() as conn:
        leases.ensure_lanes(conn, [name])
        assert leases.wake(conn, name, 10)
        assert not leases.wake(conn, name, 10)
        assert leases.take(conn, [name], "worker", 10)
    database.close()


def test_who_waits_longest_is_woken_first(database_url: str) -> None:
    database = Database(database_url)
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    waiting = {f"orders/{n}": noon - timedelta(minutes=n) for n in range(5, -1, -1)}
    lanes = {key: leases.lane_name("in", "crm", key) for key in waiting}
    with database.write() as conn:
        for key, at in waiting.items():
            inbox.save(conn, inbox.rows_for("crm", [Item(b"{}", key, key)], {}, at))
        found = list(leases.lanes_to_wake(conn))
    database.close()
    first = {lane: min(waiting[key] for key in waiting if lanes[key] == lane) for lane in found}
    assert len(found) > 2
    assert found == sorted(set(lanes.values()), key=first.__getitem__)
