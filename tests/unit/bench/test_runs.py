"""The benchmarks run, on a small scale; how fast is never asserted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import profile, pull, rig, webhooks
from bench.__main__ import main
from hub.cli.run import _children

pytestmark = pytest.mark.xdist_group("bench")  # each starts servers of its own


def test_servers_are_started_as_hub_up_starts_them() -> None:
    with rig.site("sqlite", {}) as site:
        commands = {child.name: child.command for child in _children(site.settings)}
    assert commands["hooks"][-1] == "webhooks.app:create_app"
    assert commands["web"][-1] == "hub.web.app:create_app"
    assert "--factory" in commands["hooks"]


def test_a_pull_of_every_kind_keeps_what_it_should() -> None:
    rows = pull.run(["sqlite"], [300, 1200])
    assert [(r["run"], r["rows"]) for r in rows] == [
        (run, size) for size in (300, 1200) for run in pull.RUNS
    ]
    assert all(r["records_per_s"] > 0 and r["peak_mib"] > 10 for r in rows)
    assert {r["growth"] for r in rows if r["rows"] == 300} == {1.0}
    pull.show(rows)


def test_webhooks_are_accepted_by_all_that_are_compared() -> None:
    rows = webhooks.run(["sqlite"], seconds=0.3, rounds=1)
    assert {r["application"] for r in rows} == set(webhooks.APPLICATIONS)
    assert all(r["events_per_s"] > 0 for r in rows)
    webhooks.show(rows)


def test_profiles_are_read_by_id_and_by_phone() -> None:
    rows = profile.run(["sqlite"], [200], seconds=0.3, rounds=1)
    assert {(r["by"], r["connections"]) for r in rows} == {
        (by, n) for by in ("id", "phone") for n in profile.CONNECTIONS
    }
    profile.show(rows)


def test_the_command_writes_json(tmp_path: Path) -> None:
    path = tmp_path / "pull.json"
    words = ["pull", "--database", "sqlite", "--sizes", "200", "--json", str(path)]
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert [row["rows"] for row in json.loads(path.read_text())["rows"]] == [200] * 3


@pytest.mark.parametrize("words", [["pull", "--sizes", "many"], ["--json", "x.json"], ["speed"]])
def test_wrong_words_are_refused(words: list[str]) -> None:
    assert CliRunner().invoke(main, words).exit_code == 2
