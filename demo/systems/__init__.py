"""The outside systems of demo and tests: an ERP, a service desk, a mailbox and a chat, all real."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from demo.systems.base import Say, System, SystemFailedError
from demo.systems.mailbox import Mailbox
from demo.systems.matrix import Matrix
from demo.systems.roundup import Roundup
from demo.systems.tryton import Tryton

__all__ = [
    "ALL",
    "Mailbox",
    "Matrix",
    "Roundup",
    "Say",
    "System",
    "SystemFailedError",
    "Tryton",
    "together",
]

T = TypeVar("T")

ALL: dict[str, type[System]] = {one.name: one for one in (Tryton, Roundup, Mailbox, Matrix)}


def together(systems: Iterable[System], step: Callable[[System], T]) -> list[T]:
    """Take one step with all systems at once, each in a thread of its own.

    Raises:
        SystemFailedError: the first failure, after all have ended.
    """
    with ThreadPoolExecutor() as pool:
        return list(pool.map(step, systems))
