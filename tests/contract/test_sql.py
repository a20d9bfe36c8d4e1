"""The SQL adapter on SQLite: pages of any size, changes, resuming, ids, writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.sql.adapter import SqlAdapter
from adapters.sql.config import SqlConfig
from hub.errors import ConfigError, ConflictError, RejectedError
from hub.sdk import Change, RecordRef

SHOP = """
CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, phone TEXT, balance NUMERIC,
    photo BLOB, updated_at TEXT, created_at TEXT NOT NULL, marker TEXT);
CREATE TABLE line (order_no TEXT, position INTEGER, customer INTEGER, text TEXT,
    PRIMARY KEY (order_no, position));
"""
CUSTOMER = {"table": "customer", "key": "id", "modified": ["updated_at"]}
LINE = {"table": "line", "key": ["order_no", "position"]}


class Shop:
    """A database, and adapters for it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run(SHOP)

    def run(self, script: str) -> None:
        with sqlite3.connect(self.path) as conn:
            conn.executescript(script)
        conn.close()

    def add(self, id_: int, at: str | None = "2026-11-21 10:00:00", **values: Any) -> None:
        row = {
            "id": id_,
            "name": f"客户 {id_} 🌟",
            "updated_at": at,
            "created_at": "2026",
            **values,
        }
        with sqlite3.connect(self.path) as conn:
            marks = ", ".join("?" for _ in row)
            sql = f"INSERT OR REPLACE INTO customer ({', '.join(row)}) VALUES ({marks})"
            conn.execute(sql, list(row.values()))
        conn.close()

    def adapter(self, **fields: Any) -> SqlAdapter:
        streams = {"customers": CUSTOMER, "lines": LINE}
        told = {"url": "sqlite:", "file": str(self.path), "zone": "UTC", "streams": streams}
        return SqlAdapter(SqlConfig.model_validate({**told, **fields}))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop.db")


Pulled = tuple[list[dict[str, Any]], str | None]


def pulled(adapter: SqlAdapter, name: str, cursor: str | None = None) -> Pulled:
    stream = next(d.stream for d in adapter.config.described() if d.stream.name == name)
    rows: list[dict[str, Any]] = []
    for page in adapter.pull(stream, cursor):
        rows += page.records
        cursor = page.cursor
    return rows, cursor


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["_id"] for row in rows]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_pages_of_any_size_lose_none_although_many_share_an_instant(shop: Shop, size: int) -> None:
    for id_ in range(1, 12):
        shop.add(id_, "2026-11-21 10:00:00" if id_ % 3 else None)
    rows, cursor = pulled(shop.adapter(page_size=size), "customers")
    assert sorted(ids(rows), key=int) == [str(i) for i in range(1, 12)]
    assert rows[-1]["_changed_at"] == "2026-11-21T10:00:00.000000Z"
    again, _ = pulled(shop.adapter(page_size=size), "customers", cursor)
    assert sorted(ids(again), key=int) == ["3", "6", "9"]  # those that name no change


@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_pull_goes_on_from_every_page(shop: Shop, size: int) -> None:
    for id_ in range(1, 9):
        shop.add(id_, f"2026-11-21 10:00:0{id_ % 4}" if id_ > 3 else None)
    adapter = shop.adapter(page_size=size)
    stream = adapter.config.described()[0].stream
    pages = list(adapter.pull(stream, None))
    for done, page in enumerate(pages, start=1):
        came = {i for p in pages[:done] for i in ids(list(p.records))}
        rest, _ = pulled(adapter, "customers", page.cursor)
        assert came | {*ids(rest)} == {str(i) for i in range(1, 9)}


def test_a_change_comes_again_and_in_its_own_zone(shop: Shop) -> None:
    for id_ in range(1, 4):
        shop.add(id_, "2020-01-01 08:00:00")
    adapter = shop.adapter(zone="Asia/Shanghai")
    rows, cursor = pulled(adapter, "customers")
    assert rows[0]["_changed_at"] == "2020-01-01T00:00:00.000000Z"
    shop.run("UPDATE customer SET updated_at = datetime('now', '+8 hours') WHERE id = 2")
    assert ids(pulled(adapter, "customers", cursor)[0]) == ["2"]


@pytest.mark.parametrize("form", ["%s", "%Y%m%d%H%M%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S"])
def test_a_change_is_seen_in_whatever_form_it_is_written(shop: Shop, form: str) -> None:
    shop.add(1, "0")
    shop.run(f"UPDATE customer SET updated_at = strftime('{form}', '2020-01-01')")
    if form == "%s":
        shop.run("UPDATE customer SET updated_at = 1577836800")
    rows, cursor = pulled(shop.adapter(), "customers")
    assert rows[0]["_changed_at"] == "2020-01-01T00:00:00.000000Z"
    assert pulled(shop.adapter(), "customers", cursor)[0] == []
    shop.run(f"UPDATE customer SET updated_at = strftime('{form}', 'now')")
    assert ids(pulled(shop.adapter(), "customers", cursor)[0]) == ["1"]


