"""HubSpot webhooks: a batch of thin events, each naming one object.

Version 3 signs method, address, body and instant; 2 and 1 are older and carry no instant.

Source: https://developers.hubspot.com/docs/api/webhooks/validating-requests (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from adapters.hubspot.config import HubspotConfig
from adapters.hubspot.objects import KINDS, STREAM_OF
from hub.sdk import ConfigError, Deleted, Envelope, HookRequest, RecordRef, WebhookReceiver
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

GONE = ("deletion", "privacyDeletion")


class HubspotReceiver(WebhookReceiver[HubspotConfig]):
    """One app. An item is one event of a batch."""

    def open(self, request: HookRequest) -> Envelope:
        believed: dict[str, Recipe] = {name: RECIPES[name] for name in self.config.versions}
        verify_any(believed, request, revealed(self.config.client_secrets))
        return Envelope(self.items(request.body, _name, _split))

    def parse(self, body: bytes) -> Iterator[RecordRef | Deleted]:
        """What is gone, and what must be fetched to be known; of a merge both."""
        event = json.loads(body)
        kind, _, verb = event["subscriptionType"].partition(".")
        kind = KINDS.get(str(event.get("objectTypeId")), kind) if kind == "object" else kind
        stream = STREAM_OF.get(kind)
        if stream is None:
            return
        if verb in GONE:
            yield Deleted(stream, str(event["objectId"]))
            return
        of, primary = _of(event), event.get("primaryObjectId")
        kept = str(of)
        if verb == "merge":  # it may have made a third object of two
            kept = str(event.get("newObjectId") or primary or of)
            merged = (*event.get("mergedObjectIds", ()), primary, of)
            for id_ in sorted({str(one) for one in merged if one is not None} - {kept}):
                yield Deleted(stream, id_)
        if self.config.calls:
            yield RecordRef(stream, kept)

    def sample(self, at: datetime) -> HookRequest:
        secrets = revealed(self.config.client_secrets)
        if not secrets:
            raise ConfigError("nothing proves events", hint="Set client_secrets.")
        instant = round(at.timestamp() * 1000)
        event = {"eventId": 0, "subscriptionId": 0, "objectId": 0, "occurredAt": instant}
        body = json.dumps([{**event, "subscriptionType": "sample.creation"}]).encode()
        headers = {"x-hubspot-request-timestamp": str(instant)}
        bare = HookRequest("POST", headers, {}, body, at, url=self.address)
        recipe = RECIPES[self.config.versions[0]]
        return recipe.sign(bare, secrets[0])


def _split(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]


def _name(event: Any) -> tuple[Any, Any, Any]:
    type_ = event["subscriptionType"]
    of, told = _of(event), (event["subscriptionId"], event["eventId"], event["occurredAt"])
    # eventId alone is not promised to be unique
    return "/".join(map(str, (*told, of))), f"{type_.partition('.')[0]}/{of}", type_


def _of(event: Any) -> Any:
    """The object an event is of; that of a link names its two ends."""
    return event.get("objectId", event.get("fromObjectId"))
