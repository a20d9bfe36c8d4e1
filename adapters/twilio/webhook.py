"""Twilio: incoming messages and their states.

``X-Twilio-Signature`` covers our address and the form's fields. A body that is no form is covered
by its SHA-256 in the address. With a shared key, the header of settings names the newer digest.

Source: https://www.twilio.com/docs/usage/security (checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

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
from hub.sdk.signing import Recipe, body_hash, form, revealed, verify_token

FORM = Recipe(
    signature="header:x-twilio-signature",
    parts=("url", "form"),
    digest="hmac-sha1",
    encoding="base64",
)
HASHED = FORM.model_copy(update={"parts": ("url",)})

SETTINGS = "x-twilio-webhooks-signature-settings"
BODY_HASH = "bodySHA256"

SILENCE = Reply(200, b"<Response/>", {"Content-Type": "text/xml"})
"""TwiML that says nothing: words in the answer would be sent to the customer."""


class TwilioConfig(ConnectionConfig):
    auth_tokens: tuple[SecretStr, ...] = Field(
        min_length=1,
        description="Auth Token of the account, primary first; two while one is rotated",
    )
    shared_keys: tuple[SecretStr, ...] = Field(
        default=(), description="Secrets of SharedKeys, for webhooks set to HMAC_SHA256"
    )


class TwilioReceiver(WebhookReceiver[TwilioConfig]):
    """One account. A row is the form of an incoming message."""

    def open(self, request: HookRequest) -> Envelope:
        told = request.query.get(BODY_HASH)
        recipe, secrets = self._scheme(HASHED if told else FORM, request.headers)
        recipe.verify(request, secrets)
        if told:
            verify_token([body_hash(request.body)], told.lower())
        return Envelope(self.items(request.body, _name, read=_fields), SILENCE)

    def parse(self, body: bytes) -> Iterator[Row]:
        if body.startswith(b"{"):
            return  # nothing of a customer's comes as JSON
        fields = _fields(body)
        if "Body" in fields and "MessageSid" in fields:
            yield Row("messages", fields)

    def sample(self, at: datetime) -> HookRequest:
        fields = {"MessageSid": f"sample-{at.timestamp():.0f}", "MessageStatus": "sent"}
        bare = HookRequest("POST", {}, {}, urlencode(fields).encode(), at, url=self.address)
        return FORM.sign(bare, revealed(self.config.auth_tokens)[0])

    def _scheme(self, recipe: Recipe, headers: Mapping[str, str]) -> tuple[Recipe, list[str]]:
        if SETTINGS not in headers:
            return recipe, revealed(self.config.auth_tokens)
        pairs = (part.strip().partition("=") for part in headers[SETTINGS].split(","))
        algorithm = {name: value for name, _, value in pairs}.get("algorithm")
        if algorithm != "HMAC_SHA256":
            raise SignatureError("the signature's algorithm is not known")
        newer = recipe.model_copy(update={"digest": "hmac-sha256"})
        return newer, revealed(self.config.shared_keys)


def _fields(body: bytes) -> dict[str, str]:
    return dict(form(body))


def _name(fields: Any) -> tuple[Any, Any, Any]:
    status = fields.get("MessageStatus", "")
    sid = fields["MessageSid"]
    return f"{sid}/{status}" if status else sid, f"messages/{sid}", status or "received"
