"""One server process that outlives the program that started it.

What is known about it stands in ``process.json`` beside its log, so that another program can
find and end it. A process counts as ours only while its command line names our folder: a
recycled process id is never mistaken for it, and nothing else is ever ended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

GRACE_S = 10.0


@dataclass(frozen=True)
class Card:
    """What the last start left behind; pid 0 means that nothing was started."""

    pid: int = 0
    ports: dict[str, int] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)


class ServerProcess:
    """A server whose files live in ``folder``; its command line must name that folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "server.log"
        self._file = folder / "process.json"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def card(self) -> Card:
        """The card of the last start."""
        if not self._file.exists():
            return Card()
        return Card(**json.loads(self._file.read_text(encoding="utf-8")))

    @property
    def alive(self) -> bool:
        """True while the process that the card names is running and is ours."""
        pid = self.card.pid
        if self._child is not None and self._child.pid == pid:
            return self._child.poll() is None
        return bool(pid) and str(self.folder) in _command_line(pid)

    def start(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        ports: dict[str, int],
        options: dict[str, str],
    ) -> None:
        """Start the command in a session of its own and write its card."""
        with self.log.open("wb") as log:
            self._child = subprocess.Popen(
                list(command),
                env=dict(environment),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        card = Card(self._child.pid, ports, options)
        self._file.write_text(json.dumps(asdict(card)), encoding="utf-8")

    def stop(self) -> None:
        """End the process and its children: first kindly, after a grace period by force."""
        pid = self.card.pid
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.alive:
                with suppress(ProcessLookupError):  # it ended by itself meanwhile
                    os.killpg(pid, number)
                self._wait_for_end()
        self._file.unlink(missing_ok=True)

    def last_words(self, lines: int = 15) -> str:
        """The end of the log."""
        if not self.log.exists():
            return ""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def _wait_for_end(self) -> None:
        deadline = time.monotonic() + GRACE_S
        while self.alive and time.monotonic() < deadline:
            time.sleep(0.05)


def _command_line(pid: int) -> str:
    """The command of a process; empty when it is gone or only its exit status is left."""
    if Path("/proc/self/cmdline").exists():
        try:
            raw = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return ""
        return raw.replace(b"\0", b" ").decode(errors="replace")
    ps = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return ps.stdout
