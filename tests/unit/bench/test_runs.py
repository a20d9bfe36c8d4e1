"""The benchmarks run, on a small scale; how fast is never asserted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import profile, pull, webhooks
from bench.__main__ import main
from hub.cli.run import _children
from hub.settings import Settings

pytestmark = pytest.mark.xdist_group("bench")  # each starts servers of its own


def test_servers_are_started_as_hub_up_starts_them() -> None:
    commands = {child.name: child.command for child in _children(Settings())}
    assert commands["hooks"][-1] == "webhooks.app:create_app"
    assert commands["web"][-1] == "hub.web.app:create_app"
    assert "--factory" in commands["hooks"]


def test_pulls_keep_what_they_should_and_are_written_as_json(tmp_path: Path) -> None:
    path = tmp_path / "pull.json"
    words = ["pull", "--database", "sqlite", "--sizes", "1_200", "--json", str(path)]
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 0
    rows = json.loads(path.read_text())["rows"]
    assert [(row["run"], row["rows"]) for row in rows] == [(run, 1200) for run in pull.RUNS]
    assert all(row["records_per_s"] > 0 and row["peak_mib"] > 10 for row in rows)
    assert {row["growth"] for row in rows} == {1.0}


def test_webhooks_are_accepted_by_all_that_are_compared() -> None:
    rows = webhooks.run(["sqlite"], seconds=0.3, rounds=1)
    assert {row["application"] for row in rows} == set(webhooks.APPLICATIONS)
    assert all(row["events_per_s"] > 0 for row in rows)
    webhooks.show(rows)


def test_profiles_are_read_by_id_and_by_phone() -> None:
    rows = profile.run(["sqlite"], [200], seconds=0.3, rounds=1)
    assert {(row["by"], row["connections"]) for row in rows} == {
        (by, n) for by in ("id", "phone") for n in profile.CONNECTIONS
    }
    profile.show(rows)


@pytest.mark.parametrize("words", [["pull", "--sizes", "many"], ["--json", "x.json"], ["speed"]])
def test_wrong_words_are_refused(words: list[str]) -> None:
    assert CliRunner().invoke(main, words).exit_code == 2
