"""Callbacks of a 纷享销客 app of the older generation: messages, and its permanent code.

``sig`` is the hex SHA-1 of the token, timeStamp, nonce and content, sorted; the content is sealed.

Source: https://github.com/openfxiaoke/demo (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from adapters.fxiaoke.config import FxiaokeConfig
from hub.sdk import Envelope, HookRequest, Reply, Row, WebhookReceiver
from hub.sdk.sealing import seal, unseal_any
from hub.sdk.signing import Recipe, revealed, value_at

RECIPE = Recipe(
    signature="json:sig",
    parts=("secret", "json:timeStamp", "json:nonce", "json:content"),
    sort=True,
    digest="sha1",
    timestamp="json:timeStamp",
)

SUCCESS = Reply(200, b"success", {"Content-Type": "text/plain; charset=utf-8"})


class FxiaokeReceiver(WebhookReceiver[FxiaokeConfig]):
    """One app. An item is the JSON of an event, unsealed."""

    def open(self, request: HookRequest) -> Envelope:
        RECIPE.verify(request, revealed(self.config.tokens))
        keys, sealed = revealed(self.config.encoding_aes_keys), value_at("json:content", request)
        opened = unseal_any(keys, sealed)  # the vendor's own demo leaves the receiver's id alone
        return Envelope(self.items(opened.text, _names), SUCCESS)

    def parse(self, body: bytes) -> Iterator[Row]:
        """Nothing: these events carry no records."""
        _names(json.loads(body))
        yield from ()

    def sample(self, at: datetime) -> HookRequest:
        event = json.dumps({"type": "Sample", "content": f"{at.timestamp():.0f}"}).encode()
        told = {
            "nonce": "sample",
            "timeStamp": int(at.timestamp() * 1000),
            "content": seal(revealed(self.config.encoding_aes_keys)[0], event, "sample"),
        }
        bare = HookRequest("POST", {}, {}, json.dumps(told).encode(), at)
        return RECIPE.sign(bare, revealed(self.config.tokens)[0])


def _names(event: dict[str, Any]) -> tuple[None, None, Any]:
    return None, None, event["type"]
