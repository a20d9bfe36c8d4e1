"""Whatever happens in the city, in the end everybody agrees and nothing was written twice.

People edit in all three systems, the systems fail in every way they know, and the hub's process
ends at random commits and calls. Then all is calm; when nothing is left to be done, each stream is
compared with its source once.

``HUB_TEST_SCHEDULES`` says how many new lives are told, ``HUB_TEST_SEED`` tells one again.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from hub.registry import Hub
from tests.story.city_world import SYNCS, World

SCHEDULES = int(os.environ.get("HUB_TEST_SCHEDULES", "0"))
KNOWN = (3, 19, 106, 1057)
"""Lives that once went wrong; told when no number of new ones is asked for."""
STEPS = 40
SEED = os.environ.get("HUB_TEST_SEED")
SEEDS = (
    st.just(int(SEED)) if SEED else st.integers(0, 2**20) if SCHEDULES else st.sampled_from(KNOWN)
)

told = settings(
    max_examples=SCHEDULES or len(KNOWN),
    derandomize=not SCHEDULES,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # a smaller seed is no simpler life
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
"""Each life has the whole database to itself: a world empties it first."""


@told
@given(seed=SEEDS)
def test_everybody_agrees_in_the_end(open_with: Callable[..., Hub], seed: int) -> None:
    world = live(open_with, seed)
    assert world == [], f"HUB_TEST_SEED={seed}"


def live(open_with: Callable[..., Hub], seed: int) -> list[str]:
    """What is wrong after one life."""
    note(f"HUB_TEST_SEED={seed}")
    world = World(open_with, seed=seed, syncs=SYNCS)
    with world.open():
        for _ in range(STEPS):
            world.step()
        world.alive(world.calm)
        world.settle()
        world.reconcile()
        note(", ".join(world.log))
        return world.faults()


@pytest.mark.parametrize("place", ["before a commit", "after a commit", "before a call"])
def test_a_kill_while_copies_are_made_makes_none_twice(
    open_with: Callable[..., Hub], place: str
) -> None:
    """The same life, ended at ever later boundaries."""
    for left in range(0, 60, 20):
        world = World(open_with, seed=11, syncs=SYNCS)
        with world.open():
            for _ in range(6):
                world.life.somebody_new()
            world.process.kind, world.process.left = place, left
            world.alive(world.settle)
            world.process.kind = ""
            world.settle()
            world.reconcile()
            assert world.faults() == [], f"killed {place}, the {left}th"
