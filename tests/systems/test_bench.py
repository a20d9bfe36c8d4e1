"""The benchmarks run, on a small scale; how fast is never asserted."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from sqlalchemy import text

from bench import identity, latency, profile, pull, rig, startup, webhooks
from bench.__main__ import main
from bench.backends import Backends
from bench.peers import start


def test_pulls_keep_what_they_should_and_are_written_as_json(tmp_path: Path) -> None:
    path = tmp_path / "pull.json"
    words = ["pull", "--database", "sqlite", "--sizes", "1_200", "--json", str(path)]
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 0
    rows = json.loads(path.read_text())["rows"]
    assert [(row["run"], row["rows"]) for row in rows] == [(run, 1200) for run in pull.RUNS]
    assert all(row["rows_per_s"] > 0 and row["peak_mib"] > 10 for row in rows)
    assert {(row["growth"], row["memory_growth"], row["of_dlt"]) for row in rows} == {(1, 1, None)}


def test_the_shorter_pull_ends_at_identifiers() -> None:
    with pull.crm("sqlite", 300) as (site, _):
        told = pull.pull(site, "--full", "--records")
        counts = "SELECT (SELECT count(*) FROM record), (SELECT count(*) FROM identifier)"
        with site.hub() as hub, hub.database.read() as conn:
            assert conn.execute(text(counts)).one() == (300, 600)
            assert conn.execute(text("SELECT count(*) FROM customer")).scalar_one() == 0
    assert told["rows"] == 300
    assert told["source_s"] > 0


@pytest.mark.usefixtures("postgresql_template")
def test_the_script_copies_every_row_and_the_database_is_watched() -> None:
    python = start.python_of(start.SCRIPT)
    assert python is not None
    with rig.source(2_000) as port, start.place() as (url, folder):
        with Backends(url) as backends:
            told = start.load(start.SCRIPT, python, f"http://127.0.0.1:{port}", url, folder)
        with psycopg.connect(url) as conn:
            assert conn.execute("SELECT count(*) FROM contact").fetchone() == (2_000,)
    assert told["took_s"] > 0
    assert backends.cpu_s is None or backends.cpu_s >= 0


def test_a_peer_that_cannot_be_installed_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert start.python_of(start.PEER, tmp_path) is None


def test_webhooks_are_accepted_by_all_that_are_compared() -> None:
    rows = webhooks.run(["sqlite"], seconds=0.3, rounds=1)
    for database in ("sqlite", webhooks.SLOW):
        compared = {row["application"] for row in rows if row["database"] == database}
        assert compared == set(webhooks.APPLICATIONS[database])
    assert all(row["events_per_s"] > 0 for row in rows)
    webhooks.show(rows)


def test_the_way_from_a_webhook_to_a_profile_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "CONTACTS", 200)
    (row,) = latency.run(["sqlite"], seconds=0.5)
    assert row["events"] > 50
    assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["worst_ms"]
    latency.show([row])


def test_profiles_are_read_by_id_and_by_phone() -> None:
    rows = profile.run(["sqlite"], [200], seconds=0.3, rounds=1)
    assert {(row["by"], row["connections"]) for row in rows} == {
        (by, n) for by in ("id", "phone", "card") for n in profile.CONNECTIONS
    }
    profile.show(rows)


def test_a_start_with_all_adapters_is_compared_with_one() -> None:
    one, every = startup.run(rounds=1)
    assert (one["adapters"], one["more_ms"]) == (1, 0.0)
    assert every["adapters"] > 40
    assert every["ready_ms"] >= every["manifests_ms"] > 0
    assert every["of_limit"] == every["more_ms"] / startup.LIMIT_MS
    startup.show([one, every])


def test_cost_is_told_by_size(tmp_path: Path) -> None:
    rows = list(identity._scale(tmp_path, [200, 400]))
    assert [row["records"] for row in rows] == [200, 400]
    assert rows[0]["growth"] == 1
    assert all(row["peak_mib"] > 10 for row in rows)


def test_a_made_up_set_is_measured(tmp_path: Path) -> None:
    identity._make(tmp_path, "small", 100, 9)
    rows = list(identity._set(tmp_path, "small", None))
    assert [row["by"] for row in rows] == [identity.CONDUIT, identity.STREAM]
    assert rows[0]["f1"] == rows[1]["f1"] > "0.8"
