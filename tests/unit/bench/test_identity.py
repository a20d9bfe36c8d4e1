"""The matching benchmark runs, on a small scale; how fast is never asserted."""

from __future__ import annotations

from pathlib import Path

from bench import identity
from bench.measures import joined


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


def test_pairs_that_hang_together_are_one() -> None:
    a, b, c, d, e = (("s", str(n)) for n in range(5))
    found = joined([(a, b), (b, c), (d, e)])
    assert found[a] == found[b] == found[c] != found[d] == found[e]
