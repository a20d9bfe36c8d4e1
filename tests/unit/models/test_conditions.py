"""Conditions as data."""

from __future__ import annotations

from typing import Any

import pytest

from hub.models.conditions import Condition

DOCUMENT = {"n": 3, "tags": ["VIP 2"], "name": "VIP 2", "inner": {"n": 0.5}, "none": None}


@pytest.mark.parametrize(
    ("said", "holds"),
    [
        ({"field": "n", "at_least": 3}, True),
        ({"field": "n", "at_least": 3.1}, False),
        ({"field": "inner.n", "at_most": 1}, True),
        ({"field": "n", "at_least": 1, "at_most": 2}, False),
        ({"field": "nowhere", "at_most": 1}, False),
        ({"field": "none", "at_least": 0}, False),
        ({"field": "name", "at_least": 0}, False),
        ({"field": "name", "contains": "VIP"}, True),
        ({"field": "tags", "contains": "VIP"}, False),
        ({"field": "tags", "contains": "VIP 2"}, True),
        ({"field": "nowhere", "contains": "x"}, False),
    ],
)
def test_numbers_are_compared_and_lists_hold_whole_values(
    said: dict[str, Any], *, holds: bool
) -> None:
    assert Condition.model_validate(said).holds(DOCUMENT) is holds
