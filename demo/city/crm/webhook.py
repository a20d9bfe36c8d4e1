"""City CRM webhooks: hex HMAC-SHA256 of ``<sent at>.<body>``; the whole row, or word of its end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

from demo.city.crm.adapter import CrmConfig
from demo.city.crm.server import RECIPE, sign
from hub.sdk import Deleted, Envelope, HookRequest, Item, Row, WebhookReceiver
from hub.sdk.signing import revealed


class CrmReceiver(WebhookReceiver[CrmConfig]):
    def open(self, request: HookRequest) -> Envelope:
        RECIPE.verify(request, revealed(self.config.webhook_secrets))
        event = json.loads(request.body)
        return Envelope([Item(request.body, event["event"], f"{event['stream']}/{event['id']}")])

    def parse(self, body: bytes) -> Iterator[Row | Deleted]:
        event = json.loads(body)
        if event.get("deleted"):
            yield Deleted(event["stream"], event["id"])
        else:
            yield Row(event["stream"], event["row"])

    def sample(self, at: datetime) -> HookRequest:
        event = {"event": "sample", "stream": "contacts", "id": "sample", "deleted": True}
        body = json.dumps(event).encode()
        secret = next(s.get_secret_value() for s in self.config.webhook_secrets)
        headers = sign(secret, body, str(int(at.timestamp())))
        return HookRequest("POST", headers, {}, body, at)
