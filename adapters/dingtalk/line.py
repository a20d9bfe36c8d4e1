"""钉钉 Stream: events and robot messages over a line of our own, where 钉钉 cannot call us.

The line is registered, and a ticket opens it once. Each message on it must be acknowledged, or it
comes again.

Source: https://open.dingtalk.com/document/direction/stream-mode-protocol-access-description
(checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Protocol
from urllib.parse import quote_plus

from adapters.dingtalk.config import DingtalkConfig
from adapters.dingtalk.webhook import item_of
from hub.sdk import AuthError, ConfigError, Emit, Http, Item, RejectedError, RetryableError
from hub.sdk.signing import revealed

SILENCE_S = 120.0
"""A line 钉钉 has forgotten stays open and says nothing; otherwise it pings every half minute."""

_WHO = ("auth", "client", "secret", "appkey", "accessdenied")
_NAMES = {"EventType": "eventType", "CorpId": "eventCorpId", "eventId": "eventId"}
"""What a pushed event calls the things that stand in the headers of a frame."""


class Line(Protocol):
    """An open WebSocket."""

    def receive(self, timeout_s: float | None = None, /) -> str | None:
        """The next text; None when the line ended."""

    def send(self, text: str, /) -> None:
        """Say something."""


def register(http: Http, config: DingtalkConfig) -> str:
    """The address of a new line, its ticket included.

    Raises:
        AuthError: the app is not let in.
    """
    if not config.app_secrets:
        raise ConfigError(
            "Stream needs the app's secret", hint="Set app_secrets of this connection."
        )
    asked = {
        "clientId": config.owner_keys[0],
        "clientSecret": revealed(config.app_secrets)[0],
        "subscriptions": list(_subscriptions(config.callback_topics)),
        "ua": "conduit",
    }
    try:
        told = http.json("POST", "/v1.0/gateway/connections/open", json=asked, repeatable=True)
    except RejectedError as exc:
        raise _not_let_in(exc) from None
    if not isinstance(told, dict) or not told.get("endpoint") or not told.get("ticket"):
        raise RetryableError("钉钉 gave no line: endpoint or ticket is missing")
    return f"{told['endpoint']}?ticket={quote_plus(told['ticket'])}"


def receive(line: Line, emit: Emit) -> None:
    """Store what comes, then acknowledge it, until the line ends."""
    emit()
    silence_s = None
    while (text := line.receive(silence_s)) is not None:
        frame = _frame(text)
        if frame.get("type") == "SYSTEM":
            emit()
            silence_s = SILENCE_S
        else:
            emit(_item_in(frame, text))
        if frame:
            line.send(_acknowledgement(frame))
        if _topic(frame) == "disconnect":  # nothing more will come on this line
            return


def _not_let_in(exc: RejectedError) -> AuthError | ConfigError:
    """An unknown client comes as 400, and so does a topic 钉钉 does not know."""
    if any(word in exc.code.lower() for word in _WHO):
        return AuthError(
            f"钉钉 does not let the app in: {exc.code}",
            hint="Compare owner_keys (the first is the client id) and app_secrets with the app's "
            "credentials, and see that Stream is switched on for it.",
        )
    return ConfigError(f"钉钉 refuses what we ask: {exc.code}", hint="Check callback_topics.")


def _subscriptions(callbacks: Iterable[str]) -> Iterable[dict[str, str]]:
    yield {"type": "EVENT", "topic": "*"}
    for topic in callbacks:
        yield {"type": "CALLBACK", "topic": topic}


def _frame(text: str) -> dict[str, Any]:
    """The frame; empty when it is none, and then its text is kept as an item nobody can read."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("headers"), dict):
        return {}
    return found


def _topic(frame: dict[str, Any]) -> str:
    return str(frame.get("headers", {}).get("topic", "")) if frame.get("type") == "SYSTEM" else ""


def _item_in(frame: dict[str, Any], text: str) -> Item:
    """The item of a frame, written as 钉钉 would have pushed it to us."""
    kind, headers = frame.get("type"), frame.get("headers", {})
    try:
        event = json.loads(frame["data"])
        if kind == "EVENT":
            event |= {name: headers[told] for name, told in _NAMES.items() if told in headers}
    except (ValueError, LookupError, TypeError, RecursionError):
        event = None
    if event is None or kind not in ("EVENT", "CALLBACK"):
        return Item(text.encode())
    return item_of(json.dumps(event, ensure_ascii=False).encode())


def _acknowledgement(frame: dict[str, Any]) -> str:
    kind, headers = frame.get("type"), frame.get("headers", {})
    data = {"EVENT": {"status": "SUCCESS"}, "CALLBACK": {"response": {}}}.get(str(kind))
    told = {
        "code": 200,
        "headers": {"messageId": headers.get("messageId"), "contentType": "application/json"},
        "message": "OK",
        "data": frame.get("data", "") if data is None else json.dumps(data),
    }
    return json.dumps(told)
