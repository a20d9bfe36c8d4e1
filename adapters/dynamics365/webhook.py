"""Dataverse webhooks: the execution context of a step, proven by a header or a key in the address.

Above 256 KB the context comes without its records, and an update tells only what changed: an event
says which record to look at.

Source: https://learn.microsoft.com/power-apps/developer/data-platform/use-webhooks
(checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import Field

from hub.sdk import Deleted, Envelope, HookRequest, Reply, WebhookReceiver
from hub.sdk.proof import ProofConfig, attest, prove

STREAMS = {
    "account": "accounts",
    "contact": "contacts",
    "incident": "incidents",
    "salesorder": "salesorders",
    "invoice": "invoices",
}
"""Entity sets by the logical name of their tables."""

PLAIN = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}


class DynamicsConfig(ProofConfig):
    token_query: str = Field(
        default="code",
        pattern=r"^[a-zA-Z0-9_-]+$",
        description='Parameter that carries one of `query_tokens`; "code" for a WebhookKey',
    )


class DynamicsReceiver(WebhookReceiver[DynamicsConfig]):
    """One environment. An item is the context of one step."""

    def open(self, request: HookRequest) -> Envelope | Reply:
        prove(self.config, request)
        token = request.query.get("validationToken")
        if token is not None:
            return Reply(200, token.encode("utf-8", "replace"), PLAIN)
        return Envelope(self.items(request.body, _name))

    def parse(self, body: bytes) -> Iterator[Deleted]:
        """Only what is gone: any other record must be fetched to be known."""
        context = json.loads(body)
        stream = STREAMS.get(context["PrimaryEntityName"])
        if stream and context["MessageName"] == "Delete":
            yield Deleted(stream, context["PrimaryEntityId"])

    def sample(self, at: datetime) -> HookRequest:
        context = {"MessageName": "sample", "PrimaryEntityName": "sample", "PrimaryEntityId": "0"}
        body = json.dumps({**context, "CorrelationId": f"{at.timestamp():.0f}"}).encode()
        return attest(self.config, HookRequest("POST", {}, {}, body, at))


def _name(context: Any) -> tuple[Any, Any, Any]:
    table, id_, verb = (
        context[name] for name in ("PrimaryEntityName", "PrimaryEntityId", "MessageName")
    )
    # A synchronous step has no OperationId of its own, and one request may run several.
    ids = (
        context.get("CorrelationId"),
        context.get("OperationId"),
        context.get("Depth"),
        id_,
        verb,
    )
    return "/".join(map(str, ids)), f"{table}/{id_}", f"{table}.{verb}"
