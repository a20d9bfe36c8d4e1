"""One adapter with what lies in its folder, and the quality level that this adds up to.

The contract suite tests a ``Vendor``; ``hub adapters`` and the documentation tell about it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic.fields import FieldInfo

from hub.sdk.adapter import Adapter, ConnectionConfig, capabilities
from hub.sdk.desk import Desk
from hub.sdk.types import Described, Stream
from hub.sdk.webhook import WebhookReceiver

_T = TypeVar("_T")
_CANARY = "canary-7f3a9d-"
"""A secret that was made up begins so; no log and no error may show it."""


class AnyManifest(Protocol):
    """What the suite asks of a manifest."""

    @property
    def name(self) -> str:
        """As the manifest says."""

    @property
    def owner(self) -> str:
        """As the manifest says."""

    @property
    def sdk(self) -> str:
        """As the manifest says."""

    @property
    def cursor(self) -> str:
        """As the manifest says."""

    @property
    def exempt(self) -> dict[str, str]:
        """As the manifest says."""

    @property
    def adapter(self) -> str | None:
        """As the manifest says."""

    @property
    def webhook(self) -> str | None:
        """As the manifest says."""

    @property
    def desk(self) -> str | None:
        """As the manifest says."""

    @property
    def folder(self) -> Path:
        """As the manifest says."""

    def adapter_class(self) -> type[Adapter[Any]]:
        """The adapter."""

    def receiver_class(self) -> type[WebhookReceiver[Any]]:
        """The webhook receiver."""

    def desk_class(self) -> type[Desk[Any]]:
        """The chat desk."""

    def config_class(self) -> type[ConnectionConfig]:
        """What a connection is configured with."""

    def mapping_files(self) -> dict[str, Path]:
        """The mappings by stream."""


class Mapper(Protocol):
    """What the suite asks of the mapping engine."""

    def load(self, text: str, *, name: str) -> Any:
        """A mapping."""

    def to_canonical(self, mapping: Any, raw: Any, *, connection: str) -> Sequence[Any]:
        """The records of a row."""


@cache
def _fixtures(folder: Path) -> dict[str, dict[str, Any]]:
    files = sorted((folder / "fixtures").glob("*.json"))
    return {path.stem: json.loads(path.read_text("utf-8")) for path in files}


@dataclass(frozen=True)
class Vendor:
    """One adapter with what lies in its folder.

    Attributes:
        given: of a config whose streams count as well, where configs describe streams.
        kept: what was made of which config; a suite asks for the same thousands of times.
    """

    manifest: AnyManifest
    mapper: Mapper
    given: Mapping[str, Any] | None = None
    kept: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False, compare=False)

    def configured(self, given: Mapping[str, Any] | None) -> Vendor:
        """The same with the streams that such a config describes."""
        if not self.describes:
            return self
        return self._once("vendor", given, lambda: replace(self, given=given or {}))

    @property
    def fixtures(self) -> dict[str, dict[str, Any]]:
        """Every fixture by the name of its file."""
        return _fixtures(self.manifest.folder)

    def fixtures_of(self, *keys: str) -> dict[str, dict[str, Any]]:
        """The fixtures that have these keys; the first tells the kind."""
        return {name: one for name, one in self.fixtures.items() if {*keys} <= one.keys()}

    @cached_property
    def mappings(self) -> dict[str, Any]:
        """The loaded mappings by stream."""
        files = self.manifest.mapping_files().items()
        texts = {stream: (path.read_text("utf-8"), str(path)) for stream, path in files}
        texts |= {d.stream.name: (d.mapping, d.place) for d in self._described if d.mapping}
        return {s: self.mapper.load(text, name=name) for s, (text, name) in texts.items()}

    @property
    def streams(self) -> dict[str, Stream]:
        """What can be pulled or written."""
        found = self.manifest.adapter_class().streams if self.manifest.adapter else ()
        described = (one.stream for one in self._described)
        return {stream.name: stream for stream in (*found, *described)}

    @cached_property
    def _described(self) -> Sequence[Described]:
        return () if self.given is None else self.config(self.given).described()

    @property
    def writable(self) -> list[str]:
        """The streams that can be written."""
        return [stream.name for stream in self.streams.values() if stream.writable]

    @property
    def describes(self) -> bool:
        """Whether the streams are described in the configuration of each connection."""
        return self.manifest.config_class().described is not ConnectionConfig.described

    @property
    def writes_described(self) -> bool:
        """Whether such a stream may be written."""
        return self.describes and "push" in self.verbs

    @property
    def verbs(self) -> tuple[str, ...]:
        """What the adapter offers."""
        return capabilities(self.manifest.adapter_class()) if self.manifest.adapter else ()

    @property
    def speaks_http(self) -> bool:
        """Whether the adapter talks through ``Http``."""
        if self.manifest.adapter is None:
            return False
        return self.manifest.adapter_class().connect is not Adapter.connect

    def settings(self, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What a connection is told: examples of its fields; secrets without one are made up."""
        fields = self.manifest.config_class().model_fields.items()
        values = {name: example(name, field) for name, field in fields}
        known = {name: value for name, value in values.items() if value is not None}
        for fixture in self.fixtures_of("connection").values():
            known |= fixture["connection"]
        return {**known, **(given or {})}

    def config(self, given: Mapping[str, Any] | None = None) -> ConnectionConfig:
        """The config made of that."""
        made = self.manifest.config_class().model_validate
        return self._once("config", given, lambda: made(self.settings(given)))

    def _once(self, what: str, given: Mapping[str, Any] | None, make: Callable[[], _T]) -> _T:
        key = (what, repr(given))
        if key not in self.kept:
            self.kept[key] = make()
        found: _T = self.kept[key]
        return found

    def adapter(self, given: Mapping[str, Any] | None = None) -> Adapter[Any]:
        """The adapter with such a config."""
        return self.manifest.adapter_class()(self.config(given))

    def receiver(self, given: Mapping[str, Any] | None = None) -> WebhookReceiver[Any]:
        """The receiver with such a config."""
        return self.manifest.receiver_class()(self.config(given))

    def records(self, stream: str, raw: Any) -> list[dict[str, Any]]:
        """The records of a row as documents."""
        found = self.mapper.to_canonical(self.mappings[stream], raw, connection=self.manifest.name)
        return [document(record) for record in found]


