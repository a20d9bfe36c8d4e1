"""Receiver for any sender there is no adapter for: JSON, XML or forms, and whatever proves them.

A path is a dotted name into an event, such as ``data.order.id`` or ``items.0.id``; ``@`` is the
event itself. An event is the body, or each item of the list at ``events_path``. An XML element
becomes an object by the names of its children, its attributes as ``@name``; a form by its fields.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import Element

from pydantic import Field, SecretStr, model_validator

from hub.sdk import (
    ConfigError,
    Deleted,
    Envelope,
    HookRequest,
    Reply,
    Row,
    SignatureError,
    WebhookReceiver,
)
from hub.sdk.proof import ProofConfig, attest, prove
from hub.sdk.signing import Recipe, form, hmac_digest, revealed, xml

SAMPLE = "hub_sample"
"""Its presence marks a body of ours, of which nothing is to be made."""


class HookConfig(ProofConfig):
    recipe: Recipe | None = Field(
        default=None,
        description="How the sender signs: `signature`, `parts`, `separator`, `digest`, "
        "`encoding`, `prefix`, `timestamp` … (see README.md)",
    )
    secrets: tuple[SecretStr, ...] = Field(
        default=(), description="Secrets for the recipe; two while one is rotated"
    )
    events_path: str = Field(
        default="", description="Where a body that holds several events has their list"
    )
    event_id_path: str = Field(
        default="",
        description="What names an event, `header:x-event-id` for a header; without it the same "
        "body is the same event",
    )
    type_path: str = Field(default="", description="The sender's word for what happened")
    order_key_path: str = Field(
        default="", description="What keeps events in order; by default stream and id of the record"
    )
    stream: str = Field(default="", description="Stream of every record, such as customers")
    stream_path: str = Field(
        default="", description="The word that names the stream, where there are several"
    )
    streams: dict[str, str] = Field(
        default={},
        description="Stream by the word at `stream_path`; other words are refused then",
        examples=[{"client": "customers"}],
    )
    record_path: str = Field(default="@", description="Where an event has its record")
    id_path: str = Field(default="id", description="The record's id, within the record")
    deleted_types: tuple[str, ...] = Field(
        default=(), description="Words at `type_path` that say the record is gone"
    )
    challenge_path: str = Field(
        default="",
        description="Where a signed body asks whether the secret is known here, such as "
        "`payload.plainToken` of Zoom; the answer is that word and its HMAC-SHA256",
    )

    @model_validator(mode="after")
    def _asks_for_a_secret(self) -> HookConfig:
        if self.challenge_path and not (self.recipe and self.secrets):
            raise ValueError("challenge_path needs a recipe and its secrets")
        return self


class HookReceiver(WebhookReceiver[HookConfig]):
    """One sender. A row is an event's record, as JSON."""

    def open(self, request: HookRequest) -> Envelope | Reply:
        config = self.config
        if config.recipe:
            config.recipe.verify(request, revealed(config.secrets))
        if config.asks or not config.recipe:
            prove(config, request)
        if config.challenge_path and (word := _word(request.body, config.challenge_path)):
            return self._known(request, word)
        kind, _, header = config.event_id_path.partition(":")

        def name(event: Any) -> tuple[Any, Any, Any]:
            in_header = kind == "header" and request.headers.get(header.lower())
            event_id = in_header or _at(event, config.event_id_path)
            key = _at(event, config.order_key_path) or self._order_key(event)
            return event_id, key, _at(event, config.type_path)

        def split(found: Any) -> Any:
            return _at(found, config.events_path)

        split_ = split if config.events_path else None
        return Envelope(self.items(request.body, name, split_, read=_read))

    def parse(self, body: bytes) -> Iterator[Row | Deleted]:
        event = _read(body)
        if SAMPLE in event:
            return
        stream, record = self._stream(event), _at(event, self.config.record_path)
        if not stream:
            raise ConfigError(
                "the event names no stream of this connection",
                hint="Set `stream`, or `stream_path` with the word in `streams`.",
            )
        type_ = _at(event, self.config.type_path)
        if type_ is not None and str(type_) in self.config.deleted_types:
            yield Deleted(stream, str(_at(record, self.config.id_path)))
        else:
            yield Row(stream, record)

    def sample(self, at: datetime) -> HookRequest:
        config = self.config
        body = json.dumps({SAMPLE: at.isoformat()}).encode()
        bare = HookRequest("POST", {}, {}, body, at, url=self.address)
        request = attest(config, bare) if config.asks else bare
        if config.recipe is None:
            return request
        kind, _, name = config.recipe.timestamp.partition(":")
        instant = {name: f"{at.timestamp():.0f}"}
        if kind == "header":
            request = replace(request, headers={**request.headers, **instant})
        if kind == "query":
            request = replace(request, query={**request.query, **instant})
        return config.recipe.sign(request, revealed(config.secrets)[0])

    def _known(self, request: HookRequest, word: str) -> Reply:
        """Proof that we have the secret this request was signed with."""
        secret = next(one for one in revealed(self.config.secrets) if self._signed(request, one))
        sealed = hmac_digest(secret.encode(), word.encode()).hex()
        answer = json.dumps({"plainToken": word, "encryptedToken": sealed})
        return Reply(200, answer.encode(), {"Content-Type": "application/json"})

    def _signed(self, request: HookRequest, secret: str) -> bool:
        recipe = self.config.recipe
        try:
            if recipe:
                recipe.verify(request, [secret])
        except SignatureError:
            return False
        return recipe is not None

    def _stream(self, event: Any) -> str:
        """The stream an event is of; "" for none."""
        word = _at(event, self.config.stream_path)
        if word is None:
            return self.config.stream
        known = self.config.streams
        return known.get(str(word), "") if known else str(word)

    def _order_key(self, event: Any) -> str | None:
        id_ = _at(_at(event, self.config.record_path), self.config.id_path)
        return None if id_ is None else f"{self._stream(event)}/{id_}"


def _at(found: Any, path: str) -> Any:
    """What a path leads to; None when it leads nowhere."""
    if path == "@":
        return found
    for step in path.split("."):
        if isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            found = found.get(step) if isinstance(found, dict) else None
    return found


def _word(body: bytes, path: str) -> str:
    """The word there; "" where the body has none, or cannot be read."""
    try:
        found = _at(_read(body), path)
        return found if isinstance(found, str) and found.encode() else ""
    except (ValueError, RecursionError, SyntaxError):
        return ""


def _read(body: bytes) -> Any:
    start = body.lstrip()[:1]
    if start in (b"{", b"["):
        return json.loads(body)
    return _plain(xml(body)) if start == b"<" else dict(form(body))


def _plain(element: Element) -> Any:
    """Text for an element that holds nothing else; of children of one name a list."""
    found: dict[str, Any] = {f"@{_local(name)}": value for name, value in element.attrib.items()}
    for child in element:
        name, value = _local(child.tag), _plain(child)
        had = found.get(name)
        found[name] = (
            value if had is None else [*had, value] if isinstance(had, list) else [had, value]
        )
    text = (element.text or "").strip()
    if not found:
        return text
    return {**found, "#": text} if text else found


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
