"""Files dropped into a folder become customers once; bad rows are laid aside, rows written out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hub import pipeline
from hub.pipeline.lane import leased
from hub.registry import Hub
from hub.store import checkpoints, leases
from tests.story.helpers import account, customer, demo, drain, pull, reconcile, scalar

MAPPING = """
from: file/customers
to: Person
key: _id
match: [phone]
fields:
  name: 姓名
  contact_points: [{type: phone, path: 手机}]
push:
  name: 姓名
  contact_points[type=phone].value: 手机
"""
HEADER = "编号,姓名,手机\n"

Open = Callable[..., Hub]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    overlay = tmp_path / "overlays" / "shop" / "customers.yaml"
    overlay.parent.mkdir(parents=True)
    overlay.write_text(MAPPING, "utf-8")
    (tmp_path / "files" / "in").mkdir(parents=True)
    return tmp_path / "files"


def put(
    folder: Path, name: str, body: str, *, encoding: str = "gb18030", ago_s: float = 60
) -> None:
    path = folder / "in" / name
    path.write_bytes(body.encode(encoding))
    at = time.time() - ago_s
    os.utime(path, (at, at))


def connection(**stream: Any) -> dict[str, Any]:
    told = {"pattern": "in/customers*.csv", "key": "编号", **stream}
    return {"adapter": "file", "folder": "files", "page_size": 10, "streams": {"customers": told}}


def test_a_dropped_file_becomes_customers_and_bad_rows_are_laid_aside(
    open_with: Open, folder: Path
) -> None:
    rows = "".join(f"K{i},客户{i},1390000{i:04}\n" for i in range(1, 31))
    put(folder, "customers-1.csv", f"{HEADER}{rows}K31,zu kurz\nK32,客户32,13900000032\n")
    hub = open_with({"shop": connection()})
    pull(hub, "shop")
    shown = customer(hub, "phone", "+8613900000032").name
    assert shown is not None
    assert shown.value == "客户32"
    assert scalar(hub, "SELECT count(*) FROM raw") == 31
    assert scalar(hub, "SELECT count(*) FROM quarantine") == 1
    put(folder, "customers-2.csv", f"{HEADER}K1,新名字,13900000001\n", encoding="utf-8", ago_s=30)
    pull(hub, "shop")
    renamed = customer(hub, "phone", "+8613900000001").name
    assert renamed is not None
    assert renamed.value == "新名字"
    assert scalar(hub, "SELECT count(*) FROM raw") == 31


def test_a_pull_killed_in_the_middle_goes_on_at_its_row(open_with: Open, folder: Path) -> None:
    rows = "".join(f"K{i},客户{i},1390000{i:04}\n" for i in range(1, 101))
    put(folder, "customers.csv", HEADER + rows)
    hub = open_with({"shop": connection()})
    name = pipeline.pull_lease("shop", "customers")
    with hub.database.write() as conn:
        leases.ensure(conn, [name])
        checkpoints.ensure(conn, "shop", ["customers"])
    with leased(hub, name) as lane:
        assert lane is not None
        lane.ends_at = 0.0  # its time is over after one page
        assert not pipeline.pull(hub, lane, "shop", "customers")
    with hub.database.read() as conn:
        assert checkpoints.get(conn, "shop", "customers")["rows"] == 10
    pull(hub, "shop")
    with hub.database.read() as conn:
        assert checkpoints.get(conn, "shop", "customers")["rows"] == 100
    assert scalar(hub, "SELECT count(*) FROM raw") == 100


def test_what_the_newest_whole_file_lacks_was_deleted(open_with: Open, folder: Path) -> None:
    put(folder, "customers-1.csv", f"{HEADER}K1,李娜,13900001234\nK2,王五,13900005678\n", ago_s=90)
    hub = open_with({"shop": connection(whole=True)})
    pull(hub, "shop")
    put(folder, "customers-2.csv", f"{HEADER}K1,李娜,13900001234\n")
    pull(hub, "shop")
    certificate = reconcile(hub, "shop", "customers")
    assert (certificate.source_count, certificate.complete) == (1, True)
    gone = "SELECT count(*) FROM raw WHERE deleted_at IS NOT NULL AND ref = 'shop/customers/K2'"
    assert scalar(hub, gone) == 1


def test_a_rule_writes_rows_into_a_file_of_the_day(open_with: Open, folder: Path) -> None:
    rule = {
        "id": "out",
        "when": "Person created",
        "if": [{"field": "connection", "is": "crm"}],
        "then": {"write": "shop/customers", "fields": {"name": "{name}"}},
    }
    told = connection(write="out/{date}.csv", columns=["编号", "姓名", "手机"], encoding="utf-8")
    hub = open_with({"crm": demo(), "shop": told}, [rule])
    pull(hub, "crm")
    for id_, name in (("1", "李娜"), ("2", "王五 🌟")):
        account(hub, "crm").put("customers", {"id": id_, "kind": "person", "name": name})
    pull(hub, "crm")
    drain(hub)
    drain(hub)
    (path,) = (folder / "out").glob("*.csv")
    lines = path.read_text("utf-8").splitlines()
    assert lines[0] == "编号,姓名,手机,hub_key"
    assert sorted(line.split(",")[1] for line in lines[1:]) == ["李娜", "王五 🌟"]
