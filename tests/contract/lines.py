"""What a listening adapter is handed in a test: an inbox in memory that can be told to fail."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hub.sdk import Adapter, Item

PATIENCE_S = 60.0


class EndedError(Exception):
    """Time to end."""


class Inbox:
    """Keeps what is emitted, as the hub would; ``refuse`` makes the next commits fail."""

    def __init__(self, cursor: str | None = None) -> None:
        self.cursor = cursor
        self.items: dict[str, Item] = {}
        self.repeated: list[str] = []
        self.rests: list[float] = []
        self.refuse = 0
        self.refuse_when: Callable[[], bool] = lambda: False
        self.ending = False
        self._news: queue.Queue[str] = queue.Queue()

    def __call__(self, *items: Item, cursor: str | None = None) -> None:
        self.rest(0)
        if items and (self.refuse or self.refuse_when()):
            self.refuse = max(0, self.refuse - 1)
            raise EndedError("the commit failed")
        for item in items:
            name = item.event_id or repr(item.body)
            if name in self.items:
                self.repeated.append(name)
            self.items[name] = item
        self.cursor = self.cursor if cursor is None else cursor
        for item in items:
            self._news.put(item.event_id or repr(item.body))
        if not items:
            self._news.put("")

    def rest(self, seconds: float) -> None:
        if self.ending:
            raise EndedError
        if seconds:
            self.rests.append(seconds)

    def until_stands(self) -> None:
        """Return when the adapter says that its line stands."""
        while self._news.get(timeout=PATIENCE_S):
            pass

    def until_more(self, known: set[str]) -> None:
        """Return when there is one beside those."""
        while self.items.keys() <= known:
            self._news.get(timeout=PATIENCE_S)

    def until(self, *names: str) -> None:
        """Return when these came."""
        waiting = set(names) - self.items.keys()
        while waiting:
            waiting.discard(self._news.get(timeout=PATIENCE_S))


@contextmanager
def listening(adapter: Adapter[Any], inbox: Inbox) -> Iterator[Callable[[], Exception | None]]:
    """The adapter listens in a thread during the block; called, it waits for what ends that."""
    ended: queue.Queue[Exception | None] = queue.Queue()

    def run() -> None:
        try:
            adapter.listen(inbox)
        except Exception as exc:  # noqa: BLE001 - it is what the test looks at
            ended.put(exc)
        else:
            ended.put(None)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield lambda: ended.get(timeout=PATIENCE_S)
    finally:
        inbox.ending = True
        adapter.close()
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), "close does not end the line"
