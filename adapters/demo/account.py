"""What stands for the vendor's server: named accounts in memory, or in a file processes share.

An account is an append-only log of effects; its rows are what the log leads to. With a file behind
it, every process that opens the same file sees the same account.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from hub.sdk import Change, ConflictError, Raw, RejectedError


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that happened; ``values`` None means deleted, a ``key`` means the hub did it."""

    seq: int
    stream: str
    id: str
    values: Raw | None
    key: str = ""


class Account:
    """One account. Safe for threads, and for processes when it has a file."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._offset = 0
        self._lock = threading.RLock()
        self._log: list[Effect] = []
        self._rows: dict[str, dict[str, Raw]] = defaultdict(dict)
        self._gone: dict[str, dict[str, str]] = defaultdict(dict)
        self._ids_by_key: dict[str, str] = {}
        self._planned: dict[str, deque[tuple[bool, Exception]]] = defaultdict(deque)

    def put(self, stream: str, row: Mapping[str, Any]) -> Raw:
        """Somebody creates or changes a row at the vendor; without an id it gets a new one."""
        values = {k: v for k, v in row.items() if k not in ("id", "version")}
        with self._open() as file:
            id_ = str(row.get("id") or self._new_id(stream))
            self._append(file, Effect(self._next(), stream, id_, values))
            return self._rows[stream][id_]

    def fill(self, rows: Iterable[tuple[str, Raw]]) -> None:
        """Put (stream, row) pairs, each with its id, unless something ever happened here."""
        with self._open() as file:
            if not self._log:
                effects = [Effect(n, s, row["id"], row) for n, (s, row) in enumerate(rows, start=1)]
                self._append(file, *effects)

    def remove(self, stream: str, id_: str) -> None:
        """Somebody deletes a row at the vendor."""
        with self._open() as file:
            self._append(file, Effect(self._next(), stream, id_, None))

    def write(self, stream: str, change: Change) -> Raw:
        """What the hub asks for, done once per key; the row as it is now.

        Raises:
            RejectedError: there is no such row.
            ConflictError: it is newer than the change thinks.
        """
        with self._open() as file:
            if change.key not in self._ids_by_key:
                id_ = self._writable_id(stream, change)
                marker = {"marker": change.marker} if change.marker else {}
                values = {**change.values, **marker}
                self._append(file, Effect(self._next(), stream, id_, values, change.key))
            id_ = self._ids_by_key[change.key]
            return self._rows[stream].get(id_) or {"id": id_}

    def _writable_id(self, stream: str, change: Change) -> str:
        if change.id is None:
            return self._new_id(stream)
        row = self._rows[stream].get(change.id)
        if row is None:
            raise RejectedError(f"there is no {stream} {change.id}")
        if change.version and row["version"] > change.version:
            raise ConflictError(f"{stream} {change.id} was changed meanwhile")
        return change.id

    def row(self, stream: str, id_: str) -> Raw | None:
        """One row, or None."""
        with self._open():
            return self._rows[stream].get(id_)

    def changes(self, stream: str) -> list[tuple[str, str, Raw | None]]:
        """(version, id, row or None when deleted) of every row, oldest change first."""
        with self._open():
            kept = [(row["version"], id_, row) for id_, row in self._rows[stream].items()]
            gone = [(version, id_, None) for id_, version in self._gone[stream].items()]
            return sorted([*kept, *gone], key=lambda entry: entry[:2])

    def effects(self) -> list[Effect]:
        """Every write the hub made, in order: what tests count."""
        with self._open():
            return [effect for effect in self._log if effect.key]

    def plan(self, verb: str, error: Exception, *, after: bool = False) -> None:
        """Let the next call of ``verb`` fail; ``after`` = the write happens, its answer is lost."""
        self._planned[verb].append((after, error))

    def forgive(self, verb: str) -> None:
        """Forget what was planned to fail."""
        with self._lock:
            self._planned[verb].clear()

    @contextmanager
    def failing(self, verb: str) -> Iterator[None]:
        """Raise what was planned for this verb, before or after the body."""
        with self._lock:
            after, error = self._planned[verb].popleft() if self._planned[verb] else (False, None)
        if error and not after:
            raise error
        yield
        if error:
            raise error

    def _next(self) -> int:
        return len(self._log) + 1

    def _new_id(self, stream: str) -> str:
        return f"{stream[0].upper()}{self._next():06d}"

    def _apply(self, effect: Effect) -> None:
        self._log.append(effect)
        if effect.key:
            self._ids_by_key[effect.key] = effect.id
        version = f"{effect.seq:012d}"
        if effect.values is None:
            self._rows[effect.stream].pop(effect.id, None)
            self._gone[effect.stream][effect.id] = version
            return
        self._gone[effect.stream].pop(effect.id, None)
        before = self._rows[effect.stream].get(effect.id, {})
        after = {**before, **effect.values, "id": effect.id, "version": version}
        self._rows[effect.stream][effect.id] = after

    def _append(self, file: BinaryIO | None, *effects: Effect) -> None:
        if file:
            file.writelines(json.dumps(asdict(e)).encode() + b"\n" for e in effects)
            file.flush()
            os.fsync(file.fileno())
            self._offset = file.tell()
        for effect in effects:
            self._apply(effect)

    @contextmanager
    def _open(self) -> Iterator[BinaryIO | None]:
        """The account up to date and ours alone; the file stands where the next effect goes."""
        with self._lock:
            if self._path is None:
                yield None
                return
            self._path.touch()
            with self._path.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                self._catch_up(file)
                yield file

    def _catch_up(self, file: BinaryIO) -> None:
        file.seek(self._offset)
        for line in file:
            if line.endswith(b"\n"):  # a process killed while writing leaves half a line: cut off
                self._apply(Effect(**json.loads(line)))
                self._offset += len(line)
        file.seek(self._offset)
        file.truncate()


_accounts: dict[tuple[str, Path | None], Account] = {}
_accounts_lock = threading.Lock()


def account(name: str, path: Path | None = None) -> Account:
    """The account of that name, made on first use; with a path, the one in that file."""
    with _accounts_lock:
        return _accounts.setdefault((name, path), Account(path))


def forget(name: str) -> None:
    """Empty the account of that name; its file stays."""
    with _accounts_lock:
        for key in [key for key in _accounts if key[0] == name]:
            del _accounts[key]
