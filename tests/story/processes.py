"""An installation of real processes, started by name as ``hub up`` and the Procfile do."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import kombu
import redis

from bench.rig import procfile
from hub.cli.run import end_with_parent
from hub.registry import Hub, open_hub
from hub.settings import Settings
from tests.conftest import KEY

BIN = Path(sys.executable).parent
PRODUCTION = ("hooks", "worker", "beat")
RABBITMQ = "amqp://guest:guest@127.0.0.1:5672//"
REDIS = "redis://127.0.0.1:6379/9"
PATIENCE_S = 180.0
"""Deadlines are for machines that do much else at the same time; nothing waits for them."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(what: str, holds: Callable[[], bool], *, patience_s: float = PATIENCE_S) -> None:
    """Look until it holds."""
    deadline = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {patience_s:.0f} s"
        time.sleep(0.1)


class Installation:
    """A settings.toml and the processes that read it.

    They share one session, so that at the end not even a grandchild is left.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self.hooks_port, self.web_port = free_port(), free_port()
        self.settings = {
            "state_dir": str(folder / "state"),
            "hooks_port": self.hooks_port,
            "web_port": self.web_port,
            **settings,
        }
        self.path = folder / "settings.toml"
        self.path.write_text(_toml(self.settings), "utf-8")
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._env = {k: v for k, v in os.environ.items() if not k.startswith("HUB_")}
        self._env |= {"HUB_SETTINGS": str(self.path), "PATH": f"{BIN}:{os.environ['PATH']}"}

    def run(self, *command: str) -> str:
        """The output of a ``hub`` command that must succeed."""
        done = subprocess.run(
            [BIN / "hub", *command],
            env=self._env,
            cwd=self.folder,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def start(self, name: str, command: list[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command,
                env=self._env,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )

    def start_up(self) -> None:
        """Everything under the embedded supervisor."""
        self.start("up", [str(BIN / "hub"), "up"])

    def start_production(self, name: str) -> None:
        """One line of the Procfile."""
        self.start(name, procfile(PORT=str(self.hooks_port), HOOKS_WORKERS="1")[name])

    def alive(self, name: str) -> bool:
        return self._running[name].poll() is None

    def pid(self, name: str) -> int:
        return self._running[name].pid

    def kill(self, name: str) -> None:
        """``kill -9`` of a process and all it started."""
        process = self._running.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self, name: str) -> None:
        """Ask it to end, as a service manager does."""
        process = self._running[name]
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_S)
        self.kill(name)

    def close(self) -> None:
        for name in list(self._running):
            self.kill(name)

    def is_reachable(self) -> bool:
        return self.answers(self.hooks_port)

    def answers(self, port: int) -> bool:
        """Whether the process that listens there is well."""
        try:
            url = f"http://127.0.0.1:{port}/healthz"
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    @contextmanager
    def hub(self) -> Iterator[Hub]:
        """What these processes work on, opened here."""
        hub = open_hub(Settings(**self.settings))
        try:
            yield hub
        finally:
            hub.close()

    def logs(self) -> str:
        """The end of what each process said."""
        found = sorted(self.folder.glob("*.log"))
        return "\n".join(f"--- {path.name}\n{path.read_text('utf-8')[-6000:]}" for path in found)


@contextmanager
def installed(tmp_path: Path, database_url: str, **settings: Any) -> Iterator[Installation]:
    """An applied installation; whatever it left running is ended, its logs shown on failure."""
    folder = tmp_path / "there"
    folder.mkdir()
    if database_url.startswith(
        "postgresql"
    ):  # its server is not killed: no flush need be waited for
        database_url += "?options=-csynchronous_commit%3Doff"
    given = {
        "database_url": database_url,
        "secret_keys": [KEY],
        **settings,
    }
    there = Installation(folder, given)
    try:
        there.run("apply")
        yield there
    except BaseException:
        print(there.logs())  # noqa: T201
        raise
    finally:
        there.close()


@contextmanager
def own_queue(broker_url: str) -> Iterator[dict[str, Any]]:
    """Settings for this broker, under a queue of our own that is gone afterwards."""
    name = f"hub-test-{uuid.uuid4().hex[:12]}"
    try:
        yield {"broker_url": broker_url, "queue_name": name}
    finally:
        if broker_url.startswith("redis"):
            with redis.Redis.from_url(broker_url) as server:
                server.delete(*server.keys(f"*{name}"), "unacked", "unacked_index")
        else:
            with kombu.Connection(broker_url) as broker:
                broker.default_channel.queue_delete(name)


def children(pid: int) -> list[int]:
    """The processes this one started that still run."""
    with suppress(OSError):
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def command_of(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def _toml(settings: Mapping[str, Any]) -> str:
    """TOML of plain values, tables and lists; JSON's strings, numbers and lists are TOML's too."""
    plain = {k: v for k, v in settings.items() if not isinstance(v, Mapping)}
    lines = [f"{key} = {_value(value)}" for key, value in plain.items()]
    for name, table in settings.get("connections", {}).items():
        lines.append(f"[connections.{name}]")
        lines += [f"{key} = {_value(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)