def test_values_lose_nothing(shop: Shop) -> None:
    shop.add(1, photo=b"\x00\xff", balance="12345678901234567.10", phone=None)
    row = pulled(shop.adapter(), "customers")[0][0]
    assert row["photo"] == "00ff"
    assert row["phone"] is None
    assert row["name"] == "客户 1 🌟"


def test_a_table_without_changes_is_read_as_a_whole_each_time(shop: Shop) -> None:
    shop.run("INSERT INTO line VALUES ('a|b', 1, 1, 'x'), ('a|b', 2, 1, 'y'), ('c', 1, 2, 'z')")
    adapter = shop.adapter(page_size=2)
    rows, cursor = pulled(adapter, "lines")
    assert ids(rows) == ["a\\|b|1", "a\\|b|2", "c|1"]
    again, later = pulled(adapter, "lines", cursor)
    assert ids(again) == ids(rows)
    assert later is not None
    assert adapter.fetch(RecordRef("lines", "a\\|b|2")) == rows[1]
    assert adapter.fetch(RecordRef("lines", "a\\|b|3")) is None
    assert adapter.fetch(RecordRef("lines", "nonsense")) is None


def test_a_query_and_children_and_chosen_columns(shop: Shop) -> None:
    shop.add(1)
    shop.add(2, "2026-11-21 10:00:01")
    shop.run("INSERT INTO line VALUES ('A', 2, 1, 'two'), ('A', 1, 1, 'one'), ('B', 1, 9, 'no')")
    lines = {"table": "line", "column": "customer", "parent": "id", "order": ["position"]}
    streams = {
        "own": {
            "query": "SELECT id, name, updated_at FROM customer WHERE name <> ':x'",
            "key": "id",
            "modified": "updated_at",
        },
        "with": {**CUSTOMER, "columns": ["name"], "where": "id < 2", "children": {"lines": lines}},
    }
    adapter = shop.adapter(streams=streams, page_size=1)
    assert ids(pulled(adapter, "own")[0]) == ["1", "2"]
    (row,) = pulled(adapter, "with")[0]
    assert row.keys() == {"id", "name", "updated_at", "lines", "_id", "_changed_at"}
    assert [line["text"] for line in row["lines"]] == ["one", "two"]


def test_what_exists_is_told_in_the_versions_rows_have(shop: Shop) -> None:
    for id_ in range(1, 6):
        shop.add(id_, None if id_ == 3 else f"2026-11-21 10:00:0{id_}")
    adapter = shop.adapter(page_size=1)
    stream = adapter.config.described()[0].stream
    rows, _ = pulled(adapter, "customers")
    told = [one for page in adapter.survey(stream, None) for one in page.sightings]
    assert {one.id: one.version for one in told} == {r["_id"]: r["_changed_at"] for r in rows}


def test_a_key_that_names_several_rows_is_refused(shop: Shop) -> None:
    shop.run("INSERT INTO line VALUES ('A', 1, 1, 'x'), ('A', 2, 1, 'y')")
    adapter = shop.adapter(streams={"lines": {"table": "line", "key": "order_no"}})
    with pytest.raises(ConfigError, match="same key"):
        pulled(adapter, "lines")


