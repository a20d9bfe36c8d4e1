"""Starts the peers, each in the Python it needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import rig
from bench.figures import OUT, say

DLT = "dlt[postgres]==1.31.0"
SCRIPT, PEER = "script", "dlt"


def python_of(name: str, beside: Path = OUT) -> Path | None:
    """The Python the peer runs in, made when it is first asked for; None where it cannot be had.

    dlt is no dependency of ours: it lives in an environment of its own beside the results.
    """
    if name == SCRIPT:
        return Path(sys.executable)
    return _environment(beside / f"dlt-{DLT.partition('==')[2]}", [DLT])


def matching_python(beside: Path = OUT) -> Path | None:
    """The Python in which the group bench-peers is installed; None where it cannot be had."""
    project = tomllib.loads((rig.ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return _environment(beside / "matching", project["optional-dependencies"]["bench-peers"])


def _environment(folder: Path, wanted: list[str]) -> Path | None:
    ready = folder / "ready"
    if not ready.exists():
        say(f"installing {' '.join(wanted)} into {folder}, once")
        try:
            _run([sys.executable, "-m", "venv", folder])
            _run([folder / "bin" / "pip", "install", "--quiet", *wanted])
        except (OSError, subprocess.CalledProcessError) as exc:
            say(f"{' '.join(wanted)} cannot be had here, so nothing is compared with it: {exc}")
            return None
        ready.touch()
    return folder / "bin" / "python"


@contextmanager
def place() -> Iterator[tuple[str, Path]]:
    """An empty database, and a folder for what a peer keeps beside it."""
    with (
        tempfile.TemporaryDirectory(prefix="conduit-bench-") as folder,
        rig.database("postgresql", Path(folder)) as url,
    ):
        yield url, Path(folder)


def load(name: str, python: Path, source: str, database: str, folder: Path) -> dict[str, Any]:
    """Let the peer load everything from the source into the database; what it told."""
    words = [python, "-m", f"bench.peers.by_{name}", source, database]
    if name == PEER:
        words.append(folder / "dlt")
    told: dict[str, Any] = json.loads(_run(words).splitlines()[-1])
    return told


def _run(words: list[Any]) -> str:
    quiet = {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL"}
    done = subprocess.run(
        list(map(str, words)),
        cwd=rig.ROOT,
        env={**os.environ, **quiet},
        capture_output=True,
        check=True,
    )
    return done.stdout.decode()
