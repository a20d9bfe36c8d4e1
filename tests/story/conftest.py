"""Stories that start processes are told one at a time: each wants the machine for itself."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


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