def document(record: Any) -> dict[str, Any]:
    """A record as plain JSON: its kind, and whatever is not at its default."""
    return {"kind": record.kind, **record.model_dump(mode="json", exclude_defaults=True)}


def example(name: str, field: FieldInfo) -> Any:
    """The first example of a field that has to be given; made up for a secret."""
    is_secret = "SecretStr" in str(field.annotation)
    if field.examples and (field.is_required() or is_secret):
        return field.examples[0]
    if not is_secret:
        return None
    several = "tuple" in str(field.annotation) or "list" in str(field.annotation)
    return [_CANARY + name] if several else _CANARY + name


# Quality levels


@dataclass(frozen=True)
class Rule:
    """One promise of a level, and how it is seen to be kept."""

    level: str
    name: str
    wanted: str
    kept: Callable[[Vendor], bool]


def _readme(heading: str, file: str = "README.md") -> Callable[[Vendor], bool]:
    def kept(vendor: Vendor) -> bool:
        path = vendor.manifest.folder / file
        return path.is_file() and f"\n## {heading}" in path.read_text("utf-8")

    return kept


def _measured(vendor: Vendor) -> bool:
    path = vendor.manifest.folder / "README.md"
    section = path.read_text("utf-8").partition("\n## Backfill")[2] if path.is_file() else ""
    return bool(re.search(r"\d", section.partition("\n## ")[0]))


def _all_pushed(vendor: Vendor) -> bool:
    pushes = vendor.fixtures_of("push").values()
    return {*vendor.writable} <= {p["push"] for p in pushes if "raises" not in p}


def _conflicts(vendor: Vendor) -> bool:
    pushes = vendor.fixtures_of("push").values()
    return not vendor.writable or any(p.get("raises") == "ConflictError" for p in pushes)


def _tested_live(vendor: Vendor) -> bool:
    return bool({"server", "account"} & {*verified(vendor)})


_TOLD = ("history", "survey", "tally", "find")

LEVELS = ("none", "bronze", "silver", "gold")

