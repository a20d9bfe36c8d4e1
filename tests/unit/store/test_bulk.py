"""Many rows and many names in one statement, whatever they hold, by index."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text

from hub.store import bulk
from hub.store.db import Database
from hub.store.schema import history, link, raw

AT = datetime(2026, 1, 5, 9, tzinfo=UTC)
NASTY = ["", "NULL", "null", '"', "\\", "{a,b}", "a'b", "a,b", "%s", "李 娜", "\n\t", "😀"]


def test_values_arrive_as_they_are_and_empty_ones_stay_empty(database_url: str) -> None:
    database = Database(database_url)
    rows = [
        {
            "ref": f"crm/customers/{n}{value}",
            "payload": value,
            "hash": bytes([n, 0, 255]),
            "version": value,
            "seen_at": AT,
            "deleted_at": AT if n % 2 else None,
            "inbox_id": None if n % 2 else n,
        }
        for n, value in enumerate(NASTY)
    ]
    with database.write() as conn:
        bulk.insert(conn, raw, rows)
        bulk.insert_new(conn, raw, rows)
        bulk.upsert(conn, raw, [{**row, "version": "2"} for row in rows])
    with database.read() as conn:
        found = [dict(row) for row in conn.execute(select(raw).order_by(raw.c.hash)).mappings()]
    assert found == [{**row, "version": "2"} for row in rows]
    database.close()


def test_a_column_may_be_empty_altogether(database_url: str) -> None:
    database = Database(database_url)
    row = {"ref": "a/b/1", "payload": "", "hash": b"", "version": "", "seen_at": AT}
    with database.write() as conn:
        bulk.insert(conn, raw, [{**row, "deleted_at": None}])
        bulk.insert(conn, history, [])
    with database.read() as conn:
        assert conn.execute(select(raw.c.hash, raw.c.deleted_at)).all() == [(b"", None)]
    database.close()


def test_among_finds_exactly_the_named(database_url: str) -> None:
    database = Database(database_url)
    row = {"payload": "{}", "hash": b"x", "version": "", "seen_at": AT, "deleted_at": None}
    with database.write() as conn:
        bulk.insert(conn, raw, [{"ref": value, **row} for value in NASTY])
    with database.read() as conn:
        for wanted in ([], NASTY[:1], NASTY[3:6], [*NASTY, "not there"]):
            found = conn.execute(select(raw.c.ref).where(bulk.among(raw.c.ref, wanted))).scalars()
            assert set(found) == set(wanted) - {"not there"}
    database.close()


@pytest.mark.fresh_database
def test_among_goes_by_index(database_url: str) -> None:
    database = Database(database_url)
    query = select(link.c.customer_id).where(bulk.among(link.c.ref, ["crm/customers/1"]))
    explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
    with database.read() as conn:
        if not database.is_sqlite:
            conn.execute(text("SET enable_seqscan = off"))  # the table is empty
        written = query.compile(conn, compile_kwargs={"literal_binds": True})
        plan = " ".join(str(row) for row in conn.execute(text(f"{explain} {written}")))
    assert ("SEARCH link USING INDEX" if database.is_sqlite else "Index Cond: (ref = ANY") in plan
    database.close()
