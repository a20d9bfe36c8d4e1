"""The SQL adapter against real MariaDB and PostgreSQL servers: types, changes, writes, refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from hub.errors import AuthError, ConfigError, ConflictError, RejectedError, RetryableError
from hub.registry import Hub, Live, manifest
from hub.sdk import Change, RecordRef
from tests.story.helpers import customer, pull, reconcile, scalar
from tests.systems.databases import Server, mariadb, postgresql

TABLES = {
    "mysql": """
        CREATE TABLE `客户` (id BIGINT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(100) NOT NULL,
            phone VARCHAR(40), balance DECIMAL(30, 10), photo VARBINARY(20), born DATE, at TIME,
            changed DATETIME(6), vip BOOLEAN, extra JSON, marker VARCHAR(60) UNIQUE, KEY (changed))
            CHARACTER SET utf8mb4""",
    "postgresql": """
        CREATE TABLE "客户" (id BIGSERIAL PRIMARY KEY, name VARCHAR(100) NOT NULL,
            phone VARCHAR(40), balance DECIMAL(30, 10), photo BYTEA, born DATE, at TIME,
            changed TIMESTAMPTZ(6), vip BOOLEAN, extra JSONB, marker VARCHAR(60) UNIQUE,
            token UUID)""",
}
LINES = """
    CREATE TABLE line (no CHAR(8), pos INTEGER, customer BIGINT, text VARCHAR(50),
        PRIMARY KEY (no, pos))"""
CUSTOMERS = {"table": "客户", "key": "id", "modified": "changed", "marker": "marker"}
MAPPING = """
from: sql/customers
to: Person
key: _id
version: _changed_at
fields:
  name: name
  contact_points: [{type: phone, path: phone}]
push:
  name: name
  contact_points[type=phone].value: phone
