"""Whether the receiver would take a webhook now, for load balancers."""

from __future__ import annotations

import threading
import time

from hub.errors import StoreError
from hub.registry import Registry
from webhooks import pressure
from webhooks.pressure import Busy
from webhooks.writer import Writer

LOOK_S = 1.0
"""How long an answer is believed: whoever may ask must not keep the database busy."""


class Ready:
    """The answer of one process; one caller looks, the others get what was seen last."""

    def __init__(self, registry: Registry, writer: Writer) -> None:
        self._registry, self._writer = registry, writer
        self._looking = threading.Lock()
        self._looked_at = float("-inf")
        self._seen: Busy | None = Busy("it is not known yet", 1)

    def why_not(self) -> Busy | None:
        """Why nothing would be taken; None when it would."""
        if (busy := self._writer.busy()) is not None:
            return busy
        if self._looking.acquire(blocking=False):
            try:
                if time.monotonic() - self._looked_at > LOOK_S:
                    self._seen = self._look()
                    self._looked_at = time.monotonic()
            finally:
                self._looking.release()
        return self._seen

    def _look(self) -> Busy | None:
        try:
            self._registry.all()
            self._writer.knock()
        except StoreError:
            return Busy("the database takes nothing", pressure.SLOW_RETRY_S)
        return None
