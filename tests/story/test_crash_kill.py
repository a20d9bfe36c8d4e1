"""``kill -9`` of real processes at random moments: what was acknowledged is there, once, in order.

The same storm runs for half an hour under ``make soak``.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from hub.registry import Hub, apply, open_hub
from hub.settings import Settings
from tests.conftest import KEY, need
from tests.story import storm
from tests.story.processes import (
    PATIENCE_S,
    Installation,
    children,
    command_of,
    wait_until,
)

EVENTS, RECORDS, SECONDS = 2_000, 200, 25.0
SEED = int(os.environ.get("HUB_TEST_SEED", "0")) or random.randrange(1, 1_000_000)
RABBITMQ = "amqp://guest:guest@127.0.0.1:5672//"

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
    queue = f"hub-test-{uuid.uuid4().hex[:12]}"
    try:
        with installed(tmp_path, database_url, broker_url=RABBITMQ, queue_name=queue) as there:
            for name in PRODUCTION:
                there.start_production(name)
            wait_until("hooks answer", there.is_reachable)
            killer = storm.Killer(random.Random(SEED), production_victims(there), gap_s=(1.5, 4.0))
            weather(there, killer, clean)
            for name in PRODUCTION:
                there.stop(name)
    finally:
        with Connection(RABBITMQ) as broker:
            broker.default_channel.queue_delete(queue)


PRODUCTION = ("hooks", "worker", "beat")


@pytest.fixture
def clean(sqlite_template: Path, tmp_path: Path) -> Iterator[Hub]:
    """Another hub with the same connections, which nothing happens to."""
    shutil.copy(sqlite_template, tmp_path / "clean.db")
    given: dict[str, Any] = {"shop": {"adapter": "demo", "account": "clean"}}
    url = f"sqlite:///{tmp_path}/clean.db"
    settings = Settings(state_dir=tmp_path, database_url=url, secret_keys=[KEY], connections=given)
    hub = open_hub(settings)
    apply(hub.registry, settings)
    yield hub
    hub.close()


@contextmanager
def installed(tmp_path: Path, database_url: str, **settings: Any) -> Iterator[Installation]:
    """An applied installation; whatever it left running is ended, its logs shown on failure."""
    folder = tmp_path / "there"
    folder.mkdir()
    if database_url.startswith(
        "postgresql"
    ):  # its server is not killed: no flush need be waited for
        database_url += "?options=-csynchronous_commit%3Doff"
    given = {
        "database_url": database_url,
        "secret_keys": [KEY],
        "connections": storm.connections(folder / "ledger.jsonl"),
        "rules": storm.RULES,
        **settings,
    }
    there = Installation(folder, given)
    try:
        there.run("apply")
        yield there
    except BaseException:
        print(there.logs())  # noqa: T201
        raise
    finally:
        there.close()


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
