"""What the demo's outside systems have in common: install, start, seed, stop.

Each system is a real, separately licensed program. It lives in a virtual environment of its
own below the root folder, listens on the loopback only, and keeps its data beside it::

    <root>/<name>/venv       the program, reused as long as its pins stay the same
    <state>/<name>/          data, log and process card; <state> is <root> unless said otherwise
"""

from __future__ import annotations

import fcntl
import importlib.metadata
import importlib.util
import json
import os
import platform
import secrets
import shutil
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import requests

from demo.people import People
from demo.systems.process import ServerProcess

HOST = "127.0.0.1"
INSIDE = Path(__file__).parent / "inside"
START_TIMEOUT_S = 60.0

Say = Callable[[str], None]


class SystemFailedError(RuntimeError):
    """A step of a system did not work; the message ends with the system's own last words."""


class System(ABC):
    """One outside system. ``install`` and ``start`` may be called again at any time.

    Args:
        root: Folder of the installed programs.
        port: Main port on the loopback; 0 picks a free one at every start.
        say: Receives one line of progress for every long step.
        state: Folder of the data; the root when not given.
    """

    name: ClassVar[str]
    package: ClassVar[str]

    def __init__(self, root: Path, port: int, say: Say, *, state: Path | None = None) -> None:
        self.program = root.resolve() / self.name
        self.home = (state or root).resolve() / self.name
        self.wanted_port = port
        self._say = say
        self._process = ServerProcess(self.home)

    @property
    def python(self) -> Path:
        """The interpreter of the system's own environment."""
        return self.program / "venv" / "bin" / "python"

    @property
    def pins(self) -> Path:
        """The requirements file with the exact version of every package."""
        return INSIDE / f"{self.name}.txt"

    @property
    def running(self) -> bool:
        """True while the server process lives."""
        return self._process.alive

    @property
    def port(self) -> int:
        """The main port of the running server, else the one asked for."""
        return self._process.card.ports.get("port", self.wanted_port)

    def install(self) -> None:
        """Install the pinned programs, unless exactly these are installed already."""
        with self.locked():
            venv, marker = self.program / "venv", self.program / "installed.txt"
            wanted = f"python {platform.python_version()}\n{self.pins.read_text(encoding='utf-8')}"
            if marker.exists() and marker.read_text(encoding="utf-8") == wanted:
                return
            self.say(f"installing {self.package} (needed once)")
            marker.unlink(missing_ok=True)
            shutil.rmtree(venv, ignore_errors=True)
            make_environment(venv, self.pins)
            marker.write_text(wanted, encoding="utf-8")

    def start(self) -> None:
        """Bring the server up and return when it answers.

        A server already running with the same options is left alone; with others it is
        replaced.

        Raises:
            SystemFailedError: a port is in use, or it ended at once or did not answer in time.
        """
        if self._process.alive and self._is_as_wanted() and self.answers():
            return
        self.stop()
        self.home.mkdir(parents=True, exist_ok=True)
        ports = self.choose_ports()
        self._refuse_taken(ports)
        self.prepare(ports)
        self.say(f"starting on {HOST}:{ports['port']}")
        self._process.start(self.command(ports), self.surroundings(), ports, dict(self.options()))
        self._wait_until_it_answers()

    def stop(self) -> None:
        """End the server, if it runs. Its data stay."""
        self._process.stop()

    def version(self) -> str:
        """The installed version, from the program's own package metadata."""
        folder = next((self.program / "venv" / "lib").glob("python*/site-packages"))
        found = importlib.metadata.distributions(name=self.package, path=[str(folder)])
        return next(iter(found)).version

    def say(self, line: str) -> None:
        """Report one line of progress."""
        self._say(f"{self.name}: {line}")

    @abstractmethod
    def seed(self, people: People) -> None:
        """Tell the running system about the demo's people; what it knows is left alone."""

    @abstractmethod
    def env(self) -> dict[str, str]:
        """What a client needs to know, named for environment variables."""

    @abstractmethod
    def answers(self) -> bool:
        """True when the server does useful work."""

    @abstractmethod
    def prepare(self, ports: Mapping[str, int]) -> None:
        """Make ready what the server needs before it starts."""

    @abstractmethod
    def command(self, ports: Mapping[str, int]) -> list[str]:
        """The server's command line; it must name ``self.home``."""

    def options(self) -> Mapping[str, str]:
        """Settings that need a new start when they change."""
        return {}

    def choose_ports(self) -> dict[str, int]:
        """The ports of the next start; every value is a free port."""
        return {"port": self.wanted_port or free_ports(1)[0]}

    def surroundings(self) -> dict[str, str]:
        """The server's environment variables: ours, without what would change its Python."""
        return {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_"))}

    def run_inside(self, script: str, *arguments: str, **variables: str) -> None:
        """Run one of our scripts with the system's interpreter and wait for its end.

        Raises:
            SystemFailedError: the script failed; its last lines are in the message.
        """
        command = [str(self.python), str(INSIDE / script), *arguments]
        run(command, f"{self.name}: {script}", {**self.surroundings(), **variables})

    def password(self, name: str) -> str:
        """A password made once per data folder and kept there."""
        file = self.home / "passwords.json"
        known: dict[str, str] = {}
        if file.exists():
            known = json.loads(file.read_text(encoding="utf-8"))
        if name not in known:
            known[name] = secrets.token_urlsafe(12)
            self.home.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            file.write_text(json.dumps(known), encoding="utf-8")
        return known[name]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the program folder against another installer, in this process or elsewhere."""
        self.program.mkdir(parents=True, exist_ok=True)
        with (self.program / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _is_as_wanted(self) -> bool:
        card = self._process.card
        same_port = self.wanted_port in (0, card.ports["port"])
        return same_port and card.options == self.options()

    def _refuse_taken(self, ports: Mapping[str, int]) -> None:
        """Somebody else's server must not be taken for ours."""
        for port in ports.values():
            with socket.socket() as probe:
                if probe.connect_ex((HOST, port)) == 0:
                    raise SystemFailedError(f"{self.name}: port {port} is in use already")

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.answers():
            alive = self._process.alive
            if not alive or time.monotonic() > deadline:
                fate = "did not answer in time" if alive else "ended at once"
                words = self._process.last_words()
                self.stop()
                raise SystemFailedError(f"{self.name} {fate}\n{words}")
            time.sleep(0.1)


def make_environment(venv: Path, pins: Path) -> None:
    """Create a virtual environment that holds the packages of a requirements file.

    Our own pip installs into it where there is one: that saves bootstrapping another.
    """
    borrowed = importlib.util.find_spec("pip") is not None
    bare = ["--without-pip"] if borrowed else []
    run([sys.executable, "-m", "venv", *bare, str(venv)], "creating the environment")
    python = str(venv / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python] if borrowed else [python, "-m", "pip"]
    quiet = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    run([*pip, "install", "--quiet", "--no-compile", "-r", str(pins)], "installing packages", quiet)


def run(command: Sequence[str], what: str, environment: Mapping[str, str] | None = None) -> None:
    """Run a program to its end.

    Raises:
        SystemFailedError: it did not end well; its last lines are in the message.
    """
    done = subprocess.run(
        list(command),
        env=None if environment is None else dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        words = "\n".join(done.stdout.splitlines()[-15:])
        raise SystemFailedError(f"{what} failed\n{words}")


def free_ports(count: int) -> list[int]:
    """Different ports of the loopback that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]


def loopback_session() -> requests.Session:
    """An HTTP session that ignores proxies set for the outside world."""
    session = requests.Session()
    session.trust_env = False
    return session


def reachable(method: str, url: str, **more: Any) -> bool:
    """True when a request to a loopback server succeeds."""
    try:
        with loopback_session() as session:
            return session.request(method, url, timeout=5, **more).ok
    except requests.RequestException:
        return False
