"""Change notifications of Microsoft Graph, and of Business Central, which speaks alike.

A subscription is made only after its address has given a token back. Every notification then
repeats the ``clientState`` of its subscription; it is all that proves it.

Source: https://learn.microsoft.com/graph/change-notifications-delivery-webhooks (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import Field, SecretStr

from hub.sdk import (
    ConnectionConfig,
    Envelope,
    HookRequest,
    Reply,
    Row,
    SignatureError,
    WebhookReceiver,
)
from hub.sdk.signing import revealed, verify_token

TOKEN_MAX = 4096

PLAIN = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}


class GraphConfig(ConnectionConfig):
    client_states: tuple[SecretStr, ...] = Field(
        min_length=1,
        description="clientState of our subscriptions; two while they are renewed with another",
    )
    path_tokens: tuple[SecretStr, ...] = Field(
        default=(),
        description="Secret last part of the address, /hooks/<connection>/<token>: without it "
        "anybody may ask for the handshake's answer, which tells nothing",
    )


class GraphReceiver(WebhookReceiver[GraphConfig]):
    """Our subscriptions. An item is one notification."""

    def open(self, request: HookRequest) -> Envelope | Reply:
        if paths := revealed(self.config.path_tokens):
            verify_token(paths, request.path)
        token = request.query.get("validationToken")
        if token is not None:
            return Reply(200, token[:TOKEN_MAX].encode("utf-8", "replace"), PLAIN)
        for state in _states(request.body):
            verify_token(revealed(self.config.client_states), state)
        return Envelope(self.items(request.body, _name, lambda found: found["value"]))

    def parse(self, body: bytes) -> Iterator[Row]:
        """No rows: a notification names its resource, which must be fetched to be known."""
        _name(json.loads(body))
        yield from ()

    def sample(self, at: datetime) -> HookRequest:
        state = revealed(self.config.client_states)[0]
        told = {"id": f"sample-{at.timestamp():.0f}", "resource": "sample", "changeType": "sample"}
        body = json.dumps({"value": [{**told, "clientState": state}]}).encode()
        path = next(iter(revealed(self.config.path_tokens)), "")
        return HookRequest("POST", {}, {}, body, at, path=path)


def _states(body: bytes) -> list[str]:
    """What each notification repeats.

    Raises:
        SignatureError: there is none, so that nothing is proven.
    """
    try:
        states = [str(one["clientState"]) for one in json.loads(body)["value"]]
    except (ValueError, LookupError, TypeError, RecursionError) as exc:
        raise SignatureError("a notification repeats no clientState") from exc
    if not states:
        raise SignatureError("there is no notification")
    return states


def _name(one: Any) -> tuple[Any, Any, Any]:
    return one.get("id"), one["resource"], one.get("changeType") or one.get("lifecycleEvent")
