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
from typing import Any

from adapters.yonyou.config import YonyouConfig
from hub.sdk import Envelope, HookRequest, RecordRef, Reply, WebhookReceiver, at
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


ABOUT = {"YXYBASEDOC_AA_MERCHANT": "customers", "SALE_": "orders"}
"""What an event is about, by how its code begins. Other events say nothing the hub can ask for."""

ID = "id || billId || BILL_INFO.billId || archive.id || userObject.archives[0].id || data.id"
"""Where an event has the id of what changed: each kind has its own place."""


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

    def parse(self, body: bytes) -> Iterator[RecordRef]:
        """What changed, to be asked for; an event of a deletion as well: the answer tells."""
        event = json.loads(body)
        _names(event)
        about = _about(event)
        if about and self.config.asks:
            yield about

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


def _about(event: dict[str, Any]) -> RecordRef | None:
    kind = str(event["type"])
    stream = next((of for begins, of in ABOUT.items() if kind.startswith(begins)), None)
    id_ = at(ID, event)
    return RecordRef(stream, str(id_)) if stream and id_ else None


def _names(event: dict[str, Any]) -> tuple[Any, str | None, Any]:
    about = _about(event)
    key = f"{about.stream}/{about.id}" if about else None
    return event.get("eventId"), key, event["type"]