RULES = (
    Rule("bronze", "fixtures", "a raw or hook fixture",
         lambda v: bool(v.fixtures_of("raw") or v.fixtures_of("hook"))),
    Rule("bronze", "set-up", 'a section "Set up" in README.md', _readme("Set up")),
    Rule("bronze", "removal", 'a section "Remove" in README.md', _readme("Remove")),
    Rule("silver", "resume", "a pull fixture",
         lambda v: "pull" not in v.verbs or bool(v.fixtures_of("pull"))),
    Rule("silver", "verbs", "a fixture for each of history, survey, tally and find it offers",
         lambda v: all(v.fixtures_of(verb) for verb in _TOLD if verb in v.verbs)),
    Rule("silver", "sign-in", 'a section "Sign in again" in README.md', _readme("Sign in again")),
    Rule("silver", "limits", 'a section "Limits" in README.md', _readme("Limits")),
    Rule("silver", "owner", "an owner", lambda v: bool(v.manifest.owner.strip())),
    Rule("bronze", "stale", "requests from another time refused", lambda _: True),
    Rule("bronze", "body", "changed bodies refused", lambda _: True),
    Rule("silver", "deletes", "a way to learn what was deleted, with a fixture of it",
         lambda v: "pull" not in v.verbs or bool(deletes(v))),
    Rule("silver", "cursor", "a line in the manifest on how a pull goes on",
         lambda v: "pull" not in v.verbs or bool(v.manifest.cursor.strip())),
    Rule("gold", "push", "a push fixture for each writable stream", _all_pushed),
    Rule("gold", "conflict", "a push fixture that raises ConflictError", _conflicts),
    Rule("gold", "deletions", 'a section "Deletions" in README.md', _readme("Deletions")),
    Rule("gold", "live", "a test in tests/live or tests/systems", _tested_live),
    Rule("gold", "backfill", 'a section "Backfill" with figures in README.md', _measured),
    Rule("gold", "languages", "README.zh-CN.md",
         lambda v: (v.manifest.folder / "README.zh-CN.md").is_file()),
)  # fmt: skip
"""What a level asks for beside the contract suite, which every adapter has to pass."""


def broken(vendor: Vendor, level: str) -> list[Rule]:
    """The rules of one level that are neither kept nor exempt with a reason."""
    asked = (rule for rule in RULES if rule.level == level)
    return [r for r in asked if r.name not in vendor.manifest.exempt and not r.kept(vendor)]


def level_of(vendor: Vendor) -> str:
    """The highest level whose rules, and all below, are kept."""
    reached = LEVELS[0]
    for level in LEVELS[1:]:
        if broken(vendor, level):
            break
        reached = level
    return reached


VERIFIED = ("account", "server", "sdk", "api", "vectors", "fixtures")


def deletes(vendor: Vendor) -> tuple[str, ...]:
    """How it is learnt what was deleted, as its fixtures and mappings show.

    ``sweep`` of all ids, ``count`` by day, ``feed`` in the pages of a pull, ``flag`` in the row,
    ``event`` of a webhook.
    """
    feed = any(id_.startswith("-") for f in vendor.fixtures_of("pull").values() for id_ in f["ids"])
    told = {
        "sweep": "survey" in vendor.verbs,
        "count": "tally" in vendor.verbs,
        "feed": feed,
        "flag": any(mapping.gone is not None for mapping in vendor.mappings.values()),
        "event": any(f.get("deleted") for f in vendor.fixtures_of("hook").values()),
    }
    return tuple(word for word, is_so in told.items() if is_so)


def verified(vendor: Vendor) -> tuple[str, ...]:
    """What it was tried against, as the tests that exist show, the most telling first.

    ``account`` at the vendor, a real ``server``, the vendor's ``sdk``, its ``api`` description,
    ``vectors`` of its signatures, ``fixtures`` in its shapes.
    """
    tests, name = vendor.manifest.folder.parent.parent / "tests", vendor.manifest.name
    seen = {
        "account": f"live/test_{name}.py",
        "server": f"systems/test_{name}*.py",
        "api": f"contract/apis/{name}.toml",
        "vectors": f"data/vectors/{name}*.json",
    }
    found = {word for word, pattern in seen.items() if any(tests.glob(pattern))}
    if vendor.fixtures:
        found.add("fixtures")
    if vendor.manifest.sdk and vendor.manifest.sdk in _imported(tests):
        found.add("sdk")
    return tuple(word for word in VERIFIED if word in found)


@cache
def _imported(tests: Path) -> frozenset[str]:
    """The packages that tests import."""
    line = re.compile(r"^(?:from|import) (\w+)", re.MULTILINE)
    texts = (path.read_text("utf-8") for path in tests.rglob("test_*.py"))
    return frozenset(name for text in texts for name in line.findall(text))
