"""The contract suite: what every adapter promises, as ready pytest tests.

One call gives a vendor's tests::

    from hub import mapping, registry
    from hub.sdk.testing import contract_tests

    TestAcme = contract_tests(registry.manifest("acme"), mapping)

What the suite needs to know is data in the adapter's folder: examples on the config's fields, and
``fixtures/*.json``, each of which is one test, told apart by its first key:

    ``raw``   {raw, stream, expect}: a row is mapped to these records
    ``hook``  {hook: {headers, body, received_at}, config?, rows?, refs?, deleted?, expect?}
    ``pull``  {pull: stream, config?, at, exchanges?, ids}: everything, and again from each cursor
    ``push``  {push: stream, change, config?, exchanges?, again?, receipt | raises}

``exchanges`` are requests with their answers; ``recorded`` writes them down at a real system. Scrub
them before they are shared.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import pytest
import requests
import responses
from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from responses.matchers import json_params_matcher, query_param_matcher
from responses.registries import OrderedRegistry

from hub import errors
from hub.sdk.adapter import Adapter, ConnectionConfig, capabilities
from hub.sdk.egress import GuardedAdapter
from hub.sdk.types import Change, Deleted, Envelope, HookRequest, Page, RecordRef, Row, Stream
from hub.sdk.webhook import WebhookReceiver

CANARY = "canary-7f3a9d"
"""Every secret of a test contains it; wherever it turns up, a secret got out."""

NOW = datetime(2026, 11, 21, 12, 0, 0, 500_000, tzinfo=UTC)
_SECRET_NAME = re.compile(r"(password|secret|token|passphrase|(api|private|access)_?key)s?$")


class Described(Protocol):
    """What the suite asks of a manifest."""

    name: str
    owner: str
    level: str
    exempt: dict[str, str]
    adapter: str | None
    webhook: str | None
    folder: Path

    def adapter_class(self) -> type[Adapter[Any]]:
        """The adapter."""

    def receiver_class(self) -> type[WebhookReceiver[Any]]:
        """The webhook receiver."""

    def config_class(self) -> type[ConnectionConfig]:
        """Its config."""

    def mapping_files(self) -> dict[str, Path]:
        """Its mappings by stream."""


class Mapper(Protocol):
    """What the suite asks of the mapping engine."""

    def load(self, text: str, *, name: str) -> Any:
        """A mapping."""

    def to_canonical(self, mapping: Any, raw: Any, *, connection: str) -> Sequence[Any]:
        """The records of a row."""


@dataclass(frozen=True)
class Vendor:
    """One adapter under test."""

    manifest: Described
    mapper: Mapper

    @cached_property
    def cases(self) -> dict[str, dict[str, Any]]:
        """The fixtures by file name."""
        files = sorted((self.manifest.folder / "fixtures").glob("*.json"))
        return {path.stem: json.loads(path.read_text("utf-8")) for path in files}

    def cases_of(self, kind: str) -> dict[str, dict[str, Any]]:
        """The fixtures of one kind."""
        return {name: case for name, case in self.cases.items() if kind in case}

    @cached_property
    def mappings(self) -> dict[str, Any]:
        """The loaded mappings by stream."""
        files = self.manifest.mapping_files()
        return {
            stream: self.mapper.load(path.read_text("utf-8"), name=str(path))
            for stream, path in files.items()
        }

    @property
    def streams(self) -> tuple[Stream, ...]:
        """What can be pulled or written."""
        return self.manifest.adapter_class().streams if self.manifest.adapter else ()

    @property
    def speaks_http(self) -> bool:
        """Whether the adapter talks through ``Http``."""
        if self.manifest.adapter is None:
            return False
        return self.manifest.adapter_class().connect is not Adapter.connect

    def config(self, **given: Any) -> ConnectionConfig:
        """A config of the examples its fields give, every secret marked."""
        class_ = self.manifest.config_class()
        values = {name: _example(name, field) for name, field in class_.model_fields.items()}
        known = {name: value for name, value in values.items() if value is not None}
        return class_.model_validate({**known, **given})

    def adapter(self, **given: Any) -> Adapter[Any]:
        """The adapter on such a config."""
        return self.manifest.adapter_class()(self.config(**given))

    def receiver(self, **given: Any) -> WebhookReceiver[Any]:
        """The receiver on such a config."""
        return self.manifest.receiver_class()(self.config(**given))

    def stream(self, name: str) -> Stream:
        """One stream by its name."""
        return next(stream for stream in self.streams if stream.name == name)

    def records(self, stream: str, raw: Any) -> list[dict[str, Any]]:
        """The canonical records of a row, as documents without what is empty."""
        found = self.mapper.to_canonical(
            self.mappings[stream], raw, connection=self.manifest.name
        )
        return [document(record) for record in found]


def document(record: Any) -> dict[str, Any]:
    """A record as plain JSON: its kind and whatever is not at its default."""
    return {"kind": record.kind, **record.model_dump(mode="json", exclude_defaults=True)}


def contract_tests(manifest: Described, mapper: Mapper) -> type:
    """A class of tests for one adapter; give it a name that starts with ``Test``."""
    vendor = Vendor(manifest, mapper)
    bases: list[type] = [ConfigContract, MappingContract, ManifestContract]
    if manifest.adapter:
        bases.append(AdapterContract)
    if vendor.speaks_http:
        bases.append(HttpContract)
    if manifest.webhook:
        bases.append(WebhookContract)
    return type(f"Test_{manifest.name}", tuple(bases), {"vendor": vendor})


# Exchanges


@contextmanager
def answered(exchanges: Sequence[Mapping[str, Any]], *, ordered: bool = False) -> Iterator[None]:
    """Within the block only these requests are answered, and each of them must be made."""
    registry = {"registry": OrderedRegistry} if ordered else {}
    with responses.RequestsMock(assert_all_requests_are_fired=True, **registry) as mock:
        for exchange in exchanges:
            mock.add(_stub(exchange))
        yield


def _stub(exchange: Mapping[str, Any]) -> responses.Response:
    matchers = [query_param_matcher(exchange.get("query") or {})]
    if "json" in exchange:
        matchers.append(json_params_matcher(exchange["json"]))
    answer = exchange["answer"]
    content = {"json": answer["json"]} if "json" in answer else {"body": answer.get("text", "")}
    return responses.Response(
        exchange["method"],
        exchange["url"],
        status=answer.get("status", 200),
        headers=answer.get("headers"),
        match=matchers,
        **content,
    )


@contextmanager
def recorded(exchanges: list[dict[str, Any]]) -> Iterator[None]:
    """Within the block every request to a real system is written down, each only once."""
    send = GuardedAdapter.send

    def sending(self: GuardedAdapter, request: Any, **kwargs: Any) -> requests.Response:
        response = send(self, request, **kwargs)
        exchange = _exchange(request, response)
        if exchange not in exchanges:
            exchanges.append(exchange)
        return response

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GuardedAdapter, "send", sending)
        yield


def _exchange(request: requests.PreparedRequest, response: requests.Response) -> dict[str, Any]:
    url, _, query = str(request.url).partition("?")
    exchange: dict[str, Any] = {"method": request.method, "url": url}
    if query:
        exchange["query"] = requests.models.PreparedRequest.params if False else _query(query)
    if request.body:
        exchange["json"] = json.loads(request.body)
    answer: dict[str, Any] = {"status": response.status_code}
    try:
        answer["json"] = response.json()
    except ValueError:
        answer["text"] = response.text
    return {**exchange, "answer": answer}
