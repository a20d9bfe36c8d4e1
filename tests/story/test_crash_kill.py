"""``kill -9`` of real processes at random moments: what was acknowledged is there, once, in order.

The same storm runs for half an hour under ``make soak``.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from hub.registry import Hub
from tests.conftest import need
from tests.story import storm
from tests.story.processes import (
    PATIENCE_S,
    PRODUCTION,
    RABBITMQ,
    Installation,
    children,
    command_of,
    installed,
    own_queue,
    wait_until,
)

EVENTS, RECORDS, SECONDS = 2_000, 200, 25.0
SEED = int(os.environ.get("HUB_TEST_SEED", "0")) or random.randrange(1, 1_000_000)

pytestmark = pytest.mark.xdist_group("processes")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_embedded_on_sqlite(database_url: str, tmp_path: Path, clean: Hub) -> None:
    with installed(tmp_path, database_url) as there:
        there.start_up()
        wait_until("hooks answer", there.is_reachable)
        killer = storm.Killer(random.Random(SEED), embedded_victims(there), gap_s=(1.5, 4.0))
        weather(there, killer, clean)
        there.stop("up")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_production_on_postgresql_and_rabbitmq(
    database_url: str, tmp_path: Path, clean: Hub
) -> None:
    need("rabbitmq")
    with own_queue(RABBITMQ) as broker, installed(tmp_path, database_url, **broker) as there:
        for name in PRODUCTION:
            there.start_production(name)
        wait_until("hooks answer", there.is_reachable)
        killer = storm.Killer(random.Random(SEED), production_victims(there), gap_s=(1.5, 4.0))
        weather(there, killer, clean)
        for name in PRODUCTION:
            assert there.alive(name), f"{name} ended by itself"
            there.stop(name)


def embedded_victims(there: Installation) -> dict[str, Callable[[], None]]:
    """The processes under ``hub up``, which starts them again itself."""

    def killing(word: str) -> Callable[[], None]:
        def kill() -> None:
            wait_until(f"{word} runs", lambda: bool(_found(there, word)))
            for pid in _found(there, word):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

        return kill

    return {"hooks": killing("webhooks.app"), "worker": killing("celery")}


def _found(there: Installation, word: str) -> list[int]:
    mine = children(there.pid("up"))
    return [pid for child in mine if word in command_of(child) for pid in [child, *children(child)]]


def production_victims(there: Installation) -> dict[str, Callable[[], None]]:
    """The processes of the Procfile, each started again at once."""

    def killing(name: str) -> Callable[[], None]:
        def kill() -> None:
            there.kill(name)
            there.start_production(name)

        return kill

    return {name: killing(name) for name in PRODUCTION}


def weather(
    there: Installation,
    killer: storm.Killer,
    clean: Hub,
    *,
    events: int = EVENTS,
    records: int = RECORDS,
    seconds: float = SECONDS,
) -> None:
    """The storm, the quiet after it, and what must hold then."""
    began = time.monotonic()
    told = storm.plan(random.Random(SEED), events, records)
    senders = storm.Senders(there.hooks_port, told, per_s=len(told) / seconds)
    killer.rage_while(lambda: not senders.done, deadline_s=seconds + PATIENCE_S)
    storm.wait_until_drained(there, PATIENCE_S)
    print(  # noqa: T201
        f"seed {SEED}: {sum(senders.acknowledged.values())} events acknowledged in"
        f" {senders.took_s:.0f} s, refused and sent again {dict(senders.refused)},"
        f" killed {dict(killer.kills)}, quiet after {time.monotonic() - began:.0f} s"
    )
    with there.hub() as hub:
        storm.check(hub, clean, senders.acknowledged, there.folder / "ledger.jsonl")
