"""Real systems for the tests: started and seeded once per session, with fresh data.

The installed programs are kept below ``.demo`` (or ``HUB_SYSTEMS_ROOT``) and used again, and so is
Tryton's freshly created database, of which every session gets a copy. Only the systems that the
selected tests ask for are started, all at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest

from demo import people
from demo.people import People
from demo.systems import ALL, Mailbox, Matrix, Roundup, System, Tryton, together

REPOSITORY = Path(__file__).parents[2]
ROOT = Path(os.environ.get("HUB_SYSTEMS_ROOT", REPOSITORY / ".demo"))


@pytest.fixture(scope="session")
def known() -> People:
    """The people whom the systems know."""
    return people.load()


@pytest.fixture(scope="session")
def systems(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, known: People
) -> Iterator[Mapping[str, System]]:
    """Every system that a selected test asks for, running and seeded."""
    asked = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    state = tmp_path_factory.mktemp("systems")
    made = {name: ALL[name](ROOT, 0, print, state=state) for name in asked & set(ALL)}

    def bring_up(system: System) -> None:
        system.install()
        system.start()
        system.seed(known)

    try:
        together(made.values(), bring_up)
        yield made
    finally:
        together(made.values(), lambda system: system.stop())


@pytest.fixture(scope="session")
def tryton(systems: Mapping[str, System]) -> Tryton:
    """The running ERP."""
    return cast("Tryton", systems["tryton"])


@pytest.fixture(scope="session")
def roundup(systems: Mapping[str, System]) -> Roundup:
    """The running service desk."""
    return cast("Roundup", systems["roundup"])


@pytest.fixture(scope="session")
def mailbox(systems: Mapping[str, System]) -> Mailbox:
    """The running mailbox."""
    return cast("Mailbox", systems["mailbox"])


@pytest.fixture(scope="session")
def matrix(systems: Mapping[str, System]) -> Matrix:
    """The running chat."""
    return cast("Matrix", systems["matrix"])
