"""What a benchmark runs on: a database of its own, an installation on it, and its processes."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from hub.cli.run import _children, end_with_parent
from hub.registry import Hub, open_hub
from hub.settings import Settings
from hub.store.crypto import new_key

POSTGRESQL = os.environ.get("HUB_BENCH_POSTGRESQL", "postgresql://127.0.0.1:5432/postgres")
ROOT = Path(__file__).resolve().parent.parent
FILE = "settings.toml"
START_S, STOP_S = 180.0, 10.0


@dataclass(frozen=True)
class Site:
    """One throw-away installation.

    Attributes:
        folder: its state, its settings.toml and the entry point of the benchmark's adapter.
    """

    folder: Path
    settings: Settings

    @property
    def environment(self) -> dict[str, str]:
        """What its processes are started with."""
        paths = os.pathsep.join([str(self.folder), str(ROOT)])
        return {**os.environ, "HUB_SETTINGS": str(self.folder / FILE), "PYTHONPATH": paths}

    @contextmanager
    def hub(self) -> Iterator[Hub]:
        """The installation, open."""
        hub = open_hub(self.settings)
        try:
            yield hub
        finally:
            hub.close()

    def run(self, *words: object) -> str:
        """What Python, run as a process of the site with these words, printed."""
        command = [sys.executable, *map(str, words)]
        done = subprocess.run(
            command, env=self.environment, cwd=self.folder, stdout=subprocess.PIPE, check=True
        )
        return done.stdout.decode()


def answers() -> bool:
    """Whether PostgreSQL can be used."""
    try:
        psycopg.connect(POSTGRESQL, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def site(kind: str, connections: dict[str, dict[str, Any]], **more: Any) -> Iterator[Site]:
    """A new installation with these connections on a new database, dropped at the end.

    Args:
        more: further settings.
    """
    with tempfile.TemporaryDirectory(prefix="conduit-bench-") as name:
        folder = Path(name)
        _register_adapter(folder)
        with database(kind, folder) as url:
            given = {
                "state_dir": str(folder),
                "database_url": url,
                "secret_keys": [new_key()],
                "log_level": "WARNING",
                "api_requests_per_s": 0,
                "web_port": free_port(),
                "hooks_port": free_port(),
                **more,
            }
            (folder / FILE).write_text(_toml(given, connections))
            new = Site(folder, _settings(folder / FILE))
            new.run("-c", "from hub.cli import main; main()", "apply")
            yield new


def _register_adapter(folder: Path) -> None:
    """What pip writes for a package with an adapter in it; it takes effect for our processes."""
    place = folder / "conduit_bench-1.dist-info"
    place.mkdir()
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: conduit-bench\nVersion: 1\n")
    (place / "entry_points.txt").write_text("[hub.adapters]\nbench_crm = bench.adapter\n")


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """The address of a new database, dropped at the end."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/hub.db"
        return
    name = f"hub_bench_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(POSTGRESQL, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}")
    try:
        yield POSTGRESQL.rpartition("/")[0] + f"/{name}"
    finally:
        with psycopg.connect(POSTGRESQL, autocommit=True) as conn:
            conn.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _toml(given: dict[str, Any], connections: dict[str, dict[str, Any]]) -> str:
    tables = {"": given} | {f"[connections.{name}]": c for name, c in connections.items()}
    lines = [
        [title, *(f"{key} = {json.dumps(value)}" for key, value in table.items()), ""]
        for title, table in tables.items()
    ]
    return "\n".join(line for table in lines for line in table)


def _settings(path: Path) -> Settings:
    """What the file says, and nobody's real one."""
    had = os.environ.get("HUB_SETTINGS")
    os.environ["HUB_SETTINGS"] = str(path)
    try:
        return Settings()
    finally:
        del os.environ["HUB_SETTINGS"]
        if had is not None:
            os.environ["HUB_SETTINGS"] = had


@contextmanager
def child(
    command: Sequence[str], environment: dict[str, str], cwd: Path, *, quiet: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """A process while the block runs, and all it starts; ``quiet`` throws away what it says."""
    with subprocess.Popen(
        command,
        env=environment,
        cwd=cwd,
        stdout=subprocess.DEVNULL if quiet else subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=end_with_parent,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
            with suppress(ProcessLookupError):  # nobody is left
                os.killpg(process.pid, signal.SIGKILL)


@dataclass(frozen=True)
class Served:
    """A server that answers."""

    port: int
    pid: int


@contextmanager
def server(site: Site, name: str, target: str = "", *, workers: int = 1) -> Iterator[Served]:
    """A server started as ``hub up`` starts its child ``name``.

    Args:
        target: another application to serve in its place.
        workers: so many processes, as the Procfile lets one say.
    """
    command = started_as(site, name)
    port = site.settings.hooks_port if name == "hooks" else site.settings.web_port
    command[command.index("--workers") + 1] = str(workers)
    if target:
        command[-1] = target
    with child(command, site.environment, site.folder) as process:
        wait_for(process, port)
        yield Served(port, process.pid)


def started_as(site: Site, name: str) -> list[str]:
    """How ``hub up`` starts its child ``name``."""
    return next(list(c.command) for c in _children(site.settings) if c.name == name)


def procfile(**values: str) -> dict[str, list[str]]:
    """The commands of the Procfile, ``${NAME:-default}`` filled in."""

    def fill(match: re.Match[str]) -> str:
        return values.get(match.group(1), match.group(2))

    lines = (ROOT / "Procfile").read_text("utf-8").splitlines()
    named = (line.partition(": ") for line in lines)
    pattern = re.compile(r"\$\{(\w+):-([^}]*)\}")
    return {name: shlex.split(pattern.sub(fill, command)) for name, _, command in named}


@contextmanager
def source(rows: int) -> Iterator[int]:
    """The port of a CRM with that many contacts."""
    command = [sys.executable, "-m", "bench.source", str(rows)]
    with child(command, dict(os.environ), ROOT) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        yield int(process.stdout.readline())


def free_port() -> int:
    """One nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(process: subprocess.Popen[str], port: int, patience_s: float = START_S) -> None:
    """Return when a process answers on its port."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"nothing answers on port {port}; see what the process wrote above")
