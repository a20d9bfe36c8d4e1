"""``kill -9`` of real processes at random moments: what was acknowledged is there, once, in order.

The same storm runs for half an hour under ``make soak``.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import need
from tests.story import storm
from tests.story.processes import (
    PATIENCE_S,
    PRODUCTION,
    RABBITMQ,
    Installation,
    installed,
    own_queue,
    wait_until,
)
from tests.story.victims import SEED, embedded_victims, production_victims


@dataclass(frozen=True, slots=True)
class Force:
    """How hard and how long it blows."""

    events: int = 1_000
    records: int = 100
    seconds: float = 15.0
    gap_s: tuple[float, float] = (1.5, 4.0)
    patience_s: float = PATIENCE_S


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_embedded_on_sqlite(database_url: str, tmp_path: Path) -> None:
    embedded(database_url, tmp_path, Force())


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_production_on_postgresql_and_rabbitmq(database_url: str, tmp_path: Path) -> None:
    need("rabbitmq")
    production(database_url, tmp_path, Force())


def embedded(database_url: str, tmp_path: Path, force: Force) -> dict[str, Any]:
    """A storm over ``hub up``, which starts again what is killed under it; its figures."""
    if sys.platform != "linux":
        pytest.skip("only Linux tells whose child a process is, and ends it with its parent")
    with installed(tmp_path, database_url, **storm.settings(tmp_path)) as there:
        there.start_up()
        wait_until("hooks answer", there.is_reachable)
        figures = weather(there, embedded_victims(there), force)
        assert there.alive("up")
        there.stop("up")
    return figures


def production(database_url: str, tmp_path: Path, force: Force) -> dict[str, Any]:
    """A storm over the processes of the Procfile, each started again when killed; its figures."""
    with (
        own_queue(RABBITMQ) as broker,
        installed(tmp_path, database_url, **broker, **storm.settings(tmp_path)) as there,
    ):
        for name in PRODUCTION:
            there.start_production(name)
        wait_until("hooks answer", there.is_reachable)
        figures = weather(there, production_victims(there), force)
        for name in PRODUCTION:
            assert there.alive(name), f"{name} ended by itself"
            there.stop(name)
    return figures


def weather(
    there: Installation, victims: dict[str, Callable[[], None]], force: Force
) -> dict[str, Any]:
    """The storm, the quiet after it, and what must hold then; its figures."""
    began = time.monotonic()
    told = storm.plan(random.Random(SEED), force.events, force.records)
    senders = storm.Senders(there.hooks_port, told, per_s=len(told) / force.seconds)
    killer = storm.Killer(random.Random(SEED), victims, force.gap_s)
    killer.rage_while(lambda: not senders.done, force.seconds + force.patience_s)
    storm.wait_until_drained(there, force.patience_s)
    took_s = time.monotonic() - began
    print(  # noqa: T201
        f"seed {SEED}: {sum(senders.acknowledged.values())} events acknowledged in"
        f" {senders.took_s:.0f} s, refused and sent again {dict(senders.refused)},"
        f" killed {dict(killer.kills)}, quiet after {took_s:.0f} s"
    )
    with there.hub() as hub:
        storm.check(hub, senders.acknowledged, there.folder.parent)
    return {
        "seed": SEED,
        "seconds": force.seconds,
        "sent": len(told),
        "twice": len(told) - len({*told}),
        "acknowledged": sum(senders.acknowledged.values()),
        "refused": dict(sorted(senders.refused.items())),
        "kills": dict(sorted(killer.kills.items())),
        "quiet_s": round(took_s - senders.took_s),
    }
