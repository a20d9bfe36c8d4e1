"""A tap's records become customers, from slice to slice and after failures; none comes twice."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hub import pipeline
from hub.errors import RetryableError
from hub.pipeline.lane import leased
from hub.registry import Hub
from hub.store import checkpoints, leases
from tests.story.helpers import customer, pull, reconcile, scalar

TAP = [sys.executable, str(Path(__file__).parents[1] / "contract" / "fake_tap.py")]
MAPPING = """
from: singer/people
to: Person
key: _id
fields:
  name: name
  contact_points: [{type: phone, path: phone}]
"""

Open = Callable[..., Hub]


@pytest.fixture
def people(tmp_path: Path) -> Path:
    overlay = tmp_path / "overlays" / "shop" / "people.yaml"
    overlay.parent.mkdir(parents=True)
    overlay.write_text(MAPPING, "utf-8")
    fill(tmp_path / "people.jsonl", range(1, 501))
    return tmp_path / "people.jsonl"


def fill(path: Path, ids: Any) -> None:
    rows = [
        {"id": i, "name": f"客户{i} 🌟", "phone": f"1381000{i:04}", "changed": f"2026-{i:04}"}
        for i in ids
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def connection(people: Path, **config: Any) -> dict[str, Any]:
    return {
        "adapter": "singer",
        "command": TAP,
        "tap_config": {"file": str(people), **config},
        "secrets": {"password": "geheim"},
        "streams": {"people": {"tap_stream": "shop-people"}},
        "page_size": 20,
    }


def leased_pull(hub: Hub, ends_at: float) -> str:
    """One slice of a pull: "done", "open" or "failed"."""
    name = pipeline.pull_lease("shop", "people")
    with hub.database.write() as conn:
        leases.ensure(conn, [name])
        checkpoints.ensure(conn, "shop", ["people"])
    with leased(hub, name) as lane:
        assert lane is not None
        lane.ends_at = ends_at
        try:
            return "done" if pipeline.pull(hub, lane, "shop", "people") else "open"
        except RetryableError:
            return "failed"


def slice_of(hub: Hub) -> bool:
    """One page of a pull; whether the tap came to its end."""
    assert leased_pull(hub, 0.0) == "open"  # its time is over after one page
    with hub.database.read() as conn:
        return "run" not in json.loads(checkpoints.get(conn, "shop", "people")["cursor"])


def rows(hub: Hub) -> int:
    with hub.database.read() as conn:
        return int(checkpoints.get(conn, "shop", "people")["rows"])


def test_records_become_customers_who_vanish_with_them(open_with: Open, people: Path) -> None:
    hub = open_with({"shop": connection(people, each=100)})
    pull(hub, "shop")
    shown = customer(hub, "phone", "+8613810000007").name
    assert shown is not None
    assert shown.value == "客户7 🌟"
    fill(people, (i for i in range(1, 501) if i != 7))
    certificate = reconcile(hub, "shop", "people")
    assert (certificate.source_count, certificate.complete) == (499, True)
    assert scalar(hub, "SELECT count(*) FROM raw WHERE deleted_at IS NOT NULL") == 1
    hub.registry.get("shop").adapter.close()


def test_a_state_at_the_end_alone_is_reached_in_many_slices(open_with: Open, people: Path) -> None:
    hub = open_with({"shop": connection(people)})
    slices = 1
    while not slice_of(hub):
        slices += 1
    assert slices > 5
    assert rows(hub) == 500  # none was sent again
    assert scalar(hub, "SELECT count(*) FROM raw") == 500
    hub.registry.get("shop").adapter.close()


def test_a_tap_that_fails_in_the_middle_goes_on_from_its_state(
    open_with: Open, people: Path
) -> None:
    hub = open_with({"shop": connection(people, each=60, fail_after=300)})
    assert leased_pull(hub, float("inf")) == "failed"
    kept = rows(hub)
    assert 0 < kept < 500
    while leased_pull(hub, float("inf")) == "failed":
        assert rows(hub) > kept, "it begins at the same place again"
        kept = rows(hub)
    assert scalar(hub, "SELECT count(*) FROM raw") == 500
    hub.registry.get("shop").adapter.close()
