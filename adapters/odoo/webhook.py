"""Odoo's automation rules: a POST per change that names its record, sent once and signed by nobody.

One change may be told many times, and from within a transaction that is not yet over: the event is
only a hint to fetch, and the pull stays the truth.

Source: Odoo 17, odoo/addons/base/models/ir_actions.py, and a server of Odoo 17 (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from adapters.odoo.config import OdooConfig
from adapters.odoo.models import MODELS
from hub.sdk import Envelope, HookRequest, RecordRef, WebhookReceiver
from hub.sdk.proof import attest, prove

STREAM_OF = {model: stream for stream, model in MODELS.items()}


class OdooReceiver(WebhookReceiver[OdooConfig]):
    """An item is one call; equal bodies are one event."""

    def open(self, request: HookRequest) -> Envelope:
        prove(self.config, request)
        return Envelope(self.items(request.body, _name))

    def parse(self, body: bytes) -> Iterator[RecordRef]:
        """The record, which must be fetched to be known; nothing where the hub may not ask."""
        told = json.loads(body)
        stream, id_ = STREAM_OF.get(told["_model"]), int(told["_id"])
        if self.config.calls and stream:
            yield RecordRef(stream, str(id_))

    def sample(self, at: datetime) -> HookRequest:
        told = {"_action": "sample", "_id": 0, "_model": "sample", "at": at.isoformat()}
        bare = HookRequest("POST", {}, {}, json.dumps(told).encode(), at)
        return attest(self.config, bare)


def _name(told: Any) -> tuple[Any, Any, Any]:
    model, id_ = told["_model"], told["_id"]
    at = told.get("write_date")
    return f"{model}/{id_}/{at}" if at else None, f"{model}/{id_}", model
