"""What a benchmark runs on: a database of its own, an installation on it, and its processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from hub.cli.run import _children
from hub.registry import Hub, apply, open_hub
from hub.settings import Settings
from hub.store.crypto import new_key
from hub.store.migrate import migrate

POSTGRESQL = os.environ.get("HUB_BENCH_POSTGRESQL", "postgresql://127.0.0.1:5432/postgres")
ROOT = Path(__file__).resolve().parent.parent
START_S = 30.0


@dataclass(frozen=True)
class Site:
    """One throw-away installation.

    Attributes:
        folder: its state, its settings.toml and the entry point of the benchmark's adapter.
    """

    database: str
    url: str
    folder: Path
    settings: Settings

    @property
    def environment(self) -> dict[str, str]:
        """What its processes are started with."""
        paths = [str(self.folder), str(ROOT)]
        return {**os.environ, **_told(self.settings), "PYTHONPATH": os.pathsep.join(paths)}

    @contextmanager
    def hub(self) -> Iterator[Hub]:
        """The installation, open."""
        hub = open_hub(self.settings)
        try:
            yield hub
        finally:
            hub.close()

    def run(self, module: str, *words: object) -> Any:
        """What a Python module, run as a process of the site, printed as JSON."""
        command = [sys.executable, "-m", module, *map(str, words)]
        done = subprocess.run(
            command, env=self.environment, cwd=self.folder, stdout=subprocess.PIPE, check=True
        )
        return json.loads(done.stdout)


def answers() -> bool:
    """Whether PostgreSQL can be used."""
    try:
        psycopg.connect(POSTGRESQL, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def site(database: str, connections: dict[str, dict[str, Any]]) -> Iterator[Site]:
    """A new installation with these connections on a new database, dropped at the end."""
    with tempfile.TemporaryDirectory(prefix="conduit-bench-") as name:
        folder = Path(name)
        _register_adapter(folder)
        (folder / "settings.toml").touch()
        os.environ["HUB_SETTINGS"] = str(folder / "settings.toml")  # nobody's real one is read
        with _database(database, folder) as url:
            settings = Settings(
                state_dir=folder,
                database_url=url,
                secret_keys=[new_key()],
                connections=connections,
                log_level="WARNING",
                web_port=_free_port(),
                hooks_port=_free_port(),
            )
            new = Site(database, url, folder, settings)
            with new.hub() as hub:
                migrate(hub.database)
                apply(hub.registry, settings)
            yield new


def _register_adapter(folder: Path) -> None:
    """What pip writes for a package with an adapter in it; it takes effect for our processes."""
    place = folder / "conduit_bench-1.dist-info"
    place.mkdir()
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: conduit-bench\nVersion: 1\n")
    (place / "entry_points.txt").write_text("[hub.adapters]\nbench_crm = bench.adapter\n")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


@contextmanager
def _database(kind: str, folder: Path) -> Iterator[str]:
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


def _told(settings: Settings) -> dict[str, str]:
    """The settings as environment variables, connections apart: those are in the database."""
    return {
        "HUB_STATE_DIR": str(settings.state_dir),
        "HUB_DATABASE_URL": settings.database_url,
        "HUB_SECRET_KEYS": json.dumps(settings.secret_keys),
        "HUB_LOG_LEVEL": settings.log_level,
        "HUB_WEB_PORT": str(settings.web_port),
        "HUB_HOOKS_PORT": str(settings.hooks_port),
    }


@contextmanager
def child(site: Site, command: Sequence[str], port: int = 0) -> Iterator[subprocess.Popen[str]]:
    """A process of the site while the block runs, once it answers on its port."""
    process = subprocess.Popen(
        command, env=site.environment, cwd=site.folder, stdout=subprocess.PIPE, text=True
    )
    try:
        if port:
            _wait_for(process, port)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def server(site: Site, name: str, target: str = "", *, factory: bool = True) -> Iterator[int]:
    """The port of a server started as ``hub up`` starts its child ``name``.

    Args:
        target: another application to serve in its place.
    """
    command = next(list(c.command) for c in _children(site.settings) if c.name == name)
    port = site.settings.hooks_port if name == "hooks" else site.settings.web_port
    if target:
        command[-1] = target
    if not factory:
        command.remove("--factory")
    with child(site, command, port):
        yield port


@contextmanager
def source(rows: int) -> Iterator[int]:
    """The port of a CRM with that many contacts."""
    command = [sys.executable, "-m", "bench.source", str(rows)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(process: subprocess.Popen[str], port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"nothing answers on port {port}; see what the process wrote above")
