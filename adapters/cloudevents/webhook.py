"""Receiver for any sender of CloudEvents 1.0: binary, structured and batched messages.

The word before the last dot of a type names the stream ("com.example.order.updated" → orders; a
version behind it does not count), "….deleted" says that the record is gone. What is stored is the
event in JSON, whichever way it came.

Source: https://github.com/cloudevents/spec (1.0.2, checked 2026-11)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

from pydantic import Field, SecretStr

from hub.sdk import (
    ConfigError,
    Deleted,
    Envelope,
    HookRequest,
    Item,
    RecordRef,
    Reply,
    Row,
    SignatureError,
    WebhookReceiver,
)
from hub.sdk.cloudevents import (
    CloudEvent,
    from_binary,
    from_structured,
    loads,
    mode,
    split,
    to_structured,
)
from hub.sdk.proof import ProofConfig, attest, prove
from hub.sdk.signing import STANDARD, STANDARD_PUBLIC, header, revealed, verify_any, verify_token

_VERSION = re.compile(r"\.v\d+$")


class CloudEventsConfig(ProofConfig):
    secrets: tuple[SecretStr, ...] = Field(
        default=(),
        description='Secrets ("whsec_…") or public keys ("whpk_…") of a sender that signs by'
        " Standard Webhooks; binary messages are then refused, as their attributes are not signed",
        examples=[["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]],
    )
    bearer_tokens: tuple[SecretStr, ...] = Field(
        default=(),
        description="Tokens the sender gives as `Authorization: Bearer …`, or as `access_token` in"
        " the address; two while one is rotated",
    )
    origins: tuple[str, ...] = Field(
        default=(),
        description='Senders that are granted leave when they ask by OPTIONS; "*" = all',
        examples=[["eventgrid.azure.net"]],
    )
    requests_per_minute: int | None = Field(
        default=None, ge=1, description="How many requests they are granted; without it, any number"
    )
    accept: tuple[str, ...] = Field(
        min_length=1,
        default=("customers", "orders", "invoices", "products", "tickets", "messages"),
        description="Streams this sender may write to; each needs a mapping of that name",
    )
    rename: dict[str, str] = Field(
        default={},
        description='Stream of a type\'s last word but one where that is not the word + "s"',
        examples=[{"SalesOrder": "orders"}],
    )


class CloudEventsReceiver(WebhookReceiver[CloudEventsConfig]):
    """One sender. A row is an event's data with ``event_type``, ``event_time`` and so on."""

    asks_leave: ClassVar[bool] = True

    def open(self, request: HookRequest) -> Envelope | Reply:
        if request.method == "OPTIONS":
            return self._grant(request)
        self._prove(request)
        carried = mode(request.headers)
        if self.config.secrets and carried not in ("structured", "batched"):
            raise SignatureError(
                "only the body is signed, and the event's attributes are not in it",
                hint="Let the sender use structured mode, or prove itself without `secrets`.",
            )
        if not carried:
            return _refused(415, "This is no CloudEvent in binary mode or in JSON.")
        if carried != "binary":
            return Envelope([_item(body) for body in _split(carried, request.body)])
        try:
            event = from_binary(request.headers, request.body)
        except ValueError as exc:
            return _refused(400, f"The CloudEvent is malformed: {exc}.")
        return Envelope([_item(to_structured(event)[1])])

    def parse(self, body: bytes) -> Iterator[Row | RecordRef | Deleted]:
        try:
            event = from_structured(body)
            data = loads(event.data) if isinstance(event.data, bytes) else event.data or {}
        except ValueError as exc:
            raise ConfigError(f"the CloudEvent cannot be read: {exc}") from exc
        if not isinstance(data, dict):
            raise ConfigError("the data of the CloudEvent is not a JSON object")
        stream, is_gone = self._named(event.text("type"))
        if stream not in self.config.accept:
            raise ConfigError(
                f"the stream {stream!r} is not accepted",
                hint="Add it to `accept` of this connection, or give the event's word a `rename`.",
            )
        if is_gone:
            yield Deleted(stream, str(data.get("id") or event.text("subject")))
        else:
            names = ("type", "source", "subject", "time")
            told = {f"event_{name}": event.text(name) for name in names if event.text(name)}
            yield Row(stream, {**data, **told})

    def sample(self, at: datetime) -> HookRequest:
        config, stream = self.config, self.config.accept[0]
        words = [word for word, renamed in config.rename.items() if renamed == stream]
        attributes: dict[str, str | int | bool] = {
            "specversion": "1.0",
            "id": f"sample-{int(at.timestamp())}",
            "source": "/sample",
            "type": f"org.example.{words[0] if words else stream.removesuffix('s')}.deleted",
            "subject": "sample",
        }
        headers, body = to_structured(CloudEvent(attributes, {"id": "sample"}))
        request = attest(config, HookRequest("POST", headers, {}, body, at))
        for token in revealed(config.bearer_tokens)[:1]:
            request = replace(request, query={**request.query, "access_token": token})
        for secret in revealed(config.secrets)[:1]:
            signed = {"webhook-id": "sample", "webhook-timestamp": str(int(at.timestamp()))}
            request = replace(request, headers={**request.headers, **signed})
            request = STANDARD.sign(request, secret)
        return request

    def _prove(self, request: HookRequest) -> None:
        """All that is configured must hold, and something must be."""
        config = self.config
        if config.secrets:
            recipes = {"v1": STANDARD, "v1a": STANDARD_PUBLIC}
            verify_any(recipes, request, revealed(config.secrets))
        if config.bearer_tokens:
            told = request.headers.get("authorization", "")
            scheme, _, token = told.partition(" ")
            given = token if scheme.lower() == "bearer" else request.query.get("access_token", "")
            verify_token(revealed(config.bearer_tokens), given)
        if config.asks or not (config.secrets or config.bearer_tokens):
            prove(config, request)

    def _grant(self, request: HookRequest) -> Reply:
        """Leave to send, for whom an administrator named; the secret path is part of the address.

        Source: https://github.com/cloudevents/spec, http-webhook.md, section 4 (checked 2026-11)
        """
        if self.config.path_tokens:
            verify_token(revealed(self.config.path_tokens), request.path)
        origin = header(request.headers, "webhook-request-origin")
        if not {origin, "*"} & set(self.config.origins):
            raise SignatureError(
                "an origin that is not among `origins` asks for leave to send",
                hint="Add it to `origins` of this connection if it is meant.",
            )
        rate = self.config.requests_per_minute
        granted = {"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": str(rate or "*")}
        return Reply(headers={**granted, "Allow": "POST"})

    def _named(self, type_: str) -> tuple[str, bool]:
        """The stream a type speaks of, and whether it says that the record is gone."""
        before, _, verb = _VERSION.sub("", type_).rpartition(".")
        word = before.rpartition(".")[2]
        return self.config.rename.get(word, f"{word}s"), verb.lower() == "deleted"


def _split(carried: str, body: bytes) -> list[bytes]:
    """The events in a body; what is no batch stays whole, for ``_item`` to keep."""
    try:
        return split(body) if carried == "batched" else [body]
    except ValueError:
        return [body]


def _item(body: bytes) -> Item:
    try:
        event = from_structured(body)
    except ValueError:
        return Item(body)  # genuine but unreadable: kept, and quarantined by parse
    # A "|" has no place in a source; encoded, no two pairs of names read the same.
    name = f"{event.text('source').replace('|', '%7C')}|{event.text('id')}"
    return Item(body, name, event.text("subject") or None, event.text("type"))


def _refused(status: int, detail: str) -> Reply:
    told: dict[str, Any] = {"status": status, "detail": detail}
    return Reply(status, json.dumps(told).encode(), {"Content-Type": "application/problem+json"})
