"""How often somebody may guess a password, and a program may ask.

Counted in the memory of each process: with N processes a guesser gets N times as many tries, which
Argon2id still makes useless, and no stranger can make us write to the database.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

WINDOW_S = 15 * 60
PER_NAME_AND_ADDRESS, PER_ADDRESS, PER_NAME = 5, 50, 100
MAX_KEYS = 20_000  # the oldest are forgotten, so that memory ends before attackers do
BURST_S = 10

Key = tuple[str, str]


class GuessLimit:
    """Counts wrong guesses per name, per address and per both."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._guesses: OrderedDict[Key, list[float]] = OrderedDict()
        self._lock = threading.Lock()

    def claim(self, name: str, address: str) -> int:
        """Take one guess; 0, or after how many seconds to ask again."""
        now = self._clock()
        with self._lock:
            waits = [self._wait(key, most, now) for key, most in _keys(name, address)]
            if wait := max(waits):
                return int(wait) + 1
            for key, _ in _keys(name, address):
                self._guesses.setdefault(key, []).append(now)
                self._guesses.move_to_end(key)
            while len(self._guesses) > MAX_KEYS:
                self._guesses.popitem(last=False)
        return 0

    def forgive(self, name: str, address: str) -> None:
        """The guess was right: it and those before it from there do not count."""
        with self._lock:
            (both, _), *others = _keys(name, address)
            self._guesses.pop(both, None)
            for key, _ in others:
                if guesses := self._guesses.get(key):
                    guesses.pop()

    def _wait(self, key: Key, most: int, now: float) -> float:
        recent = [at for at in self._guesses.get(key, ()) if at > now - WINDOW_S]
        if recent:
            self._guesses[key] = recent
        else:
            self._guesses.pop(key, None)
        return recent[-most] + WINDOW_S - now if len(recent) >= most else 0.0


class RateLimit:
    """So many requests a second for each name, and ``BURST_S`` seconds' worth of them at once.

    Kept is one instant per name: when all it asked would have been due, had it asked steadily.
    """

    def __init__(self, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._clock = clock
        self._due: dict[str, float] = {}
        self._lock = threading.Lock()

    def claim(self, name: str) -> int:
        """Take one request; 0, or after how many seconds to ask again."""
        if not self._per_s:
            return 0
        with self._lock:
            now = self._clock()
            due = max(now, self._due.get(name, now)) + 1 / self._per_s
            if due - now > BURST_S:
                return max(1, math.ceil(due - now - BURST_S))
            self._due[name] = due
        return 0


def _keys(name: str, address: str) -> list[tuple[Key, int]]:
    name, network = name.strip().lower()[:100], _network(address)
    return [
        ((name, network), PER_NAME_AND_ADDRESS),
        (("", network), PER_ADDRESS),
        ((name, ""), PER_NAME),
    ]


def _network(address: str) -> str:
    """An IPv6 caller owns a whole /64; counting single addresses would count nothing."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return parsed.exploded[:19]
    return address
