"""Which lanes share a task, and how many tasks a connection has at once."""

from __future__ import annotations

import pytest

from hub.pipeline.due import _groups
from hub.store.leases import FULL


def lanes(direction: str, connection: str, *counts: int) -> dict[str, int]:
    return {f"{direction}:{connection}:{n}": count for n, count in enumerate(counts)}


@pytest.mark.parametrize(
    ("counts", "busy", "shared"),
    [
        ((1, 2, 3), 0, [3]),
        ((FULL, 2, 3), 0, [1, 2]),
        ((1, FULL, 3, FULL), 0, [2, 2]),
        ((FULL,) * 9, 0, [1, 1, 1, 1]),
        ((FULL,) * 9, 3, [1]),
        ((1,) * 9, 4, []),
    ],
)
def test_lanes_in_which_little_waits_share_a_task(
    counts: tuple[int, ...], busy: int, shared: list[int]
) -> None:
    waiting = lanes("in", "crm", *counts)
    groups = _groups(waiting, {"crm": busy}, threads=8)
    assert [len(group) for group in groups] == shared
    assert [lane for group in groups for lane in group] == list(waiting)[: sum(shared)]


def test_writes_have_tasks_of_their_own_and_nobody_has_more_than_half() -> None:
    waiting = lanes("out", "erp", FULL, FULL, FULL) | lanes("in", "erp", 1, 1)
    waiting |= lanes("in", "crm", 1, 1)
    groups = _groups(waiting, {}, threads=8)
    assert [len(group) for group in groups] == [1, 1, 1, 2, 2]
    assert len(_groups(waiting, {}, threads=2)) == 2
    assert len(_groups(waiting, {"erp": 1, "crm": 1}, threads=2)) == 0
