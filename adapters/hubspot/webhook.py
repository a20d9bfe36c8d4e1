"""HubSpot webhooks: a batch of thin events, each naming one object.

Version 3 signs method, address, body and instant; 2 and 1 are older and carry no instant.

Source: https://developers.hubspot.com/docs/api/webhooks/validating-requests (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

from pydantic import Field, SecretStr

from hub.sdk import ConnectionConfig, Deleted, Envelope, HookRequest, Row, WebhookReceiver
from hub.sdk.signing import Recipe, revealed, verify_any

RECIPES = {
    "v3": Recipe(
        signature="header:x-hubspot-signature-v3",
        parts=("method", "url", "body", "header:x-hubspot-request-timestamp"),
        encoding="base64",
        url_unquoted=":/?@!$'()*,; ",
        timestamp="header:x-hubspot-request-timestamp",
    ),
    "v2": Recipe(
        signature="header:x-hubspot-signature",
        parts=("secret", "method", "url", "body"),
        digest="sha256",
    ),
    "v1": Recipe(signature="header:x-hubspot-signature", parts=("secret", "body"), digest="sha256"),
}

STREAMS = {"contact": "contacts", "company": "companies", "ticket": "tickets"}

GONE = ("deletion", "privacyDeletion")


class HubspotConfig(ConnectionConfig):
    client_secrets: tuple[SecretStr, ...] = Field(
        min_length=1,
        description="Client secret of the app; two while one is rotated",
    )
    versions: tuple[Literal["v3", "v2", "v1"], ...] = Field(
        min_length=1,
        default=("v3",),
        description="Signatures we believe; v1 and v2 can be sent again by whoever saw them",
    )


class HubspotReceiver(WebhookReceiver[HubspotConfig]):
    """One app. An item is one event of a batch."""

    def open(self, request: HookRequest) -> Envelope:
        believed: dict[str, Recipe] = {name: RECIPES[name] for name in self.config.versions}
        verify_any(believed, request, revealed(self.config.client_secrets))
        return Envelope(self.items(request.body, _name, _split))

    def parse(self, body: bytes) -> Iterator[Row | Deleted]:
        """Only what is gone: a change names its object, which must be fetched to be known."""
        event = json.loads(body)
        kind, _, verb = event["subscriptionType"].partition(".")
        if kind in STREAMS and verb in GONE:
            yield Deleted(STREAMS[kind], str(event["objectId"]))

    def sample(self, at: datetime) -> HookRequest:
        instant = round(at.timestamp() * 1000)
        event = {"eventId": 0, "subscriptionId": 0, "objectId": 0, "occurredAt": instant}
        body = json.dumps([{**event, "subscriptionType": "sample.creation"}]).encode()
        headers = {"x-hubspot-request-timestamp": str(instant)}
        bare = HookRequest("POST", headers, {}, body, at, url=self.address)
        recipe = RECIPES[self.config.versions[0]]
        return recipe.sign(bare, revealed(self.config.client_secrets)[0])


def _split(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]


def _name(event: Any) -> tuple[Any, Any, Any]:
    type_ = event["subscriptionType"]
    of, told = event["objectId"], (event["subscriptionId"], event["eventId"], event["occurredAt"])
    # eventId alone is not promised to be unique
    return "/".join(map(str, (*told, of))), f"{type_.partition('.')[0]}/{of}", type_