@pytest.mark.parametrize(
    ("stream", "says"),
    [
        ({"table": "nothing", "key": "id"}, "answered"),
        ({"table": "customer", "key": "ID2"}, "answered|no column"),
        ({"table": "customer", "key": "id", "where": "rubbish ="}, "answered"),
        ({"query": "SELECT name FROM customer", "key": "id"}, "answered"),
    ],
)
def test_a_wrong_description_is_told(shop: Shop, stream: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        shop.adapter(streams={"it": stream}).check()
    assert caught.value.hint


def test_times_without_a_zone_need_one(shop: Shop) -> None:
    shop.add(1)
    adapter = shop.adapter(zone="")
    _, cursor = pulled(adapter, "customers")
    with pytest.raises(ConfigError, match="time zone"):
        pulled(adapter, "customers", cursor)


def test_a_zone_that_puts_changes_into_the_future_is_noticed(shop: Shop) -> None:
    shop.run(
        "INSERT INTO customer (id, created_at, updated_at)"
        " VALUES (1, '', datetime('now', '+8 hours'))"
    )
    with pytest.raises(ConfigError, match="future"):
        shop.adapter().check()
    shop.adapter(zone="Asia/Shanghai").check()


def test_nothing_is_written_while_reading(shop: Shop) -> None:
    adapter = shop.adapter(streams={"it": {"query": "DELETE FROM customer", "key": "id"}})
    shop.add(1)
    with pytest.raises(ConfigError):
        pulled(adapter, "it")
    assert ids(pulled(shop.adapter(), "customers")[0]) == ["1"]


def test_what_there_is_can_be_discovered(shop: Shop) -> None:
    shop.add(1)
    found = {one.stream: one for one in shop.adapter(streams={"people": CUSTOMER}).discover()}
    assert found.keys() == {"people", "line"}
    assert (found["people"].key, found["people"].version) == ("_id", "_changed_at")
    assert found["people"].fields["name"] == "客户 1 🌟"
    assert found["line"].key == "_id"


# Writing


Push = Callable[..., Any]


@pytest.fixture
def push(shop: Shop) -> Push:
    def push(change: Change, **told: Any) -> Any:
        table = {**CUSTOMER, "writable": True, "marker": "marker", **told}
        adapter = shop.adapter(streams={"customers": table})
        return adapter.push(adapter.config.described()[0].stream, change)

    return push


NEW = Change(None, {"name": "新'客户", "created_at": "2026"}, key="k1", marker="hub-1")


def test_a_row_is_made_once(shop: Shop, push: Push) -> None:
    assert push(NEW) == push(NEW)
    rows, _ = pulled(shop.adapter(), "customers")
    assert [(row["name"], row["marker"]) for row in rows] == [("新'客户", "hub-1")]


def test_a_row_with_its_own_key_is_made_once(shop: Shop, push: Push) -> None:
    change = Change(None, {"id": 7, "name": "a", "created_at": "2026"}, key="k")
    assert push(change, marker="").id == push(change, marker="").id == "7"
    with pytest.raises(ConflictError):
        push(Change(None, {"id": 7, "name": "b", "created_at": "2026"}, key="k2"), marker="")


def test_a_row_that_could_not_be_found_again_is_not_made(push: Push) -> None:
    with pytest.raises(RejectedError, match="found again"):
        push(NEW, marker="")


def test_a_row_is_changed_unless_somebody_else_did(shop: Shop, push: Push) -> None:
    shop.add(1, "2026-11-21 10:00:00")
    version = "2026-11-21T10:00:00.000000Z"
    push(Change("1", {"name": "neu"}, key="k", version=version))
    assert pulled(shop.adapter(), "customers")[0][0]["name"] == "neu"
    shop.run("UPDATE customer SET updated_at = '2026-11-21 10:00:01'")
    with pytest.raises(ConflictError):
        push(Change("1", {"name": "neuer"}, key="k", version=version))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (Change("9", {"name": "x"}, key="k"), "no row"),
        (Change("1", {"no_such": "x"}, key="k"), "no column"),
        (Change("1", {"id": "x"}, key="k"), "no int"),
        (Change(None, {"name": "x", "created_at": None}, key="k"), "refused"),
        (Change("1", {"name; DROP TABLE customer": "x"}, key="k"), "no column"),
    ],
)
def test_a_write_the_database_cannot_take_is_refused(
    shop: Shop, push: Push, change: Change, says: str
) -> None:
    shop.add(1)
    with pytest.raises(RejectedError, match=says):
        push(change)


def test_values_never_become_sql(shop: Shop, push: Push) -> None:
    nasty = "'); DROP TABLE customer; --"
    push(Change(None, {"name": nasty, "created_at": "2026"}, key="k", marker=nasty))
    adapter = shop.adapter()
    stream = adapter.config.described()[0].stream
    (row,) = adapter.find(stream, {"name": nasty})
    assert row["marker"] == nasty


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"url": "mysql://u:secret@h/d", "file": None}, "password"),
        ({"url": "postgresql:///d", "file": None}, "no host"),
        ({"url": "postgresql://h/d?host=/tmp", "file": None}, "unknown option"),
        ({"url": "access://h/d", "file": None}, "known are"),
        ({"url": "mysql://h/d"}, "file"),
        ({"zone": "Nowhere/At"}, "time zone"),
        ({"streams": {"x": {"key": "id"}}}, "table or a query"),
        ({"streams": {"x": {"query": "SELECT 1", "key": "id", "writable": True}}}, "query cannot"),
    ],
)
def test_a_config_that_cannot_work_is_refused(
    shop: Shop, fields: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        shop.adapter(**fields)
    assert "secret" not in str(caught.value)


def test_a_private_address_is_refused_unless_allowed(shop: Shop) -> None:
    adapter = shop.adapter(url="mysql://hub@127.0.0.1/shop", file=None)
    with pytest.raises(ConfigError, match="private") as caught:
        adapter.check()
    assert "allow_networks" in caught.value.hint
