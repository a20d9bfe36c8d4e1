"""A flood of webhooks over a receiver that is killed: every one is applied, once and in order.

Two million go the same way under ``make soak``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import need
from tests.story.flood import SHOP, flood
from tests.story.processes import PRODUCTION, RABBITMQ, installed, own_queue, wait_until
from tests.story.victims import SEED, embedded_victims, production_victims

SHORT = {"records": 400, "versions": 10, "every_s": 2.0}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_embedded_on_sqlite(database_url: str, tmp_path: Path) -> None:
    assert embedded(database_url, tmp_path, SHORT)["repeated"]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_production_on_postgresql_and_rabbitmq(database_url: str, tmp_path: Path) -> None:
    need("rabbitmq")
    assert production(database_url, tmp_path, SHORT)["repeated"]


def embedded(database_url: str, tmp_path: Path, force: dict[str, Any]) -> dict[str, Any]:
    """A flood over ``hub up``, which starts its receiver again; its figures."""
    with installed(tmp_path, database_url, connections={"shop": SHOP}) as there:
        there.start_up()
        wait_until("hooks answer", there.is_reachable)
        figures = flood(there, embedded_victims(there)["hooks"], **force, seed=SEED)
        assert there.alive("up")
        there.stop("up")
    return figures


def production(database_url: str, tmp_path: Path, force: dict[str, Any]) -> dict[str, Any]:
    """A flood over the processes of the Procfile; its figures."""
    given = {"connections": {"shop": SHOP}}
    with own_queue(RABBITMQ) as broker, installed(tmp_path, database_url, **broker, **given) as it:
        for name in PRODUCTION:
            it.start_production(name)
        wait_until("hooks answer", it.is_reachable)
        figures = flood(it, production_victims(it)["hooks"], **force, seed=SEED)
        for name in PRODUCTION:
            assert it.alive(name), f"{name} ended by itself"
            it.stop(name)
    return figures
