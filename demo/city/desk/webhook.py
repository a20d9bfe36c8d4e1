"""City desk webhooks: Standard Webhooks that name a record; what it holds is fetched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

from demo.city.desk.adapter import DeskConfig
from demo.city.desk.server import sign
from hub.sdk import Deleted, Envelope, HookRequest, Item, RecordRef, WebhookReceiver
from hub.sdk.signing import STANDARD, revealed


class DeskReceiver(WebhookReceiver[DeskConfig]):
    def open(self, request: HookRequest) -> Envelope:
        STANDARD.verify(request, revealed(self.config.webhook_secrets))
        event, named = request.headers["webhook-id"], json.loads(request.body)
        return Envelope([Item(request.body, event, f"{named['stream']}/{named['id']}")])

    def parse(self, body: bytes) -> Iterator[RecordRef | Deleted]:
        named = json.loads(body)
        kind = Deleted if named["type"] == "deleted" else RecordRef
        yield kind(named["stream"], named["id"])

    def sample(self, at: datetime) -> HookRequest:
        body = json.dumps({"type": "deleted", "stream": "tickets", "id": "sample"}).encode()
        secret = next(s.get_secret_value() for s in self.config.webhook_secrets)
        headers = sign(secret, "sample", str(int(at.timestamp())), body)
        return HookRequest("POST", headers, {}, body, at)
