"""The floods of ``tests/story/test_flood.py`` with two million events each: ``make soak``.

HUB_SOAK_EVENTS makes them smaller. The figures of a run that holds go to ``docs/reliability.md``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import need
from tests.soak import report
from tests.story.test_flood import embedded, production

EVENTS = int(os.environ.get("HUB_SOAK_EVENTS", "2_000_000"))
VERSIONS = 40
FORCE = {
    "records": EVENTS // VERSIONS,
    "versions": VERSIONS,
    "every_s": 20.0,
    "patience_s": EVENTS / 50,
}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_production_on_postgresql_and_rabbitmq(database_url: str, tmp_path: Path) -> None:
    need("rabbitmq")
    report.note("flood", "postgresql", production(database_url, tmp_path, FORCE))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_embedded_on_sqlite(database_url: str, tmp_path: Path) -> None:
    report.note("flood", "sqlite", embedded(database_url, tmp_path, FORCE))
