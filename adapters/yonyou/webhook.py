"""Event push of 用友 YonBIP.

The text is sealed with a key made of the app's secret. Of its signature the vendor gives three
descriptions that exclude each other: whichever a genuine request fits is kept, and from then on no
other is tried.

Source: https://open.yonyoucloud.com/ (event subscription and its samples, checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

from pydantic import Field, SecretStr

from hub.sdk import ConnectionConfig, Envelope, HookRequest, Reply, Row, WebhookReceiver
from hub.sdk.sealing import seal, unseal_any
from hub.sdk.signing import Recipe, revealed, value_at, verify_any

SIGNED = ("json:timestamp", "json:nonce", "json:encrypt")

HMAC = Recipe(
    signature="json:signature",
    parts=SIGNED,
    sort=True,
    encoding="base64",
    timestamp="json:timestamp",
)

PLAIN = Recipe(
    signature="json:signature",
    parts=("secret", *SIGNED),
    sort=True,
    digest="sha256",
    timestamp="json:timestamp",
)

VARIANTS = {
    "hmac-sha256": HMAC,
    "sha256": PLAIN,
    "sha1": PLAIN.model_copy(update={"digest": "sha1"}),
}


class YonyouConfig(ConnectionConfig):
    app_key: str = Field(
        min_length=1,
        description="Key of the app; the sealed texts name it",
        examples=["appKeyEXAMPLE"],
    )
    app_secrets: tuple[SecretStr, ...] = Field(
        min_length=1,
        description="Secret of the app; two while it is changed",
        examples=[["0123456789abcdef0123456789abcdef"]],
    )
    reply: Literal["sealed", "plain"] = Field(
        default="sealed",
        description='How an event is answered: "success" sealed and signed, or in clear',
    )


class YonyouReceiver(WebhookReceiver[YonyouConfig]):
    """One app. An item is the JSON of an event, unsealed."""

    def open(self, request: HookRequest) -> Envelope | Reply:
        secrets = {aes_key(secret): secret for secret in revealed(self.config.app_secrets)}
        known = self.learned.get("signature", "")
        variants = {known: VARIANTS[known]} if known in VARIANTS else VARIANTS
        variant = verify_any(variants, request, [*secrets.values()])
        sealed = value_at("json:encrypt", request)
        opened = unseal_any([*secrets], sealed, [self.config.app_key])
        reply = self._success(request, variant, secrets[opened.key])
        items = self.items(opened.text, _names)
        if items[0].type == "CHECK_URL":
            return reply
        return Envelope(items, reply, learned={"signature": variant})

    def parse(self, body: bytes) -> Iterator[Row]:
        """Nothing: an event says that something changed, each kind in words of its own."""
        _names(json.loads(body))
        yield from ()

    def sample(self, at: datetime) -> HookRequest:
        variant = self.learned.get("signature", "hmac-sha256")
        event = {"type": "SAMPLE", "eventId": f"sample-{at.timestamp():.0f}"}
        secret = revealed(self.config.app_secrets)[0]
        return self._signed(json.dumps(event).encode(), "sample", at, variant, secret)

    def _success(self, request: HookRequest, variant: str, secret: str) -> Reply:
        if self.config.reply == "plain":
            return Reply(200, b"success", {"Content-Type": "text/plain; charset=utf-8"})
        nonce = value_at("json:nonce", request)
        answer = self._signed(b"success", nonce, request.received_at, variant, secret)
        return Reply(200, answer.body, {"Content-Type": "application/json"})

    def _signed(
        self, text: bytes, nonce: str, at: datetime, variant: str, secret: str
    ) -> HookRequest:
        """A text, sealed and signed as events are."""
        told = {
            "timestamp": int(at.timestamp() * 1000),
            "nonce": nonce,
            "encrypt": seal(aes_key(secret), text, self.config.app_key),
        }
        bare = HookRequest("POST", {}, {}, json.dumps(told).encode(), at)
        return VARIANTS[variant].sign(bare, secret)


def aes_key(app_secret: str) -> str:
    """The key of the sealed texts, which is the app's secret in another form."""
    return app_secret.replace("-", "")[:43].ljust(43, "0")


def _names(event: dict[str, Any]) -> tuple[Any, None, Any]:
    return event.get("eventId"), None, event["type"]
