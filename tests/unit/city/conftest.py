"""A city that answers in process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.city import City


@pytest.fixture
def city() -> Iterator[City]:
    made = City(seed=7)
    with made.open():
        yield made
