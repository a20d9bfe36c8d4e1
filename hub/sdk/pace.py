"""How fast a vendor may be asked, seen from the client: leave before each request, word after it.

The hub keeps the budgets of all its processes in its database and hands every adapter a pace; the
SDK knows only what to ask of it. What somebody waits for is done inside ``urgent()``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

_urgent: ContextVar[bool] = ContextVar("urgent", default=False)


class Pace(Protocol):
    """The budget of one connection."""

    def before(self) -> None:
        """Return when a request may be sent; waits a few seconds at most.

        Raises:
            RetryableError: it may not be sent for longer than that; says for how long.
        """

    def after(self, status: int, retry_after_s: float | None) -> None:
        """Take note of an answer and of how long the vendor asks us to rest."""


@contextmanager
def urgent() -> Iterator[None]:
    """Requests made in this block may spend what is kept of a day's budget.

    It holds for this thread, not for those it starts.
    """
    token = _urgent.set(True)
    try:
        yield
    finally:
        _urgent.reset(token)


def is_urgent() -> bool:
    """Whether somebody waits for what is being done."""
    return _urgent.get()
