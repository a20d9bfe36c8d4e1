"""Customers in files: resolve, train, explain."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.people import people
from hub.cli import cli


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(made.record) + "\n" for made in people(150, seed=4)))
    return path


def run(*words: object) -> str:
    done = CliRunner().invoke(cli, ["identity", *map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def groups(path: Path) -> set[frozenset[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["customer_id"], set()).add((row["source"], row["source_id"]))
    return {frozenset(group) for group in found.values()}


def test_one_by_one_and_all_at_once_agree(records: Path, tmp_path: Path) -> None:
    batch, stream = tmp_path / "batch.csv", tmp_path / "stream.csv"
    run("resolve", records, "--out", batch)
    run("resolve", records, "--out", stream, "--stream")
    assert groups(batch) == groups(stream)
    assert sum(map(len, groups(batch))) == len(records.read_text().splitlines())


def test_trained_weights_give_what_was_learned_on_the_way(records: Path, tmp_path: Path) -> None:
    kept, learned, trained = (tmp_path / name for name in ("w.json", "a.csv", "b.csv"))
    run("train", records, "--out", kept)
    run("resolve", records, "--out", learned)
    run("resolve", records, "--out", trained, "--weights", kept)
    agreed = groups(learned) & groups(trained)
    assert len(agreed) >= 0.97 * len(groups(learned))


def test_explain_tells_the_evidence(records: Path) -> None:
    first, second = (json.loads(line) for line in records.read_text().splitlines()[:2])
    a, b = (f"{r['source']}:{r['source_id']}" for r in (first, second))
    told = json.loads(run("explain", a, b, "--in", records, "--json"))
    assert told["verdict"] in ("match", "review", "no match")
    assert set(told) == {"evidence", "prior_bits", "bits", "verdict", "guards"}


def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"source": "a", "source_id": "1"}\n{"name": "no key"}\n')
    done = CliRunner().invoke(cli, ["identity", "resolve", str(path), "--out", str(tmp_path / "o")])
    assert done.exit_code == 1
    assert "line 2" in done.output


def test_what_is_no_weights_document_is_refused(records: Path, tmp_path: Path) -> None:
    words = ["identity", "resolve", str(records), "--out", str(tmp_path / "o"), "--weights"]
    done = CliRunner().invoke(cli, [*words, str(records)])
    assert done.exit_code == 1
    assert "hub identity train" in done.output
