"""The hub of the demo: its settings, its process, and its API as a client sees it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import requests

from demo.systems.base import HOST, SystemFailedError, loopback_session

T = TypeVar("T")
WAIT_S = 120.0


class HubProcess:
    """One embedded hub with a fresh state folder.

    Args:
        home: folder of its settings, database and log; what is in it goes.
        ports: of the web pages and of the webhook receiver.
    """

    def __init__(self, home: Path, ports: tuple[int, int]) -> None:
        self.home = home
        self.web = f"http://{HOST}:{ports[0]}"
        self.hooks = f"http://{HOST}:{ports[1]}/hooks"
        self._ports = ports
        self._process: subprocess.Popen[bytes] | None = None
        self._env: dict[str, str] = dict(os.environ)
        self._http = loopback_session()
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)

    def start(self, settings: str, secrets: dict[str, str]) -> None:
        """Bring the hub up and return when it answers.

        Raises:
            SystemFailedError: it did not; the message ends with its last words.
        """
        path = self.home / "settings.toml"
        path.write_text(settings, "utf-8")
        self._env |= {**secrets, "HUB_SETTINGS": str(path), "HUB_STATE_DIR": str(self.home)}
        self.run("apply")
        web, hooks = map(str, self._ports)
        with (self.home / "hub.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hub", "up", "--port", web, "--hooks-port", hooks],
                env=self._env,
                stdout=log,
                stderr=log,
            )
        self.wait("the hub", lambda: self._answers(self.web) and self._answers(self.hooks[:-6]))
        token = self.run("token", "add", "demo", "--role", "admin").strip()
        self._http.headers["Authorization"] = f"Bearer {token}"

    def stop(self) -> None:
        """End the hub, if it runs."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def run(self, *arguments: str) -> str:
        """What a ``hub`` command prints.

        Raises:
            SystemFailedError: it ended with a fault.
        """
        command = [sys.executable, "-m", "hub", *arguments]
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemFailedError(f"hub {' '.join(arguments)}: {done.stderr or done.stdout}")
        return done.stdout

    def status(self) -> dict[str, Any]:
        """``hub status --json``."""
        return dict(json.loads(self.run("status", "--json")))

    def customer(self, **query: str) -> dict[str, Any] | None:
        """The one customer a look-up finds, whole; None while there is none."""
        found = self.search(**query)
        return self._get(f"/api/v1/customers/{found[0]['id']}") if len(found) == 1 else None

    def search(self, **query: str) -> list[dict[str, Any]]:
        """Every customer a look-up finds, in short."""
        return list(self._get("/api/v1/customers", **query)["items"])

    def _get(self, path: str, **query: str) -> dict[str, Any]:
        answer = self._http.get(self.web + path, params=query, timeout=30)
        if not answer.ok:
            raise SystemFailedError(f"GET {path}: {answer.status_code} {answer.text[:300]}")
        return dict(answer.json())

    def wait(self, what: str, look: Callable[[], T | None]) -> T:
        """What ``look`` returns once it is true.

        Raises:
            SystemFailedError: it did not become true in time.
        """
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            if found := look():
                return found
            time.sleep(0.02)
        raise SystemFailedError(f"waited {WAIT_S:.0f} s for {what} in vain\n{self._last_words()}")

    def _last_words(self) -> str:
        log = self.home / "hub.log"
        return log.read_text("utf-8", "replace")[-1500:] if log.exists() else ""

    def _answers(self, base: str) -> bool:
        try:
            return requests.get(f"{base}/healthz", timeout=2).ok
        except requests.RequestException:
            return False
