from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import figures


def test_percentiles_of_few_and_of_no_values() -> None:
    assert figures.percentile([], 0.99) == 0.0
    assert figures.percentile([3.0], 0.99) == 3.0
    assert figures.percentile([float(n) for n in range(100)], 0.5) == 50.0
    assert figures.percentile([float(n) for n in range(100)], 0.99) == 99.0


def test_the_middle_of_several_runs_takes_each_number_apart() -> None:
    runs = [{"name": "a", "n": n, "ms": 10 - n, "good": True} for n in (1, 5, 2)]
    assert figures.middle(runs) == {"name": "a", "n": 2, "ms": 8, "good": True}


def test_a_ratio_to_nothing_is_nothing() -> None:
    assert figures.ratio(3, 2) == 1.5
    assert figures.ratio(3, 0) == 0.0


def test_rows_are_kept_with_the_machine_they_were_measured_on(tmp_path: Path) -> None:
    rows = [{"database": "sqlite", "per_s": 12.5}]
    path = figures.write("pull", rows, tmp_path / "out" / "pull.json")
    found = json.loads(path.read_text())
    assert found["rows"] == rows
    assert found["benchmark"] == "pull"
    assert found["machine"]["cpus"] >= 1


def test_a_table_shows_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    figures.show("Pull", [{"run": "first", "n": 12_345, "ms": 1.234}], ["a note"])
    shown = capsys.readouterr().out
    assert "first" in shown
    assert "12,345" in shown
    assert "1.23" in shown
    assert "a note" in shown
