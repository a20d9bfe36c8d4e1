"""The storms of ``tests/systems/test_crash_kill.py``, a quarter of an hour each: ``make soak``.

HUB_SOAK_MINUTES says how long both take together, HUB_TEST_SEED repeats a run. The figures of a run
that holds go to ``docs/reliability.md``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import need
from tests.soak import report
from tests.systems.test_crash_kill import Force, embedded, production

MINUTES = float(os.environ.get("HUB_SOAK_MINUTES", "30"))
PER_S = 20
VERSIONS = 10
"""Of each record: more writes of one within ten minutes would be taken for a loop."""

FORCE = Force(
    events=int(MINUTES * 30 * PER_S),
    records=int(MINUTES * 30 * PER_S / VERSIONS),
    seconds=MINUTES * 30,
    gap_s=(2.0, 12.0),
    patience_s=600.0,
)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_embedded_on_sqlite(database_url: str, tmp_path: Path) -> None:
    report.note("storm", "sqlite", embedded(database_url, tmp_path, FORCE))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_production_on_postgresql_and_rabbitmq(database_url: str, tmp_path: Path) -> None:
    need("rabbitmq")
    report.note("storm", "postgresql", production(database_url, tmp_path, FORCE))
