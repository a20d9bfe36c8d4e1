"""A shop's database: its tables become customers with orders; news from a desk is written back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hub.mapping import load, to_canonical
from hub.mapping.draft import draft
from hub.registry import Hub
from tests.story.helpers import account, customer, demo, drain, pull, reconcile, scalar

SHOP = """
CREATE TABLE customers (no TEXT PRIMARY KEY, name TEXT, mobile TEXT, tier TEXT, marker TEXT,
    changed TEXT DEFAULT (datetime('now')));
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT, ordered TEXT, state INTEGER);
CREATE TABLE items (id INTEGER PRIMARY KEY, order_id INTEGER, text TEXT, amount TEXT);
"""
CUSTOMERS = """
from: sql/customers
to: {path: name | party_kind, default: Person}
key: _id
version: _changed_at
match: [phone]
fields:
  name: name
  contact_points: [{type: phone, path: mobile}]
  tier: tier
push:
  name: name
  contact_points[type=phone].value: mobile
  tier: tier
"""
ORDERS = """
from: sql/orders
to: Order
key: _id
fields:
  status: {path: state, values: {"0": draft, "1": confirmed}, otherwise: confirmed}
  customer: customer | ref customers
  ordered_on: ordered | date
  total: sum(lines[].amount.to_number(@)) | money CNY
  lines: {each: lines, fields: {description: text, amount: amount | money CNY}}
"""
# 用友 U8, as far as its profile reads it.
U8 = """
CREATE TABLE Customer (cCusCode TEXT PRIMARY KEY, cCusName TEXT, cCusRegCode TEXT, cCusPhone TEXT,
    cCusHand TEXT, cCusFax TEXT, cCusEmail TEXT, cCusAddress TEXT, cCusPostCode TEXT,
    cCusPPerson TEXT, dCusCreateDatetime TEXT, dModifyDate TEXT);
CREATE TABLE Inventory (cInvCode TEXT PRIMARY KEY, cInvName TEXT, cComUnitCode TEXT, iInvSCost TEXT,
    dEDate TEXT, dInvCreateDatetime TEXT, dModifyDate TEXT);
CREATE TABLE SO_SOMain (ID INTEGER PRIMARY KEY, cSOCode TEXT, dDate TEXT, cCusCode TEXT,
    cVerifier TEXT, cCloser TEXT, dcreatesystime TEXT, dmodifysystime TEXT);
CREATE TABLE SO_SODetails (iSOsID INTEGER PRIMARY KEY, ID INTEGER, cInvCode TEXT, cInvName TEXT,
    iQuantity TEXT, iTaxUnitPrice TEXT, iSum TEXT);
CREATE TABLE SaleBillVouch (SBVID INTEGER PRIMARY KEY, cSBVCode TEXT, dDate TEXT, cCusCode TEXT,
    cVerifier TEXT, cChecker TEXT, dcreatesystime TEXT, dmodifysystime TEXT);
CREATE TABLE SaleBillVouchs (AutoID INTEGER PRIMARY KEY, SBVID INTEGER, cInvCode TEXT,
    cInvName TEXT, iQuantity TEXT, iTaxUnitPrice TEXT, iSum TEXT);
INSERT INTO Customer (cCusCode, cCusName, cCusRegCode, cCusHand, dCusCreateDatetime)
    VALUES ('01001', '示例🌟制造有限公司', '91310000607214345X', '13810000777',
        '2024-06-21 09:00:00');
INSERT INTO Inventory (cInvCode, cInvName, dInvCreateDatetime)
    VALUES ('M1', '压缩机', '2020-01-01');
INSERT INTO SO_SOMain
    VALUES (1, 'XS1', '2026-11-20', '01001', '王五', NULL, '2026-11-20 10:30:00', NULL);
INSERT INTO SO_SODetails VALUES (1, 1, 'M1', NULL, '10', '113.00', '1130.00');
INSERT INTO SaleBillVouch
    VALUES (7, '88', '2026-11-21', '01001', NULL, '王五', '2026-11-21 08:00:00', NULL);
