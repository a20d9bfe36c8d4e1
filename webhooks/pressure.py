"""When the receiver must not take more: decisions only, without a clock or a disk of their own."""

from __future__ import annotations

import math
from dataclasses import dataclass

SLOTS = 16
"""Requests that wait for the disk at once; the server's other threads are left to refuse."""

SLOT_S = 1.0
"""How long one may wait for a slot; and when all are taken, how long the first may be at it."""

OLDEST_S = 2.0
"""How long the first may be at it in any case: some senders give up after three seconds."""

SLOW_RETRY_S, FULL_RETRY_S = 5, 60
LEAST_SHARE = 0.05
"""The reserve is never more than this of a disk: on a small one that would be most of it."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Why nothing is taken, and in how many seconds it is worth another try."""

    reason: str
    retry_after_s: int


def busy(waiting: int, oldest_s: float) -> Busy | None:
    """Whether more would only wait in vain behind what waits for the database already."""
    if oldest_s > (SLOT_S if waiting >= SLOTS else OLDEST_S):
        return Busy("the database is slow", SLOW_RETRY_S)
    return None


def is_short(free_bytes: int, total_bytes: int, reserve_bytes: int) -> bool:
    """Whether a disk is so full that what is there must be left to the work on what was taken."""
    return free_bytes < min(reserve_bytes, total_bytes * LEAST_SHARE)


class Bucket:
    """So many a second, and a second's worth at once."""

    def __init__(self, per_s: float, now: float) -> None:
        self.per_s = per_s
        self._most = max(1.0, per_s)
        self._left, self._at = self._most, now

    def take(self, now: float) -> int:
        """0 when there was one left, else in how many seconds there will be."""
        self._left = min(self._most, self._left + (now - self._at) * self.per_s)
        self._at = now
        if self._left >= 1:
            self._left -= 1
            return 0
        return math.ceil((1 - self._left) / self.per_s)
