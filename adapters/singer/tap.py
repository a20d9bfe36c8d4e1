"""A tap as a process: its files, its messages, its end.

Its output waits in the pipe while nobody reads, so that memory stays bounded whatever it has. When
the hub is killed its next line ends it (SIGPIPE).
"""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import IO, Any

from adapters.singer.config import SingerConfig
from hub.sdk import ConfigError, RetryableError

PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SSL_CERT_FILE",
          "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")  # fmt: skip
"""Variables a tap gets of the hub's; none holds a secret."""

AHEAD = 1000
"""Lines read ahead of whoever works on them."""

END_S = 5
"""How long a tap may take to end when it is asked to."""

SAID_MAX = 300
LINE_MAX = 64 * 1024 * 1024
DISCOVERY_S = 300
_URL_SECRET = re.compile(r"(?i)((?:password|passwd|secret|token|api_?key)[\"']?\s*[=:]\s*)\S+")


class Tap:
    """One run of a tap.

    Args:
        options: what it is handed, each as a file: ``{"--state": {…}}``.
    """

    def __init__(self, config: SingerConfig, options: Mapping[str, Any]) -> None:
        self._config = config
        self._lines: queue.Queue[bytes | None] = queue.Queue(AHEAD)
        self._said: deque[str] = deque(maxlen=20)
        self._ended = threading.Event()
        self._process = _run(config, options)
        self._readers = [
            threading.Thread(target=read, args=(pipe,), daemon=True, name="tap")
            for read, pipe in (
                (self._read_lines, self._process.stdout),
                (self._read_words, self._process.stderr),
            )
        ]
        for reader in self._readers:
            reader.start()

    def _read_lines(self, pipe: IO[bytes]) -> None:
        with suppress(ValueError, OSError):
            while line := pipe.readline(LINE_MAX):
                if not self._put(line):
                    return
        self._put(None)

    def _put(self, line: bytes | None) -> bool:
        while not self._ended.is_set():
            with suppress(queue.Full):
                self._lines.put(line, timeout=0.5)
                return True
        return False

    def _read_words(self, pipe: IO[bytes]) -> None:
        with suppress(ValueError, OSError):
            while line := pipe.readline(64 * 1024):
                self._said.append(line.decode("utf-8", "replace").strip())

    def messages(self) -> Iterator[dict[str, Any]]:
        """What it says, until it ends by itself and well.

        Raises:
            RetryableError: it failed, or is silent for too long.
        """
        while True:
            line = self._next()
            if line is None:
                break
            if (message := _message(line)) is not None:
                yield message
        self._check_end()

    def _next(self) -> bytes | None:
        silent_s = 0.0
        while not self._ended.is_set() and silent_s < self._config.quiet_s:
            wait_s = min(1.0, self._config.quiet_s)
            with suppress(queue.Empty):
                return self._lines.get(timeout=wait_s)
            silent_s += wait_s
        said = "was ended" if self._ended.is_set() else f"said nothing for {silent_s:.0f} s"
        raise RetryableError(f"the tap {said}")

    def _check_end(self) -> None:
        code = self._process.wait()
        self._readers[1].join(END_S)
        if code != 0:
            words = [line for line in self._said if line]
            raise RetryableError(
                f"the tap ended with {code}",
                hint=scrubbed(words[-1], self._config) if words else "It said nothing.",
            )

    def close(self) -> None:
        """End it, with all it started."""
        self._ended.set()
        end(self._process)
        for reader in self._readers:
            reader.join(END_S)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe:
                pipe.close()


def _run(
    config: SingerConfig, options: Mapping[str, Any], *arguments: str
) -> subprocess.Popen[bytes]:
    """The tap, started. Its files are in memory alone: nothing is left of them, however it ends."""
    environment = {name: os.environ[name] for name in PASSED if name in os.environ}
    environment |= {"PYTHONUNBUFFERED": "1", **config.environment}
    files = {option: _in_memory(x) for option, x in {"--config": told(config), **options}.items()}
    handed = [part for name, file in files.items() for part in (name, f"/proc/self/fd/{file}")]
    try:
        return subprocess.Popen(  # noqa: S603 - the program an administrator names
            [*config.command, *handed, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=tempfile.gettempdir(),
            env=environment,
            pass_fds=[*files.values()],
            start_new_session=True,
        )
    except OSError as exc:
        raise ConfigError(
            f"{config.command[0]} cannot be started", hint=f"{exc.strerror}: correct command."
        ) from None
    finally:
        for file in files.values():
            os.close(file)


def _in_memory(content: Any) -> int:
    """A file that has no name, and is gone with the last who has it open."""
    file = os.memfd_create("tap")
    with open(file, "wb", closefd=False) as writer:
        writer.write(json.dumps(content, ensure_ascii=False).encode())
    return file


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, with all it started; then end it."""
    for signal in (15, 9):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal)
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_S)
            if signal == 15:
                continue  # what it started may live on
    process.wait()


def discovered(config: SingerConfig) -> dict[str, Any]:
    """The tap's catalog.

    Raises:
        ConfigError: it gives none.
        RetryableError: it failed.
    """
    if config.catalog is not None:
        return _catalog(config.catalog.read_bytes())
    process = _run(config, {}, "--discover")
    try:
        out, said = process.communicate(timeout=DISCOVERY_S)
    except subprocess.TimeoutExpired:
        raise RetryableError("the tap discovers its streams without end") from None
    finally:
        end(process)
    if process.returncode != 0:
        words = [line for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
        raise RetryableError(
            f"the tap ended with {process.returncode}",
            hint=scrubbed(words[-1], config) if words else "It said nothing.",
        )
    return _catalog(out)


def _catalog(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text[text.index(b"{") :])
        if isinstance(found["streams"], list):
            return dict(found)
    except (ValueError, KeyError, TypeError):
        pass
    raise ConfigError("the tap's catalog cannot be read", hint="Give it as a file: catalog.")


def told(config: SingerConfig) -> dict[str, Any]:
    """The tap's config with its secrets."""
    found: dict[str, Any] = json.loads(json.dumps(config.tap_config))
    for name, secret in config.secrets.items():
        *folders, last = name.split(".")
        inner = found
        for folder in folders:
            inner = inner.setdefault(folder, {})
        inner[last] = secret.get_secret_value()
    return found


def scrubbed(text: str, config: SingerConfig) -> str:
    """What a tap said last, without secrets."""
    for secret in sorted((s.get_secret_value() for s in config.secrets.values()), key=len):
        text = text.replace(secret, "***") if secret else text
    return _URL_SECRET.sub(r"\1***", text)[-SAID_MAX:]


def _message(line: bytes) -> dict[str, Any] | None:
    """A message; None for what a tap prints besides.

    Raises:
        RetryableError: it begins like one and is none: a row may have been lost.
    """
    if not line.lstrip().startswith(b"{"):
        return None
    try:
        found = json.loads(line, parse_float=str)  # 12.50 stays 12.50
    except ValueError:
        raise RetryableError("the tap wrote half a message") from None
    return found if isinstance(found, dict) and "type" in found else None
