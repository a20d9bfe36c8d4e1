"""A Mosquitto broker for the tests: Debian's own program, with a password and a disk."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.systems.base import HOST, free_ports
from tests.systems.debian import program

USER, PASSWORD = "hub", "hub-密码-1"


class Broker:
    """One broker; ``stop`` and ``start`` keep what it holds for absent clients."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (self.port,) = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None
        passwords, config = folder / "passwd", folder / "mosquitto.conf"
        tool = program("mosquitto_passwd", "mosquitto")
        subprocess.run([tool, "-b", "-c", passwords, USER, PASSWORD], check=True)
        (folder / "acl").write_text(f"user {USER}\ntopic readwrite devices/#\n")
        config.write_text(
            f"listener {self.port} {HOST}\nallow_anonymous false\npassword_file {passwords}\n"
            f"acl_file {folder / 'acl'}\npersistence true\npersistence_location {folder}/\n"
            f"user root\nlog_dest file {folder / 'log'}\n"
        )

    def start(self) -> None:
        server = program("mosquitto", "mosquitto")
        self._process = subprocess.Popen([server, "-c", self.folder / "mosquitto.conf"])
        while self._said("probe", "devices/probe/x", "{}", retain=False).returncode:
            assert self._process.poll() is None, (self.folder / "log").read_text()

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def say(self, device: str, body: str, *, retain: bool = False) -> None:
        """What a device says, taken by the broker when this returns."""
        done = self._said(device, f"devices/{device}/telemetry", body, retain=retain)
        assert done.returncode == 0, done.stderr

    def _said(
        self, device: str, topic: str, body: str, *, retain: bool
    ) -> subprocess.CompletedProcess[bytes]:
        tool = program("mosquitto_pub", "mosquitto-clients")
        place = ["-h", HOST, "-p", str(self.port), "-u", USER, "-P", PASSWORD, "-i", device]
        said = ["-q", "1", *(["-r"] if retain else []), "-t", topic, "-m", body]
        return subprocess.run([tool, *place, *said], check=False, capture_output=True)


@contextmanager
def broker(folder: Path) -> Iterator[Broker]:
    """A running broker."""
    made = Broker(folder)
    made.start()
    try:
        yield made
    finally:
        made.stop()
