"""Where files lie: what a place can do, and folders of this machine."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from hub.sdk import ConfigError, RetryableError

UNFINISHED = (".part", ".tmp", ".temp", ".filepart", ".crdownload", ".partial", ".lock")
"""Ends of names under which programs put what they have not written to its end."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file as it is now.

    Attributes:
        name: with its folders, from the place's beginning.
        version: another one when its content is.
        changed_at: Unix time.
        settled: it cannot be half written, however young.
    """

    name: str
    size_bytes: int
    version: str
    changed_at: float
    settled: bool = False

    @property
    def mark(self) -> str:
        """The same for the same file in the same version, and short."""
        return blake2b(f"{self.name}\n{self.version}".encode(), digest_size=8).hexdigest()


class Place(Protocol):
    """A folder, an SFTP server, a bucket."""

    def entries(self, folder: str) -> Sequence[Entry]:
        """The files of one folder."""

    @contextmanager
    def opened(self, entry: Entry) -> Iterator[BinaryIO]:
        """Its bytes; can be wound back."""
        yield  # type: ignore[misc]

    def write(self, name: str, body: bytes) -> None:
        """Put a file there, whole or not at all."""


def matching(place: Place, pattern: str) -> list[Entry]:
    """The files of a pattern that are no beginnings of others, the oldest first."""
    folder = str(PurePosixPath(pattern).parent)
    name = PurePosixPath(pattern).name
    found = [
        entry
        for entry in place.entries("" if folder == "." else folder)
        if fnmatchcase(last := PurePosixPath(entry.name).name, name)
        and not last.startswith((".", "~$"))
        and not last.lower().endswith(UNFINISHED)
    ]
    return sorted(found, key=lambda entry: (entry.changed_at, entry.name))


class Folder:
    """A folder of this machine; what links lead out of it is not there."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def entries(self, folder: str) -> Sequence[Entry]:
        here = self.root / folder
        try:
            files = sorted(path for path in here.iterdir() if path.is_file())
        except FileNotFoundError:
            raise ConfigError(
                f"there is no folder {here}", hint="Make it, or correct it."
            ) from None
        except OSError as exc:
            raise ConfigError(f"{here} cannot be read", hint=str(exc.strerror)) from None
        root = self.root.resolve()
        inside = [path for path in files if path.resolve().is_relative_to(root)]
        found = []
        for path in inside:
            with suppress(FileNotFoundError):  # taken away just now
                found.append(self._entry(path))
        return found

    def _entry(self, path: Path) -> Entry:
        told = path.stat()
        name = path.relative_to(self.root).as_posix()
        return Entry(name, told.st_size, f"{told.st_size}:{told.st_mtime_ns}", told.st_mtime)

    @contextmanager
    def opened(self, entry: Entry) -> Iterator[BinaryIO]:
        with self._there(), (self.root / entry.name).open("rb") as file:
            yield file

    @contextmanager
    def _there(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise RetryableError(
                "a file cannot be read or written", hint=str(exc.strerror)
            ) from None

    def write(self, name: str, body: bytes) -> None:
        path = self.root / name
        part = path.with_name(f".{path.name}.part")
        with self._there():
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            here = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(here)
            finally:
                os.close(here)

    def alone(self, name: str, work: Callable[[], None]) -> None:
        """Do this while nobody else does anything alone with the file."""
        path = self.root / name
        with self._there():
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = path.with_name(f".{path.parent.name}.lock").open("w")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            work()
