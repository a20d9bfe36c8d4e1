"""Detector for Roundup: tell a listener that an issue, message or user was created or changed.

Copied into the tracker's ``detectors`` folder. Where to post, and with which key to sign, stands
in ``hook.json`` of the tracker, read for every event. The event is thin: it says what changed,
not how. Best effort: an event that cannot be posted at once is lost.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import queue
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

COMMIT_S = 0.3  # reactors run inside the transaction: let it commit first
log = logging.getLogger("roundup.hook")
waiting: queue.SimpleQueue[tuple[float, dict[str, str], bytes]] = queue.SimpleQueue()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def init(db: Any) -> None:
    """Called by Roundup for every database it opens."""
    for known in (db.issue, db.msg, db.user):
        known.react("create", reaction("created"))
        known.react("set", reaction("updated"))


def reaction(event: str) -> Callable[[Any, Any, str, Any], None]:
    """A reactor that queues one event."""

    def react(db: Any, kind: Any, item: str, before: Any) -> None:
        listener = Path(db.config.TRACKER_HOME) / "hook.json"
        if not listener.exists():
            return
        body = {
            "event": event,
            "class": kind.classname,
            "id": item,
            "changed": changed_properties(kind, item, before or {}),
            "actor": db.getuid(),
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        target = json.loads(listener.read_text(encoding="utf-8"))
        waiting.put((time.monotonic() + COMMIT_S, target, json.dumps(body).encode()))

    return react


def changed_properties(kind: Any, item: str, before: dict[str, Any]) -> list[str]:
    """The names of the properties that differ from before; none for a new item."""
    return sorted(
        name
        for name, old in before.items()
        if name in kind.properties and kind.get(item, name) != old
    )


def post(target: dict[str, str], body: bytes) -> None:
    """Send one signed event."""
    signature = hmac.new(target["secret"].encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "X-Roundup-Signature": f"sha256={signature}",
    }
    request = urllib.request.Request(target["url"], body, headers)  # noqa: S310 (set by us)
    try:
        opener.open(request, timeout=5).close()
    except (OSError, ValueError) as error:
        log.warning("event not delivered: %s", error)


def run() -> None:
    """Post what is waiting, one after the other, for ever."""
    while True:
        due, target, body = waiting.get()
        time.sleep(max(0.0, due - time.monotonic()))
        post(target, body)


threading.Thread(target=run, name="hook", daemon=True).start()
