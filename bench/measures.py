"""How good a grouping is against the truth."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping
from typing import NamedTuple

Labels = Mapping[tuple[str, str], Hashable]
"""Record → the group it is in."""


class Quality(NamedTuple):
    """Pairwise over all pairs in one group, B-cubed per record, and the largest group."""

    precision: float
    recall: float
    f1: float
    b3_f1: float
    largest: int


def quality(found: Labels, truth: Labels) -> Quality:
    """Measure; a record that was not found is alone."""
    both = Counter((found.get(ref, ref), entity) for ref, entity in truth.items())
    ours, theirs = Counter[Hashable](), Counter[Hashable]()
    for (group, entity), n in both.items():
        ours[group] += n
        theirs[entity] += n
    right, said, true = (_pairs(c) for c in (both, ours, theirs))
    precision, recall = right / said if said else 1.0, right / true if true else 1.0
    b3_precision = b3_recall = 0.0
    for (group, entity), n in both.items():
        b3_precision += n * n / ours[group]
        b3_recall += n * n / theirs[entity]
    b3 = _f1(b3_precision / len(truth), b3_recall / len(truth))
    return Quality(precision, recall, _f1(precision, recall), b3, max(ours.values()))


def joined(pairs: list[tuple[tuple[str, str], tuple[str, str]]]) -> dict[tuple[str, str], int]:
    """Groups from pairs, whatever hangs together being one."""
    near: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for a, b in pairs:
        near[a].append(b)
        near[b].append(a)
    group: dict[tuple[str, str], int] = {}
    for start in near:
        waiting = [start] if start not in group else []
        while waiting:
            ref = waiting.pop()
            if ref not in group:
                group[ref] = len(near) + len(group) if ref == start else group[start]
                waiting += near[ref]
    return group


def _pairs(sizes: Mapping[Hashable, int]) -> int:
    return sum(n * (n - 1) // 2 for n in sizes.values())


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
