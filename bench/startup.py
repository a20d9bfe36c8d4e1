"""What adapters cost at start: all of them beside one, each in a new process.

A process reads every manifest and opens the installation on a migrated database; adapters' code is
loaded when a connection uses it, so their number should hardly be felt. The hub's own modules,
the same for both, are loaded before the clock starts.
"""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from bench import figures
from bench.measuring import Measured
from hub.registry import ROOT, open_hub
from hub.settings import Settings
from hub.store.db import Database
from hub.store.migrate import migrate

LIMIT_MS = 50.0
"""How much later a hub may be ready because of all adapters it never uses."""
ONE, TRIES = "demo", 3


def run(rounds: int) -> list[dict[str, Any]]:
    """The fastest start of both: what disturbs a short measurement only makes it longer."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "adapters" / ONE).mkdir(parents=True)
        manifest = Path("adapters") / ONE / "manifest.toml"
        shutil.copy(ROOT / manifest, folder / manifest)
        database = Database(f"sqlite:///{folder}/hub.db")
        migrate(database)
        database.close()
        tries = [(_started(folder, folder), _started(ROOT, folder)) for _ in range(TRIES * rounds)]
    one, every = (min(column, key=itemgetter("ready_ms")) for column in zip(*tries, strict=True))
    more_ms = every["ready_ms"] - one["ready_ms"]
    compared = [(one, 0.0), (every, more_ms)]
    return [{**row, "more_ms": more, "of_limit": more / LIMIT_MS} for row, more in compared]


def show(rows: Sequence[figures.Row]) -> None:
    """A table of both."""
    notes = [f"of limit: {LIMIT_MS:.0f} ms more than with one adapter"]
    figures.show("Start of a process, by the adapters present", rows, notes)


def _started(root: Path, state: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.startup", str(root), str(state)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _ready(root: Path, state: Path) -> dict[str, Any]:
    """What it took this process, whose adapters are those below ``root``."""
    found = importlib.import_module("hub.registry.manifests")
    found.ROOT = root
    settings = Settings(state_dir=state, database_url=f"sqlite:///{state}/hub.db", connections={})
    with Measured() as reading:
        adapters = found.manifests()
    with Measured() as opening:
        hub = open_hub(settings)
        hub.registry.all()
    hub.close()
    return {
        "adapters": len(adapters),
        "manifests_ms": 1000 * reading.took_s,
        "ready_ms": 1000 * (reading.took_s + opening.took_s),
    }


if __name__ == "__main__":
    print(json.dumps(_ready(*map(Path, sys.argv[1:]))))
