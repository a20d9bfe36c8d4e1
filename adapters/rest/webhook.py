"""Webhooks of a described system: proven by its recipe or by a word, and told in operations.

Source: docs/rest.md (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any

from adapters.rest.config import Made, RestConfig
from adapters.rest.system import Webhook
from adapters.rest.template import Scope, fill, shown, text
from hub.sdk import (
    ConfigError,
    Deleted,
    Envelope,
    HookRequest,
    RecordRef,
    RejectedError,
    Reply,
    Row,
    SignatureError,
    WebhookReceiver,
    at,
)
from hub.sdk.signing import revealed, value_at, verify_token

SAMPLE = "hub_sample"
"""Its presence marks a body of ours, of which nothing is to be made."""


class RestReceiver(WebhookReceiver[RestConfig]):
    """What one described system tells. A row is an event's record."""

    @property
    def hook(self) -> Webhook:
        """The part of the file about webhooks.

        Raises:
            SignatureError: it has none, so nobody is believed.
        """
        found = self.config.described_system.webhook
        if found is None:
            raise SignatureError(
                "this system sends nothing here",
                hint=f"Give {self.config.file} a [webhook] that says how it proves itself.",
            )
        return found

    def open(self, request: HookRequest) -> Envelope | Reply:
        hook, secrets = self.hook, revealed(self.config.webhook_secrets)
        if hook.recipe:
            hook.recipe.verify(request, secrets)
        else:
            place = hook.token
            verify_token(secrets, request.path if place == "path" else value_at(place, request))
        if hook.handshake and (word := _word(hook.handshake.word, request)):
            return _reply(200, fill(hook.handshake.body, Scope({"word": word})))
        kind, _, header = hook.event_id.partition(":")

        def name(event: Any) -> tuple[Any, Any, Any]:
            in_header = request.headers.get(header.lower()) if kind == "header" else None
            event_id = in_header or (at(hook.event_id, event) if hook.event_id else None)
            key = at(hook.order, event) if hook.order else None
            type_ = at(hook.type, event) if hook.type else None
            return event_id, key or self._record_key(event), None if type_ is None else shown(type_)

        def split(found: Any) -> Any:
            return at(hook.events, found)

        answer = _reply(hook.answer.status, hook.answer.body) if hook.answer else None
        split_ = split if hook.events else None
        return Envelope(self.items(request.body, name, split_), answer)

    def parse(self, body: bytes) -> Iterator[Row | RecordRef | Deleted]:
        event = json.loads(body)
        if SAMPLE in event:
            return
        act, made = self._act(event), self._stream(event)
        if act == "ignore":
            return
        if made is None:
            raise ConfigError(
                "the event names no stream of this connection",
                hint="Add the stream to this connection, then replay the event.",
            )
        if act == "row":
            yield Row(made.name, at(self.hook.record, event))
            return
        id_ = self._id(made, event)
        if not id_:
            raise RejectedError("the event does not say of which record it is")
        yield Deleted(made.name, id_) if act == "deleted" else RecordRef(made.name, id_)

    def sample(self, at: datetime) -> HookRequest:
        hook, secrets = self.hook, revealed(self.config.webhook_secrets)
        body = json.dumps({SAMPLE: at.isoformat()}).encode()
        request = HookRequest("POST", {}, {}, body, at, url=self.address)
        if hook.recipe is None:
            return _placed(request, hook.token, next(iter(secrets), ""))
        places = [p for p in hook.recipe.parts if p.startswith(("header:", "query:"))]
        for place in places:
            request = _placed(request, place, "sample")
        if hook.recipe.timestamp:
            request = _placed(request, hook.recipe.timestamp, f"{at.timestamp():.0f}")
        return hook.recipe.sign(request, next(iter(secrets), ""))

    def _act(self, event: Any) -> str:
        hook = self.hook
        word = at(hook.type, event) if hook.type else None
        known = hook.operations.get("" if word is None else shown(word), hook.otherwise)
        if known is None and hook.operations:
            raise RejectedError(
                f"the operation {shown(word)!r:.60} is not listed",
                hint=f"List it in [webhook.operations] of {self.config.file}, then replay it.",
            )
        return known or "row"

    def _stream(self, event: Any) -> Made | None:
        if not self.hook.stream:
            return next(iter(self.config.made.values()), None)
        word = at(self.hook.stream, event)
        return self._by_word.get("" if word is None else shown(word))

    @cached_property
    def _by_word(self) -> Mapping[str, Made]:
        """The streams by the vendor's words for them."""
        made = self.config.made.values()
        return {text(m.part.word or m.name, Scope(self.config.names(m))): m for m in made}

    def _id(self, made: Made, event: Any) -> str:
        hook = self.hook
        found = at(hook.id, event) if hook.id else at(made.part.id, at(hook.record, event))
        return "" if found is None else shown(found)

    def _record_key(self, event: Any) -> str | None:
        made = self._stream(event)
        id_ = self._id(made, event) if made else ""
        return f"{made.name}/{id_}" if made and id_ else None


def _word(place: str, request: HookRequest) -> str:
    try:
        return value_at(place, request)
    except SignatureError:
        return ""


def _reply(status: int, body: Any) -> Reply:
    if isinstance(body, str):
        return Reply(status, body.encode())
    told = json.dumps(body, ensure_ascii=False).encode()
    return Reply(status, told, {"Content-Type": "application/json"})


def _placed(request: HookRequest, place: str, value: str) -> HookRequest:
    kind, _, name = place.partition(":")
    if kind == "path":
        return replace(request, path=value)
    if kind == "query":
        return replace(request, query={**request.query, name: value})
    if kind == "header":
        return replace(request, headers={**request.headers, name: value})
    return request
