"""Descriptions of APIs (OpenAPI) that vendors publish: where they stand, and getting them.

Each ``<vendor>.toml`` here names the files of one description at one commit. They are not copied
into this repository: ``make apis`` gets them into ``out``, and ``test_apis.py`` then holds the
requests of the vendor's fixtures against them.

Keys of such a file::

    source      address before the names of the files, with the commit or version in it
    licence     the licence of the description, read at licence_at on checked_on
    server      what the addresses in our fixtures begin with, before the paths described
    [files]     name of each file = its SHA-256
    [elsewhere] beginning of addresses that another part of the vendor answers = what that is
    [differs]   a fault that is found = why we do it so all the same
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

HERE = Path(__file__).parent
OUT = HERE / "out"
TIMEOUT_S = 60


@dataclass(frozen=True)
class Published:
    """One vendor's description, as its file here tells."""

    name: str
    source: str
    licence: str
    server: str
    files: dict[str, str]
    elsewhere: dict[str, str]
    differs: dict[str, str]

    def present(self, out: Path = OUT) -> bool:
        """Whether every file of it was got, and is what it should be."""
        return all(_is(out / self.name / file, digest) for file, digest in self.files.items())

    def get(self, source: str = "", out: Path = OUT) -> Iterator[tuple[str, str]]:
        """Get what is missing, from where it is published or from a folder or address instead.

        Returns:
            What could not be got, each file with the reason.
        """
        for file, digest in self.files.items():
            path = out / self.name / file
            if _is(path, digest):
                continue
            try:
                content = _read(f"{source or self.source}/{file}")
            except (OSError, requests.RequestException) as exc:
                yield file, str(exc)
                continue
            if hashlib.sha256(content).hexdigest() != digest:
                yield file, "is another than was checked (SHA-256)"
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def published(folder: Path = HERE) -> dict[str, Published]:
    """Every description by its vendor."""
    found = {}
    for path in sorted(folder.glob("*.toml")):
        told = tomllib.loads(path.read_text("utf-8"))
        found[path.stem] = Published(
            name=path.stem,
            source=told["source"],
            licence=told["licence"],
            server=told["server"],
            files=told["files"],
            elsewhere=told.get("elsewhere", {}),
            differs=told.get("differs", {}),
        )
    return found


def _is(path: Path, digest: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def _read(place: str) -> bytes:
    if not place.startswith(("http://", "https://")):
        return Path(place).read_bytes()
    answer = requests.get(place, timeout=TIMEOUT_S)
    answer.raise_for_status()
    return answer.content
