"""How a clustering is measured."""

from __future__ import annotations

from bench.measures import joined


def test_pairs_that_hang_together_are_one() -> None:
    a, b, c, d, e = (("s", str(n)) for n in range(5))
    found = joined([(a, b), (b, c), (d, e)])
    assert found[a] == found[b] == found[c] != found[d] == found[e]