"""
NOW = {"mysql": "UTC_TIMESTAMP(6)", "postgresql": "now()"}


@pytest.fixture(params=[mariadb, postgresql])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with request.param() as found:
        found.run(TABLES[kind(found)], LINES)
        yield found


def kind(server: Server) -> str:
    return server.url.partition(":")[0]


def quoted(server: Server, name: str) -> str:
    return f"`{name}`" if kind(server) == "mysql" else f'"{name}"'


def add(server: Server, *rows: tuple[Any, ...]) -> None:
    """Rows of id, name, phone and how long ago they were changed (None: never), in seconds."""
    table = quoted(server, "客户")
    for id_, name, phone, ago in rows:
        ago_sql = "NULL" if ago is None else f"{NOW[kind(server)]} - INTERVAL '{ago}' SECOND"
        if kind(server) == "postgresql" and ago is not None:
            ago_sql = f"now() - INTERVAL '{ago} seconds'"
        server.run(
            f"INSERT INTO {table} (id, name, phone, changed)"
            f" VALUES ({id_}, '{name}', '{phone}', {ago_sql})"
        )


OPENED: list[Live] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().adapter.close()


def live(server: Server, **fields: Any) -> Live:
    streams = {
        "customers": {**CUSTOMERS, "writable": True},
        "lines": {"table": "line", "key": ["no", "pos"]},
    }
    told = {**server.config, "zone": "UTC", "streams": streams, **fields}
    OPENED.append(Live("db", manifest("sql"), told))
    return OPENED[-1]


def pulled(of: Live, stream: str, cursor: str | None = None) -> tuple[list[Any], str | None]:
    rows: list[Any] = []
    for page in of.adapter.pull(of.streams[stream], cursor):
        rows += page.records
        cursor = page.cursor
    return rows, cursor


@pytest.mark.parametrize("size", [1, 3, 500])
def test_every_row_comes_in_pages_of_any_size(server: Server, size: int) -> None:
    add(server, *((i, f"客户 {i} 🌟", "1", None if i % 4 == 0 else 3600) for i in range(1, 14)))
    server.run("INSERT INTO line VALUES ('A', 1, 1, 'x'), ('A', 2, 1, 'y'), ('B', 1, 2, 'z')")
    one = live(server, page_size=size)
    one.adapter.check()
    rows, cursor = pulled(one, "customers")
    assert sorted(int(row["_id"]) for row in rows) == [*range(1, 14)]
    assert {row["name"] for row in rows} >= {"客户 1 🌟"}
    lines, _ = pulled(one, "lines")
    assert [row["_id"] for row in lines] == ["A|1", "A|2", "B|1"]
    again, _ = pulled(one, "customers", cursor)
    assert sorted(int(row["_id"]) for row in again) == [4, 8, 12]
    told = [
        s for page in one.adapter.survey(one.streams["customers"], None) for s in page.sightings
    ]
    assert {s.id: s.version for s in told} == {row["_id"]: row["_changed_at"] for row in rows}


def test_a_change_comes_again_whatever_the_zone(server: Server) -> None:
    add(server, (1, "a", "1", 3600), (2, "b", "2", 7200))
    one = live(server)
    rows, cursor = pulled(one, "customers")
    assert [row["_id"] for row in rows] == ["2", "1"]
    server.run(f"UPDATE {quoted(server, '客户')} SET changed = {NOW[kind(server)]} WHERE id = 2")
    assert [row["_id"] for row in pulled(one, "customers", cursor)[0]] == ["2"]


def test_values_lose_nothing(server: Server) -> None:
    blob = "X'00ff'" if kind(server) == "mysql" else "'\\x00ff'"
    server.run(
        f"INSERT INTO {quoted(server, '客户')}"
        " (id, name, balance, photo, born, at, changed, vip, extra)"
        f" VALUES (1, 'a', 12345678901234567890.0123456789, {blob}, '2000-02-29', '08:30:00',"
        " '2026-11-21 10:00:00.123456', TRUE, '{\"a\": [1, null]}')"
    )
    one = live(server)
    (row,) = pulled(one, "customers")[0]
    assert Decimal(row["balance"]) == Decimal("12345678901234567890.0123456789")
    assert (row["photo"], row["born"], row["phone"]) == ("00ff", "2000-02-29", None)
    assert "8:30:00" in row["at"]
    assert row["_changed_at"] == "2026-11-21T10:00:00.123456Z"
    assert row["vip"] in (True, 1)
    assert one.adapter.fetch(RecordRef("customers", "1")) == row
    assert one.adapter.fetch(RecordRef("customers", "x")) is None


def test_many_rows_of_one_instant_lose_none(server: Server) -> None:
    table = quoted(server, "客户")
    values = ", ".join(f"({i}, 'n{i}', '2026-11-21 10:00:00')" for i in range(1, 1001))
    server.run(f"INSERT INTO {table} (id, name, changed) VALUES {values}")
    one = live(server, page_size=97)
    rows, _ = pulled(one, "customers")
    assert len({row["_id"] for row in rows}) == 1000


def test_a_row_is_written_once_and_changed_unless_somebody_else_did(server: Server) -> None:
    one = live(server)
    stream, push = one.streams["customers"], one.adapter.push
    new = Change(
        None,
        {
            "name": "新'客户 🌟",
            "balance": "1.50",
            "born": "2000-01-01",
            "changed": "2026-11-21T10:00:00Z",
        },
        key="k",
        marker="hub-1",
    )
    first, again = push(stream, new), push(stream, new)
    assert first == again
    row = one.adapter.fetch(RecordRef("customers", first.id))
    assert row is not None
    assert (row["name"], Decimal(row["balance"])) == ("新'客户 🌟", Decimal("1.5"))
    assert row["_changed_at"] == "2026-11-21T10:00:00.000000Z"
    assert [r["_id"] for r in one.adapter.find(stream, {"name": "新'客户 🌟"})] == [first.id]
    push(stream, Change(first.id, {"name": "b"}, key="k2", version=row["_changed_at"]))
    server.run(f"UPDATE {quoted(server, '客户')} SET changed = {NOW[kind(server)]}")
    with pytest.raises(ConflictError):
        push(stream, Change(first.id, {"name": "c"}, key="k3", version=row["_changed_at"]))
    for values in ({"name": None}, {"name": "x" * 200}, {"balance": "1e40"}):
        with pytest.raises(RejectedError) as caught:
            push(stream, Change(first.id, values, key="k4"))
        assert "xxx" not in str(caught.value)
    assert server.rows(f"SELECT name FROM {quoted(server, '客户')}") == [("b",)]


def test_nothing_can_be_written_while_reading(server: Server) -> None:
    add(server, (1, "a", "1", 3600))
    evil = {"query": "SELECT id FROM evil()", "key": "id"}
    if kind(server) == "postgresql":
        server.run(
            "CREATE FUNCTION evil() RETURNS TABLE (id BIGINT) LANGUAGE sql AS"
            " 'DELETE FROM \"客户\" RETURNING id'"
        )
    else:
        server.run(
            "CREATE FUNCTION evil() RETURNS INT DETERMINISTIC MODIFIES SQL DATA"
            " BEGIN DELETE FROM `客户`; RETURN 1; END"
        )
        evil["query"] = "SELECT evil() AS id"
    one = live(server, streams={"it": evil})
    with pytest.raises((ConfigError, RetryableError)):
        pulled(one, "it")
    assert len(server.rows(f"SELECT id FROM {quoted(server, '客户')}")) == 1


def test_wrong_credentials_tables_and_servers_are_told_apart(server: Server) -> None:
    stranger = server.url.replace("://", "://nobody_at_all_").replace("@", "@", 1)
    with pytest.raises(AuthError):
        live(server, url=stranger).adapter.check()
    with pytest.raises(ConfigError) as caught:
        live(server, streams={"x": {"table": "no_such", "key": "id"}}).adapter.check()
    assert "no_such" in caught.value.hint
    with pytest.raises(ConfigError):
        live(server, url=server.url + "_gone").adapter.check()
    closed = server.url.rpartition(":")[0] + ":1/x"
    with pytest.raises(RetryableError):
        live(server, url=closed).adapter.check()
    with pytest.raises(ConfigError, match="private"):
        live(server, allow_networks=[]).adapter.check()


def test_tables_become_customers_who_vanish_with_their_rows(
    server: Server, open_with: Callable[..., Hub], tmp_path: Path
) -> None:
    overlay = tmp_path / "overlays" / "db" / "customers.yaml"
    overlay.parent.mkdir(parents=True)
    overlay.write_text(MAPPING, "utf-8")
    add(server, *((i, f"客户{i}", f"1381000{i:04}", 3600) for i in range(1, 31)))
    told = {
        **server.config,
        "zone": "UTC",
        "streams": {"customers": {**CUSTOMERS, "writable": True}},
    }
    hub = open_with({"db": told})
    OPENED.append(hub.registry.get("db"))
    pull(hub, "db")
    assert customer(hub, "phone", "+8613810000007").name.value == "客户7"
    server.run(f"DELETE FROM {quoted(server, '客户')} WHERE id = 7")
    certificate = reconcile(hub, "db", "customers")
    assert (certificate.source_count, certificate.complete) == (29, True)
    assert scalar(hub, "SELECT count(*) FROM raw WHERE deleted_at IS NULL") == 29
