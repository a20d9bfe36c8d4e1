"""Who was refused and why, for people to look up: noted aside, and never in the way of a request.

Similar refusals are folded here and again in the database. A thread writes them at most once a
second; what it could not write, or a kill took, is lost: nobody was promised to be remembered.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection
from datetime import UTC, datetime
from hashlib import sha256
from http import HTTPStatus

from flask import Request

from hub.errors import StoreError
from hub.store import bodies, refusals
from hub.store.db import Database
from hub.store.refusals import Refusal

log = logging.getLogger(__name__)

EVERY_S = 1.0
WAITING_MAX, UNKNOWN_MAX = 100, 50
"""Different ones noted between two writes, of them for names nobody configured: whoever tries all
names must not hide the one who got his secret wrong."""

NAME_MAX, REASON_MAX, PATH_MAX = 64, 500, 300
START_BYTES = 512
SIZE_MAX = 2**63 - 1
"""A sender may announce any length; this is the largest a column holds."""


class Refusals:
    """The refusals of one process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._due, self._end = threading.Event(), threading.Event()
        self._waiting: dict[tuple[str, str, str], Refusal] = {}
        self._thread: threading.Thread | None = None
        database.before_close(self.close)

    def note(
        self,
        request: Request,
        connection: str,
        status: int,
        reason: str,
        hint: str = "",
        *,
        body: bytes = b"",
        secrets: Collection[str] = (),
    ) -> bool:
        """Keep this for people to see; whether it is unlike those that wait to be written.

        Args:
            body: as far as it was read, of a connection there is.
            secrets: of the connection; they may stand in any header.
        """
        now = datetime.now(UTC)
        remote = _clean(request.remote_addr or "", NAME_MAX)
        key = (_clean(connection, NAME_MAX), _clean(reason, REASON_MAX), remote)
        most = UNKNOWN_MAX if status == HTTPStatus.NOT_FOUND else WAITING_MAX
        with self._lock:
            known = self._waiting.get(key)
            if known:
                self._waiting[key] = known.again(now)
            if known or len(self._waiting) >= most:
                return False
            self._waiting[key] = _refusal(request, key, status, hint, body, secrets, now)
            self._due.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="refusals", daemon=True)
                self._thread.start()
        log.warning("webhook refused", extra={"connection": key[0], "reason": key[1]})
        return True

    def flush(self) -> None:
        """Write what waits."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            self._due.clear()
        with self._writing:
            if waiting and not self._end.is_set():
                self._write(list(waiting.values()))

    def close(self) -> None:
        """Write nothing any more."""
        self._end.set()
        self._due.set()
        with self._writing:  # what is being written is finished
            pass

    def _run(self) -> None:
        while self._due.wait() and not self._end.wait(EVERY_S):
            self.flush()

    def _write(self, waiting: list[Refusal]) -> None:
        try:
            with self._database.write() as conn:
                refusals.save(conn, waiting)
        except Exception as exc:  # noqa: BLE001 - strangers wrote them; later ones must be kept
            fault = str(exc) if isinstance(exc, StoreError) else type(exc).__name__
            log.warning("refusals not kept", extra={"count": len(waiting), "fault": fault})


def _refusal(
    request: Request,
    key: tuple[str, str, str],
    status: int,
    hint: str,
    body: bytes,
    secrets: Collection[str],
    now: datetime,
) -> Refusal:
    connection, reason, remote = key
    headers = {_clean(name.lower()): _clean(value) for name, value in request.headers.items()}
    return Refusal(
        connection=connection,
        status=status,
        reason=reason,
        hint=_clean(hint, REASON_MAX),
        remote=remote,
        method=_clean(request.method, NAME_MAX),
        path=_clean(_path(request), PATH_MAX),
        headers=bodies.outlined(headers, secrets),
        size_bytes=len(body) or min(request.content_length or 0, SIZE_MAX),
        body_sha256=sha256(body).hexdigest() if body else "",
        body_start=bodies.start(body[:START_BYTES], headers.get("content-type", ""), secrets),
        first_at=now,
        at=now,
    )


def _path(request: Request) -> str:
    """The address without what may be a secret in it: the rest of the path, values of the query."""
    _, hooks, name, *rest = request.path.split("/")
    query = "&".join(f"{name}={bodies.HIDDEN}" for name in request.args)
    path = f"/{hooks}/{name}" + (f"/{bodies.HIDDEN}" if any(rest) else "")
    return f"{path}?{query}" if query else path


def _clean(text: str, most: int = bodies.VALUE_MAX) -> str:
    """What both databases can hold and every screen can show."""
    return "".join(sign if sign.isprintable() else "·" for sign in text[:most])
