"""A clock that stories may move."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from hub.store import leases


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Moves the hub's clock on."""
    ahead = timedelta(0)
    real = leases.now

    def move(by: timedelta) -> None:
        nonlocal ahead
        ahead += by

    monkeypatch.setattr(leases, "now", lambda: real() + ahead)
    return move
