"""A tap from PyPI as it is, before a real database: killed, and its hub killed, nothing is lost.

``pipelinewise-tap-mysql`` is installed into an environment of its own, as a user would install it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from demo.systems.base import make_environment
from hub.registry import Hub, Live, manifest
from hub.store import checkpoints
from tests.story.helpers import customer, pull, reconcile, scalar
from tests.story.processes import BIN, command_of, installed, wait_until
from tests.systems.conftest import ROOT
from tests.systems.databases import Server, mariadb

PINS = Path(__file__).parent / "taps" / "tap-mysql.txt"
ROWS = 20_000
MAPPING = """
from: singer/people
to: Person
key: _id
fields:
  name: name
  contact_points: [{type: phone, path: phone}]
"""


@pytest.fixture(scope="session")
def tap() -> Path:
    """The installed tap; used again while its pins are the same."""
    venv = ROOT / "taps" / "tap-mysql"
    marker = venv / "installed.txt"
    if not marker.exists() or marker.read_text("utf-8") != PINS.read_text("utf-8"):
        venv.parent.mkdir(parents=True, exist_ok=True)
        make_environment(venv, PINS)
        marker.write_text(PINS.read_text("utf-8"), "utf-8")
    return venv / "bin" / "tap-mysql"


@pytest.fixture
def shop() -> Iterator[Server]:
    with mariadb() as found:
        found.run(
            "CREATE TABLE people (id INT PRIMARY KEY, name VARCHAR(50), phone VARCHAR(20),"
            " balance DECIMAL(20, 4), changed DATETIME, KEY (changed)) CHARACTER SET utf8mb4"
        )
        yield found


def fill(shop: Server, count: int) -> None:
    for start in range(1, count + 1, 1000):
        values = ", ".join(
            f"({i}, '客户{i}', '1381{i:07}', 1234567890123.4500, '2026-11-21 10:00:00')"
            for i in range(start, min(start + 1000, count + 1))
        )
        shop.run(f"INSERT INTO people VALUES {values}")


def connection(tap: Path, shop: Server, **fields: Any) -> dict[str, Any]:
    url = urlsplit(shop.url)
    name = url.path.strip("/")
    told = {
        "tap_stream": f"{name}-people",
        "replication": "INCREMENTAL",
        "replication_key": "changed",
    }
    return {
        "adapter": "singer",
        "command": [str(tap)],
        "tap_config": {
            "host": url.hostname,
            "port": str(url.port),
            "user": url.username,
            "database": name,
            "filter_dbs": name,
        },
        "secrets": {"password": shop.password},
        "catalog_option": "--properties",
        "streams": {"people": {**told, **fields.pop("stream", {})}},
        **fields,
    }


def overlay(folder: Path) -> None:
    path = folder / "overlays" / "shop" / "people.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(MAPPING, "utf-8")


def test_rows_of_a_real_tap_become_customers_and_vanish_with_them(
    tap: Path, shop: Server, open_with: Callable[..., Hub], tmp_path: Path
) -> None:
    overlay(tmp_path)
    fill(shop, 30)
    hub = open_with({"shop": connection(tap, shop)})
    live = hub.registry.get("shop")
    live.adapter.check()
    pull(hub, "shop")
    assert customer(hub, "phone", "+8613810000007").name.value == "客户7"
    shop.run("UPDATE people SET name = '新名字', changed = '2026-11-21 11:00:00' WHERE id = 7")
    shop.run("DELETE FROM people WHERE id = 8")
    pull(hub, "shop")
    assert customer(hub, "phone", "+8613810000007").name.value == "新名字"
    certificate = reconcile(hub, "shop", "people")
    assert (certificate.source_count, certificate.complete) == (29, True)
    assert scalar(hub, "SELECT count(*) FROM raw WHERE deleted_at IS NULL") == 29
    live.adapter.close()


def test_decimals_of_a_real_tap_keep_their_digits(tap: Path, shop: Server) -> None:
    fill(shop, 1)
    told = connection(tap, shop, stream={"replication": "FULL_TABLE", "replication_key": ""})
    live = Live("shop", manifest("singer"), told)
    found = [
        row for page in live.adapter.pull(live.streams["people"], None) for row in page.records
    ]
    assert [(row["_id"], row["balance"]) for row in found] == [("1", "1234567890123.4500")]
    live.adapter.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_kills_of_the_tap_and_of_the_hub_lose_nothing(
    tap: Path, shop: Server, database_url: str, tmp_path: Path
) -> None:
    fill(shop, ROWS)
    told = {"connections": {"shop": connection(tap, shop, page_size=100)}}
    with installed(tmp_path, database_url, **told) as there:
        overlay(there.folder)
        command = [str(BIN / "hub"), "pull", "shop"]

        def rows() -> int:
            with there.hub() as hub, hub.database.read() as conn:
                return int(checkpoints.get(conn, "shop", "people")["rows"] or 0)

        def taps() -> list[int]:
            tasks = Path(f"/proc/{there.pid('pull')}/task").glob("*/children")
            started = [int(pid) for task in tasks for pid in task.read_text().split()]
            return [pid for pid in started if "--properties" in command_of(pid)]

        there.start("pull", command)
        wait_until("rows come", lambda: rows() > 500)
        os.kill(taps()[0], 9)
        wait_until("the pull ends", lambda: not there.alive("pull"))
        assert "tap ended with -9" in there.logs()
        before = rows()
        assert before < ROWS

        there.start("pull", command)
        wait_until("more rows come", lambda: rows() > before + 500)
        (orphan,) = taps()
        there.kill("pull")
        wait_until("the tap ends without its hub", lambda: "tap-mysql" not in command_of(orphan))

        there.run("pull", "shop")
        with there.hub() as hub:
            assert scalar(hub, "SELECT count(*) FROM raw") == ROWS
            assert scalar(hub, "SELECT count(DISTINCT ref) FROM raw") == ROWS
            assert scalar(hub, "SELECT count(*) FROM record") == ROWS
