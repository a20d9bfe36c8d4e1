"""Webhooks of 简道云: the record of a form that was created, changed, removed or brought back.

``X-JDY-Signature`` is the hex SHA-1 of ``nonce:body:secret:timestamp``; nonce and timestamp stand
in the query.

Source: https://github.com/jiandaoyun/webhook-demo (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import Field, SecretStr

from hub.sdk import (
    ConfigError,
    ConnectionConfig,
    Deleted,
    Envelope,
    HookRequest,
    Row,
    WebhookReceiver,
)
from hub.sdk.signing import Recipe, revealed

RECIPE = Recipe(
    signature="header:x-jdy-signature",
    parts=("query:nonce", "body", "secret", "query:timestamp"),
    separator=":",
    digest="sha1",
    timestamp="query:timestamp",
)

WRITTEN = frozenset({"data_create", "data_update", "data_recover"})


class JiandaoyunConfig(ConnectionConfig):
    webhook_secrets: tuple[SecretStr, ...] = Field(
        min_length=1,
        description="Secret of the webhook; two while it is changed",
        examples=[["test-secret"]],
    )
    forms: dict[str, str] = Field(
        min_length=1,
        description="Stream of each form by its entry id; each stream needs a mapping of that name",
        examples=[{"59264073a2a60c0c08e20bfd": "tickets"}],
    )


class JiandaoyunReceiver(WebhookReceiver[JiandaoyunConfig]):
    """One webhook. A row is a form's record with all its fields."""

    def open(self, request: HookRequest) -> Envelope:
        RECIPE.verify(request, revealed(self.config.webhook_secrets))
        return Envelope(self.items(request.body, _names))

    def parse(self, body: bytes) -> Iterator[Row | Deleted]:
        event = json.loads(body)
        operation, record = event["op"], event["data"]
        if operation == "data_remove":
            yield Deleted(self._stream(record), str(record["_id"]))
        elif operation in WRITTEN:
            yield Row(self._stream(record), record)

    def sample(self, at: datetime) -> HookRequest:
        second = str(int(at.timestamp()))
        event = {"op": "sample", "data": {"entryId": next(iter(self.config.forms))}}
        query = {"nonce": "sample", "timestamp": second}
        bare = HookRequest("POST", {}, query, json.dumps(event).encode(), at)
        return RECIPE.sign(bare, revealed(self.config.webhook_secrets)[0])

    def _stream(self, record: dict[str, str]) -> str:
        form = record.get("entryId", "")
        if form not in self.config.forms:
            raise ConfigError(
                f"the form {form!r} is in none of this connection's streams",
                hint="Add it to `forms` of this connection, then replay the event.",
            )
        return self.config.forms[form]


def _names(event: dict[str, Any]) -> tuple[None, str | None, Any]:
    # The delivery's id stands in a header, which is not signed: events go by their bytes.
    form, id_ = event["data"].get("entryId"), event["data"].get("_id")
    return None, f"{form}/{id_}" if id_ else None, event["op"]