INSERT INTO SaleBillVouchs VALUES (1, 7, 'M1', '压缩机', '10', '113.00', '1130.00');
"""

Open = Callable[..., Hub]


def run(path: Path, script: str) -> list[Any]:
    conn = sqlite3.connect(path)
    try:
        if script.lstrip().startswith("SELECT"):
            return conn.execute(script).fetchall()
        conn.executescript(script)
        return []
    finally:
        conn.close()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "overlays" / "shop"
    folder.mkdir(parents=True)
    (folder / "customers.yaml").write_text(CUSTOMERS, "utf-8")
    (folder / "orders.yaml").write_text(ORDERS, "utf-8")
    run(tmp_path / "shop.db", SHOP)
    return tmp_path / "shop.db"


def connection() -> dict[str, Any]:
    items = {"table": "items", "column": "order_id", "parent": "id", "order": ["id"]}
    customers = {"table": "customers", "key": "no", "modified": "changed", "marker": "marker"}
    return {
        "adapter": "sql",
        "url": "sqlite:",
        "file": "shop.db",  # beside settings.toml
        "zone": "UTC",
        "streams": {
            "customers": {**customers, "writable": True},
            "orders": {"table": "orders", "key": "id", "children": {"lines": items}},
        },
    }


def test_rows_become_a_customer_with_orders_and_vanish(open_with: Open, shop: Path) -> None:
    run(
        shop,
        "INSERT INTO customers (no, name, mobile) VALUES ('K1', '李娜 🌟', '13900001234');"
        "INSERT INTO customers (no, name, mobile) VALUES ('K2', '王五', '13900005678');"
        "INSERT INTO orders VALUES (1, 'K1', '2026-11-20', 1);"
        "INSERT INTO items VALUES (1, 1, '压缩机', '1130.10'), (2, 1, '运费', '0.20')",
    )
    hub = open_with({"shop": connection()})
    pull(hub, "shop")
    shown = customer(hub, "phone", "+8613900001234")
    assert shown.name is not None
    assert shown.name.value == "李娜 🌟"
    assert "113030" in shown.model_dump_json()
    run(shop, "DELETE FROM customers WHERE no = 'K2'")
    assert reconcile(hub, "shop", "customers").complete
    gone = "SELECT count(*) FROM raw WHERE deleted_at IS NOT NULL AND ref = 'shop/customers/K2'"
    assert scalar(hub, gone) == 1


def test_news_from_a_desk_is_written_to_the_table_once(open_with: Open, shop: Path) -> None:
    rule = {
        "id": "customers-to-shop",
        "when": "Person created",
        "if": [{"field": "connection", "is": "crm"}],
        "then": {"write": "shop/customers", "fields": {"name": "{name}", "tier": "gold"}},
    }
    run(shop, "INSERT INTO customers (no, name) VALUES ('K1', '王五')")
    streams = connection()
    streams["streams"]["customers"] |= {"key": "marker"}  # so that a new row has its key
    run(shop, "UPDATE customers SET marker = 'old'; DROP TABLE orders")
    streams["streams"].pop("orders")
    hub = open_with({"crm": demo(), "shop": streams}, [rule])
    pull(hub, "crm")  # the first load is silent
    account(hub, "crm").put("customers", {"id": "9", "kind": "person", "name": "李娜'; --"})
    pull(hub, "crm")
    drain(hub)
    drain(hub)
    rows = run(shop, "SELECT name, tier FROM customers ORDER BY rowid")
    assert rows == [("王五", None), ("李娜'; --", "gold")]


def test_a_u8_becomes_customers_with_orders_and_invoices(open_with: Open, tmp_path: Path) -> None:
    run(tmp_path / "u8.db", U8)
    told = {"url": "sqlite:", "file": "u8.db", "profile": "yonyou_u8", "zone": "Asia/Shanghai"}
    hub = open_with({"u8": {"adapter": "sql", **told}})
    hub.registry.get("u8").adapter.check()
    pull(hub, "u8")
    shown = customer(hub, "phone", "+8613810000777")
    assert shown.name is not None
    assert shown.name.value == "示例🌟制造有限公司"
    counted = "SELECT count(*) FROM record WHERE kind = "
    assert [scalar(hub, f"{counted}'{k}'") for k in ("Order", "Invoice", "Product")] == [1, 1, 1]
    run(
        tmp_path / "u8.db",
        "UPDATE Customer SET cCusName = '新名字有限公司', dModifyDate = datetime('now')",
    )
    pull(hub, "u8", "customers")
    renamed = customer(hub, "phone", "+8613810000777").name
    assert renamed is not None
    assert renamed.value == "新名字有限公司"


def test_a_drafted_mapping_reads_the_rows_it_was_drafted_from(open_with: Open, shop: Path) -> None:
    run(shop, "INSERT INTO customers (no, name, mobile) VALUES ('K1', '李娜 🌟', '13900001234')")
    live = open_with({"shop": connection()}).registry.get("shop")
    found = {one.stream: one for one in live.adapter.discover()}
    assert found.keys() == {"customers", "orders", "items"}
    one = found["customers"]
    text = draft("sql/customers", one.fields, key=one.key, version=one.version)
    (record,) = to_canonical(load(text, name="draft"), dict(one.fields), connection="shop")
    assert (record.ref.id, record.kind) == ("K1", "Person")
    assert record.version
