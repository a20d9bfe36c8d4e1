"""Call records as a call centre pushes them: GET or POST, form or JSON, as its preset says.

Most sign nothing: the sender is proven by what the connection configures, or by ``recipe``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

from pydantic import Field, SecretStr, model_validator

from adapters.callcenter.preset import Preset, names, preset
from hub.sdk import Envelope, HookRequest, Reply, Row, WebhookReceiver, at
from hub.sdk.proof import ProofConfig, attest, prove
from hub.sdk.signing import Recipe, form, revealed

SAMPLE = "hub_sample"


class CallCenterHookConfig(ProofConfig):
    preset: str = Field(
        description="Whose calls they are: `aliyun`, `qimo`, `tencent` or `tianrun`",
        examples=["tencent"],
    )
    paths: dict[str, str] = Field(
        default={},
        description="Where a part of a call is, in place of the preset's path (JMESPath)",
        examples=[{"agent": "cdr_client_number"}],
    )
    words: dict[str, dict[str, str]] = Field(
        default={},
        description="Our words for the vendor's, by part, beside those of the preset",
        examples=[{"result": {"33": "missed_agent"}}],
    )
    recipe: Recipe | None = Field(
        default=None, description="How pushes are signed, where they are; as for the adapter hook"
    )
    secrets: tuple[SecretStr, ...] = Field(
        default=(), description="Secrets for the recipe; two while one is rotated"
    )
    recording_prefix: str = Field(
        default="", description="What stands before a recording's file name to make it an address"
    )

    @model_validator(mode="after")
    def _is_complete(self) -> CallCenterHookConfig:
        if self.preset not in names():
            raise ValueError(f"there is no preset {self.preset!r}, only {', '.join(names())}")
        self.whole()  # so that a wrong path is told at start
        return self

    def whole(self) -> Preset:
        """The preset with what this connection says otherwise."""
        base = preset(self.preset)
        words = {part: {**base.words.get(part, {}), **table} for part, table in self.words.items()}
        return Preset.model_validate(
            base.model_dump()
            | {
                "paths": {**base.paths, **self.paths},
                "words": {**base.words, **words},
                "recipe": self.recipe or base.recipe,
                "recording_prefix": self.recording_prefix or base.recording_prefix,
            }
        )


class CallCenterReceiver(WebhookReceiver[CallCenterHookConfig]):
    """One call centre. A row is a call as ``Preset.call`` tells it."""

    @cached_property
    def preset(self) -> Preset:
        return self.config.whole()

    def open(self, request: HookRequest) -> Envelope:
        if self.preset.recipe:
            self.preset.recipe.verify(request, revealed(self.config.secrets))
        if self.config.asks or not self.preset.recipe:
            prove(self.config, request)
        told = {n: v for n, v in request.query.items() if n != self.config.token_query}
        body = request.body or json.dumps(told).encode()
        kind, _, name = self.preset.event_id.partition(":")
        named = request.headers.get(name) if kind == "header" else None
        items = self.items(body, lambda event: self._name(event, named), self._events, _read)
        reply = Reply(200, self.preset.body.encode(), {"Content-Type": "application/json"})
        return Envelope(items, reply)

    def parse(self, body: bytes) -> Iterator[Row]:
        event = _read(body)
        if SAMPLE not in event:
            yield from (Row("calls", call) for call in self.preset.calls([event]))

    def sample(self, at: datetime) -> HookRequest:
        if self.preset.recipe:
            return super().sample(at)
        body = json.dumps({SAMPLE: at.isoformat()}).encode()
        return attest(self.config, HookRequest("POST", {}, {}, body, at, url=self.address))

    def _events(self, found: Any) -> list[Any]:
        events = at(self.preset.events, found) if self.preset.events else found
        return events if isinstance(events, list) else [events]

    def _name(self, event: Mapping[str, Any], named: str | None) -> tuple[Any, Any, Any]:
        id_ = at(self.preset.paths["id"], event)
        return named, f"calls/{id_}" if id_ else None, "call"


def _read(body: bytes) -> Any:
    return json.loads(body) if body.lstrip()[:1] in (b"{", b"[") else dict(form(body))
