"""One read of one stream: a tap's messages as pages, which may be taken up again.

A page ends at a STATE, or when it is full; its cursor is the last STATE, and how many rows came
since. Who goes on from a cursor elsewhere gets the rows since that STATE once more. Who goes on
here, as the hub does from slice to slice, finds the tap where it stood: else a tap that tells its
STATE only at the end would never reach it.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from adapters.singer.tap import Tap
from hub.sdk import ConfigError, Page, Raw, id_of, plain

KEPT = 8
"""Pages kept for whoever goes on: the hub reads a few ahead of what it stores."""

FEW = 50
"""Fewer rows wait for a later STATE: a tap with one behind each row makes no page of each."""

PARKED_S = 120.0
"""How long a tap waits for somebody to go on."""

TARGETS = "_sdc_"
"""How what is said for the target begins, such as when a row was read: no news in itself."""

BATCHES = "This tap writes batches of files: turn that off in its config."


class Run:
    """One run of a tap for one stream.

    Attributes:
        is_busy: somebody reads its pages.

    Args:
        streams: names under which the stream's rows may come.
        keys: properties that name a row; empty = what the tap's SCHEMA says.
        state: the STATE it begins with.
    """

    def __init__(
        self, tap: Tap, streams: Sequence[str], keys: Sequence[str], state: Any, size: int
    ) -> None:
        self._tap, self._streams, self._keys, self._size = tap, streams, tuple(keys), size
        self._id, self._state, self._since = uuid.uuid4().hex[:8], state, 0
        self._turn = self._count = 0
        self._is_over = self.is_busy = False
        self._began_with = state
        self._recent: deque[Page] = deque(maxlen=KEPT)
        self._pages = self._made()
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()

    def after(self, cursor: str | None) -> Iterator[Page] | None:
        """The pages behind a cursor; None when this run cannot give them."""
        with self._lock:
            cursors = [page.cursor for page in self._recent]
            if self.is_busy or cursor not in cursors:
                return None
            if self._is_over and cursor == cursors[-1]:
                return None  # that was all: whoever asks now wants the tap run again
            again = list(self._recent)[cursors.index(str(cursor)) + 1 :]
            return self._going_on(self._next_turn(), again)

    def pages(self) -> Iterator[Page]:
        """All of them; the tap is ended behind the last one, and waits where nobody goes on."""
        return self._going_on(self._next_turn(), [])

    def _next_turn(self) -> int:
        if self._timer is not None:
            self._timer.cancel()
        self._turn, self.is_busy = self._turn + 1, True
        return self._turn

    def _going_on(self, turn: int, again: Sequence[Page]) -> Iterator[Page]:
        try:
            yield from again
            for page in self._pages:
                self._recent.append(page)
                yield page
        except GeneratorExit:
            self._wait(turn)
            raise
        except BaseException:
            self.close()
            raise
        self._is_over, self.is_busy = True, False  # its last pages may be asked for again
        self._tap.close()

    def _wait(self, turn: int) -> None:
        with self._lock:
            if turn == self._turn:  # nobody else goes on already
                self.is_busy = False
                self._timer = threading.Timer(PARKED_S, self._expire, (turn,))
                self._timer.daemon = True
                self._timer.start()

    def _expire(self, turn: int) -> None:
        with self._lock:
            if turn != self._turn:
                return
            self._recent.clear()
        self.close()

    def close(self) -> None:
        """End the tap."""
        if self._timer is not None:
            self._timer.cancel()
        self.is_busy = False
        self._recent.clear()
        self._tap.close()

    def _made(self) -> Iterator[Page]:
        rows: list[Raw] = []
        gone: list[str] = []
        came = False
        for message in self._tap.messages():
            kind = message.get("type")
            if kind == "STATE":
                self._state, self._since = message.get("value"), 0
                if len(rows) + len(gone) < FEW:
                    continue
            elif kind == "SCHEMA" and message.get("stream") in self._streams:
                self._keys = self._keys or tuple(message.get("key_properties") or ())
                continue
            elif kind == "RECORD" and message.get("stream") in self._streams:
                self._add(message["record"], rows, gone)
                if len(rows) + len(gone) < self._size:
                    continue
            elif kind == "BATCH":
                raise ConfigError(
                    "the tap writes batches, which the hub does not read", hint=BATCHES
                )
            else:  # ACTIVATE_VERSION: a whole read ended; what it lacked is found by reconciliation
                continue
            came = True
            yield Page(rows, self._cursor(), gone)
            rows, gone = [], []
        if rows or gone or came or self._state != self._began_with:
            yield Page(rows, json.dumps({"state": self._state}), gone)

    def _cursor(self) -> str:
        self._count += 1
        place = {"run": self._id, "page": self._count, "since": self._since}
        return json.dumps({"state": self._state, **place})

    def _add(self, record: Raw, rows: list[Raw], gone: list[str]) -> None:
        if not self._keys:
            raise ConfigError(
                "the tap does not say what names a row", hint="Name it: key, at the stream."
            )
        self._since += 1
        row: Raw = plain(record)
        id_ = id_of([row.get(name) for name in self._keys])
        if id_ and row.get("_sdc_deleted_at"):
            gone.append(id_)
        else:
            ours = {name: value for name, value in row.items() if not name.startswith(TARGETS)}
            rows.append({**ours, "_id": id_})
