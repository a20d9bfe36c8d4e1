"""A clock that stories may move; those that need the whole machine are told one at a time."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from hub.store import leases


@pytest.fixture(autouse=True)
def one_installation_at_a_time(request: pytest.FixtureRequest) -> Iterator[None]:
    """Wait for the others, also those of another run.

    The mark alone does not do it: pytest-xdist 3.8 names groups in a way pytest 9.2 overlooks.
    """
    if request.node.get_closest_marker("xdist_group") is None:
        yield
        return
    lock = Path(tempfile.gettempdir()) / f"hub-test-processes-{os.getuid()}.lock"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


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
