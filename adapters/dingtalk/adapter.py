"""钉钉 Stream: events and robot messages over a line of our own, where 钉钉 cannot call us.

The line is registered, and a ticket opens it once. Each message on it must be acknowledged, or it
comes again.

Source: https://open.dingtalk.com/document/direction/stream-mode-protocol-access-description
(checked 2026-11)
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote_plus

from pydantic import Field

from adapters.dingtalk.webhook import DingtalkConfig, item_of
from hub.sdk import (
    Adapter,
    AuthError,
    ConfigError,
    Emit,
    Http,
    Item,
    RetryableError,
)
from hub.sdk.signing import revealed

log = logging.getLogger(__name__)

SILENCE_S = 120.0
"""A line 钉钉 has forgotten stays open and says nothing; otherwise it pings every half minute."""

_PACE = ("qps", "qpm", "limit")
_WHO = ("auth", "client", "secret", "appkey")
_NAMES = {"EventType": "eventType", "CorpId": "eventCorpId", "eventId": "eventId"}
"""What a pushed event calls the things that stand in the headers of a frame."""


class DingtalkStreamConfig(DingtalkConfig):
    api_url: str = Field(
        default="https://api.dingtalk.com",
        pattern=r"^https?://",
        description="Where a line is registered (Stream mode)",
    )
    callback_topics: tuple[str, ...] = Field(
        default=("/v1.0/im/bot/messages/get",),
        description="What is received over the line beside all events. 钉钉 gives each message to "
        "one line only: leave out what another program of this app receives",
    )


class DingtalkAdapter(Adapter[DingtalkStreamConfig]):
    """One app. It only listens; what it emits is read by ``DingtalkReceiver.parse``."""

    def connect(self) -> Http:
        return Http(self.config.api_url, raise_for_refusal=_raise_for_refusal)

    def check(self) -> None:
        if self.config.app_secrets:  # whoever takes callbacks only has nothing to try
            self._register()

    def listen(self, emit: Emit) -> None:
        told = self._register()
        url = f"{told['endpoint']}?ticket={quote_plus(told['ticket'])}"
        try:
            with self.dial(url) as line:
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
        except AuthError as exc:  # the app was let in a moment ago, so that is the ticket
            raise RetryableError("the ticket of the line was not taken") from exc

    def _register(self) -> dict[str, str]:
        """Endpoint and ticket of a new line.

        Raises:
            AuthError: the app is not let in.
        """
        if not self.config.app_secrets:
            raise ConfigError(
                "Stream needs the app's secret", hint="Set app_secrets of this connection."
            )
        asked = {
            "clientId": self.config.owner_keys[0],
            "clientSecret": revealed(self.config.app_secrets)[0],
            "subscriptions": list(_subscriptions(self.config.callback_topics)),
            "ua": "conduit",
        }
        told = self.http.json("POST", "/v1.0/gateway/connections/open", json=asked, repeatable=True)
        if not isinstance(told, dict) or not told.get("endpoint") or not told.get("ticket"):
            raise RetryableError("钉钉 gave no line: endpoint or ticket is missing")
        return told


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


def _raise_for_refusal(status: int, body: Any) -> None:
    """Some limits come as 403, and an unknown client as 400."""
    code = str(body.get("code", ""))[:100] if isinstance(body, dict) else ""
    if any(word in code.lower() for word in _PACE):
        raise RetryableError(f"钉钉 puts us off: {code}")
    if status in (401, 403) or any(word in code.lower() for word in _WHO):
        raise AuthError(
            f"钉钉 does not let the app in: {status} {code}".rstrip(),
            hint="Compare owner_keys (the first is the client id) and app_secrets with the app's "
            "credentials, and see that Stream is switched on for it.",
        )
    if status == 400:
        raise ConfigError(f"钉钉 refuses what we ask: {code}", hint="Check callback_topics.")
