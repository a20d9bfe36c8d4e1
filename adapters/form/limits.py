"""How often one address may send: kept in memory, per process of the receiver."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta

HOUR = timedelta(hours=1)
ADDRESSES_MAX = 10_000
"""The longest silent is forgotten first: strangers must not fill the memory."""


class Limiter:
    """So many an hour from one address."""

    def __init__(self, per_hour: int) -> None:
        self._per_hour = per_hour
        self._seen: OrderedDict[str, list[datetime]] = OrderedDict()

    def wait_s(self, address: str, now: datetime) -> int:
        """0 when it may send now, which counts; else in how many seconds it may."""
        recent = [at for at in self._seen.get(address, ()) if now - at < HOUR]
        wait_s = 0
        if len(recent) >= self._per_hour:
            wait_s = max(1, int((recent[0] + HOUR - now).total_seconds()) + 1)
        else:
            recent.append(now)
        self._seen[address] = recent
        self._seen.move_to_end(address)
        if len(self._seen) > ADDRESSES_MAX:
            self._seen.popitem(last=False)
        return wait_s
