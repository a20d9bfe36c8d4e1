"""Two-way sync for a long time, with real processes and real kills: part of ``make soak``.

People edit in three systems that fail in every way they know, and the hub's processes are killed at
random moments. Then all is calm; when nothing is left to be done, each stream is compared with its
source, and everybody must agree. HUB_SOAK_MINUTES says how long both databases take together,
HUB_TEST_SEED repeats a run as far as chance is ours.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from demo.city import REGISTERED
from hub.registry import ROOT
from tests.conftest import need
from tests.soak import aftermath, report
from tests.soak.aftermath import Administrator
from tests.soak.city import Town
from tests.story import storm
from tests.story.city_world import SYNCS
from tests.story.processes import (
    PRODUCTION,
    RABBITMQ,
    Installation,
    installed,
    own_queue,
    wait_until,
)
from tests.story.victims import SEED, embedded_victims, production_victims

MINUTES = float(os.environ.get("HUB_SOAK_MINUTES", "30"))
UNREST_S = MINUTES * 30
GAP_S = (3.0, 15.0)
PATIENCE_S = 1800.0
LOOK_S = 5.0


@pytest.fixture(autouse=True)
def _the_city_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's processes find the city's adapters."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(REGISTERED)]))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_embedded_on_sqlite(database_url: str, tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux tells whose child a process is, and ends it with its parent")
    town = Town(SEED)
    with town.open() as known, installed(tmp_path, database_url, **_settings(known)) as there:
        there.start_up()
        report.note("city", "sqlite", _run(there, embedded_victims(there), town))
        assert there.alive("up")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_production_on_postgresql_and_rabbitmq(database_url: str, tmp_path: Path) -> None:
    need("rabbitmq")
    town = Town(SEED)
    with (
        town.open() as known,
        own_queue(RABBITMQ) as broker,
        installed(tmp_path, database_url, **broker, **_settings(known)) as there,
    ):
        for name in PRODUCTION:
            there.start_production(name)
        report.note("city", "postgresql", _run(there, production_victims(there), town))
        assert [name for name in PRODUCTION if not there.alive(name)] == []


def _settings(known: Mapping[str, Any]) -> dict[str, Any]:
    return {"connections": known, "source_priority": ["crm", "erp", "desk"], "syncs": SYNCS}


def _run(
    there: Installation, victims: Mapping[str, Callable[[], None]], town: Town
) -> dict[str, Any]:
    """The unrest, the calm after it, and what must hold then; its figures."""
    wait_until("hooks answer", there.is_reachable)
    killer = storm.Killer(random.Random(SEED), victims, GAP_S)
    with there.hub() as hub, town.alive(there.hooks_port):
        admin = Administrator(there, hub, town)
        _rage(killer, admin)
        town.rest()
        calm_at, since = time.monotonic(), aftermath.calm_since()
        aftermath.settle(admin, since, PATIENCE_S)
        mended = aftermath.reconcile(there)
        aftermath.settle(admin, since, PATIENCE_S)
        agreed_s = time.monotonic() - calm_at
        again = aftermath.reconcile(there)
        figures = {
            "seed": SEED,
            "seconds": UNREST_S,
            "kills": dict(sorted(killer.kills.items())),
            "agreed_s": round(agreed_s),
            "mended": [sum(row["repaired"] for row in rows) for rows in (mended, again)],
            "complete": [sum(row["complete"] for row in again), len(again)],
            "by_hand": dict(sorted(admin.done.items())),
            **town.told(),
            **aftermath.told(hub, town),
        }
        print(figures)  # noqa: T201
        found = aftermath.faults(hub, town)
        if found:
            print("\n".join(found), aftermath.evidence(there, town, found))  # noqa: T201
        assert found == [], f"HUB_TEST_SEED={SEED}"
    assert figures["mended"][1] == 0, f"HUB_TEST_SEED={SEED}"
    assert figures["complete"] == [len(town.streams)] * 2, f"HUB_TEST_SEED={SEED}"
    return figures


def _rage(killer: storm.Killer, admin: Administrator) -> None:
    """Kill until the time is over; meanwhile somebody looks whether the hub asks for a person."""
    ends_at = time.monotonic() + UNREST_S
    looked = [time.monotonic()]

    def is_on() -> bool:
        if time.monotonic() - looked[0] > LOOK_S:
            admin.let_in()
            looked[0] = time.monotonic()
        return time.monotonic() < ends_at

    killer.rage_while(is_on, UNREST_S + PATIENCE_S)
