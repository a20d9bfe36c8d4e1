"""A lease has one holder, ends, and fences late writers."""

from __future__ import annotations

import pytest

from hub.errors import LeaseLostError
from hub.store import leases
from hub.store.db import Database


def test_one_holder_at_a_time_and_a_late_one_cannot_commit(database_url: str) -> None:
    database = Database(database_url)
    with database.write() as conn:
        leases.ensure(conn, ["job"])
        first = leases.take(conn, "job", "a", 60)
        assert first is not None
        assert leases.take(conn, "job", "b", 60) is None
        conn.exec_driver_sql("UPDATE lease SET until = 0")  # its time has passed
        second = leases.take(conn, "job", "b", 60)
        assert second is not None
        assert second.token > first.token
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
        assert leases.take(conn, name, "worker", 10) is not None
    database.close()
