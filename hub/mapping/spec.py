"""A mapping file, checked and compiled as a whole: every fault is told with its file and line."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import yaml

from hub.mapping.entries import needed, only_keys, text_of
from hub.mapping.fields import NO_EXPRESSION, Compiler, Field, built
from hub.mapping.paths import Expression, Scope, blank
from hub.mapping.read import Cut, Plan, row_of
from hub.mapping.shapes import KIND, Shape, shapes
from hub.mapping.source import Faults, Node, closest, merge, parse, plain
from hub.mapping.write import Push, PushCompiler
from hub.models import KINDS, PARTY_KINDS

_CUT_KEYS = ("to", "key", "version", "occurred_at", "fields")
_KEYS = ("from", "partial", *_CUT_KEYS, "gone", "also", "match", "push")
_ALSO_KEYS = ("stream", "each", *_CUT_KEYS)

_FROM = re.compile(r"[a-z][a-z0-9_]*/([\w.-]+)")
_OF_THE_HUB = frozenset({"ref", "version", "occurred_at", "extra"})
"""What every record has and ``fields:`` may not give: it has its own place in a mapping."""

_NOT_GONE = frozenset({"0", "false", "no", "n"})
"""Text by which a vendor says no to "is it deleted?"; so do nothing, false and zero."""

_CONTACT_TYPES = (
    "phone", "email", "website", "fax", "tax_id", "unionid", "openid", "external_userid",
    "member_no", "username",
)  # fmt: skip
"""Contact points a party may be matched by, besides its fields."""


@dataclass(frozen=True, slots=True, eq=False)
class Mapping:
    """One vendor stream in canonical words, ready to run.

    Attributes:
        source: "vendor/parties".
        stream: "parties".
        version: hash of what the file and its overlay say; comments and order do not count.
        text: what the two say together, as YAML.
        kinds: canonical kinds it can produce, the main record's first.
        owners: who may write a canonical field, where that is said.
        match: canonical fields a record is looked up by before one is created.
        writable: canonical fields that may be pushed.
        pushed: the canonical paths of them that ``push:`` names.
        gone: what of a row says that it was deleted at the source.
        partial: a row may tell a part of its record; what it leaves out stays as it was.
    """

    source: str
    stream: str
    version: str
    text: str = field(repr=False)
    kinds: tuple[str, ...]
    owners: dict[str, str]
    match: tuple[str, ...]
    writable: frozenset[str]
    main: Cut = field(repr=False)
    also: tuple[Cut, ...] = field(repr=False)
    pushes: tuple[Push, ...] = field(repr=False)
    gone: Expression | None = field(default=None, repr=False)
    partial: bool = False

    @property
    def pushed(self) -> tuple[str, ...]:
        return tuple(push.path for push in self.pushes)

    def external_id(self, raw: Any) -> str:
        """The vendor's id of this row.

        Raises:
            MappingError: it has none.
        """
        return self.main.required_id(row_of(raw))

    def raw_version(self, raw: Any) -> str:
        """Text that grows with each change of the row; "" when the mapping names no version.

        Raises:
            MappingError: what the vendor sends there is no version.
        """
        row = row_of(raw)
        return self.main.version_of(row.raw, row)

    def is_gone(self, raw: Any) -> bool:
        """Whether the row itself says that it was deleted.

        Raises:
            MappingError: what it says cannot be read.
        """
        if self.gone is None:
            return False
        row = row_of(raw)
        said = self.gone.read(row.raw, row)
        if isinstance(said, str):
            return not blank(said) and said.strip().lower() not in _NOT_GONE
        return bool(said)


@lru_cache(maxsize=1024)
def words_of(mapping: Mapping, field: str) -> frozenset[str]:
    """The words a field of its records may hold, as far as its entry lists them."""
    entry = (yaml.safe_load(mapping.text).get("fields") or {}).get(field)
    if not isinstance(entry, dict):
        return frozenset()
    found = (*(entry.get("values") or {}).values(), *map(entry.get, ("value", "default")))
    return frozenset(word for word in found if isinstance(word, str))


def load(text: str, *, name: str, overlay: str | None = None, overlay_name: str = "") -> Mapping:
    """The mapping a file and its site overlay describe.

    Raises:
        MappingSpecError: one line per fault, each starting with ``<name>:<line>: ``.
    """
    faults = Faults()
    spec = parse(text, name, faults)
    if overlay is not None:
        spec = merge(spec, parse(overlay, overlay_name or f"{name} (overlay)", faults))
    mapping = _SpecCompiler(spec, faults).mapping()
    faults.raise_any()
    return mapping


class _SpecCompiler:
    """Compiles one spec: its main record, those of ``also:``, and ``push:``."""

    def __init__(self, spec: Node, faults: Faults) -> None:
        self._spec, self._faults = spec, faults
        self._named: set[str] = set()  # top-level names of the row that some expression reads

    def mapping(self) -> Mapping:
        spec = self._spec
        only_keys(spec, _KEYS, self._faults)
        source = self._source()
        stream = source.partition("/")[2]
        owners, fields = self._owners(spec.get("fields"))
        also = self._also()
        gone = self._compiler(spec).gone()
        main = self._compiler(spec).main(fields, stream)
        known = {n: s for plan in main.plans.values() for n, s in shapes(plan.model).items()}
        pushes = self._pushes(known) if known else ()
        return Mapping(
            source=source,
            stream=stream,
            version=_hash(plain(spec)),
            text=yaml.safe_dump(plain(spec), allow_unicode=True, sort_keys=False),
            kinds=tuple(dict.fromkeys(kind for cut in (main, *also) for kind in cut.plans)),
            owners=owners,
            match=self._match(known) if known else (),
            writable=frozenset(push.field for push in pushes),
            main=main,
            also=also,
            pushes=pushes,
            gone=gone,
            partial=self._partial(),
        )

    def _compiler(self, node: Node) -> _CutCompiler:
        return _CutCompiler(node, self._named, self._faults)

    def _source(self) -> str:
        node = needed(self._spec, "from", self._faults)
        text = (text_of(node, self._faults) if node else None) or ""
        if node and text and not _FROM.fullmatch(text):
            self._faults.add(node, f'"{text}" is not a source', "Write from: <vendor>/<stream>")
        return text

    def _partial(self) -> bool:
        node = self._spec.get("partial")
        if node is not None and not isinstance(node.value, bool):
            self._faults.add(node, '"partial" is true or false', "Write partial: true")
        return node is not None and node.value is True

    def _owners(self, fields: Node | None) -> tuple[dict[str, str], Node | None]:
        """Who owns which field, and the fields without that."""
        owners: dict[str, str] = {}
        rest = {}
        for name, entry in _items(fields):
            rest[name] = entry
            if owner := entry.get("owner"):
                owners[name] = text_of(owner, self._faults) or ""
                others = {key: node for key, node in entry.value.items() if key != "owner"}
                rest[name] = entry.with_value(others)
        return owners, fields.with_value(rest) if fields and rest else fields

    def _also(self) -> tuple[Cut, ...]:
        node = self._spec.get("also")
        if node is None:
            return ()
        if not isinstance(node.value, list):
            self._faults.add(node, '"also" is not a list', "Write each record as an item: - to: …")
            return ()
        for item in node.value:
            if not isinstance(item.value, dict):
                hint = "Write - to: <kind>, stream: …, key: …"
                self._faults.add(item, "this is not a record", hint)
        entries = [item for item in node.value if isinstance(item.value, dict)]
        return tuple(self._compiler(entry).further() for entry in entries)

    def _match(self, known: dict[str, Shape]) -> tuple[str, ...]:
        node = self._spec.get("match")
        if node is None:
            return ()
        if not isinstance(node.value, list):
            self._faults.add(node, '"match" is not a list', "Write match: [field]")
            return ()
        words = {*known} - _OF_THE_HUB | {*(_CONTACT_TYPES if "contact_points" in known else ())}
        for item in node.value:
            word = text_of(item, self._faults)
            if word and word not in words:
                self._faults.unknown(item, "field", word, words)
        return tuple(str(item.value) for item in node.value)

    def _pushes(self, known: dict[str, Shape]) -> tuple[Push, ...]:
        node = self._spec.get("push")
        return PushCompiler(self._faults).pushes(node, known) if node else ()


class _CutCompiler:
    """Compiles what makes one record: the main part of a spec, or an item of ``also:``.

    ``named`` gathers the top-level names of the row that are read.
    """

    def __init__(self, node: Node, named: set[str], faults: Faults) -> None:
        self._node, self._named, self._faults = node, named, faults
        self._entries = Compiler(faults)
        self._scope = Scope(named, named)

    def main(self, fields: Node | None, stream: str) -> Cut:
        """The record of the row itself; what no expression reads is its ``extra``."""
        cut = self._cut(stream)
        plans = {}
        for kind, of in self._fields_of(fields, cut):
            names: set[str] = set()
            plan = self._plan(kind, of, Scope(names, names), cut)
            plans[kind] = replace(plan, named=frozenset(self._named | names))
        return replace(cut, plans=plans)

    def gone(self) -> Expression | None:
        """What says that the row was deleted."""
        node = self._node.get("gone")
        return self._entries.expression(node, self._scope) if node else None

    def further(self) -> Cut:
        """A record of ``also:``."""
        node = self._node
        only_keys(node, _ALSO_KEYS, self._faults)
        stream = needed(node, "stream", self._faults)
        named = (text_of(stream, self._faults) if stream else None) or ""
        each = None
        if "each" in node.value:
            each = self._entries.expression(node.get("each"), self._scope)
            self._scope = self._scope.inside()
        cut = replace(self._cut(named), each=each)
        fields = self._fields_of(node.get("fields"), cut)
        plans = {kind: self._plan(kind, of, self._scope, cut) for kind, of in fields}
        return replace(cut, plans=plans)

    def _cut(self, stream: str) -> Cut:
        """All of it but the fields; a plan without fields stands for each kind."""
        kind, kinds = self._kind()
        key = self._entries.expression(needed(self._node, "key", self._faults), self._scope)
        plans = {kind: Plan(KINDS[kind], NO_EXPRESSION.read, {}) for kind in kinds}
        return Cut(stream, kind, plans, key, self._time("version"), self._time("occurred_at"))

    def _time(self, name: str) -> Expression | None:
        node = self._node.get(name)
        return self._entries.expression(node, self._scope) if node else None

    def _kind(self) -> tuple[Expression, tuple[str, ...]]:
        """What tells the kind of a row, and the kinds it can tell."""
        to = needed(self._node, "to", self._faults)
        if to is None:
            return NO_EXPRESSION, ()
        long = to if isinstance(to.value, dict) else to.with_value({"value": to})
        found, table = self._entries.scalar(long, KIND, self._scope)
        words = table.words()
        if constant := long.get("value"):
            words.add(str(constant.value))
        elif table.values is None and found.gives == "kind":
            words.update(PARTY_KINDS)
        elif table.values is None and found.path:
            hint = 'End it with "| party_kind", or list the kinds in "values:"'
            self._faults.add(to, "this does not tell which kinds there are", hint)
        likely = {closest(word, KINDS) for word in words}  # a misspelt kind hides no other fault
        return found, tuple(kind for kind in KINDS if kind in likely)

    def _fields_of(self, fields: Node | None, cut: Cut) -> list[tuple[str, Node]]:
        """The fields each kind has; what none has is a fault."""
        node = fields or needed(self._node, "fields", self._faults)
        if node is None:
            return []
        if not isinstance(node.value, dict):
            self._faults.add(node, '"fields" is not a table', "Write it as name: path")
            return []
        known = {kind: {*shapes(plan.model)} - _OF_THE_HUB for kind, plan in cut.plans.items()}
        every = set().union(*known.values())
        for name, entry in node.value.items():
            if name in _OF_THE_HUB:
                hint = "version: and occurred_at: stand at the top; ref and extra make themselves"
                self._faults.add(entry, f'"{name}" is not given in "fields:"', hint)
            elif every and name not in every:
                self._faults.unknown(entry, "field", name, every)
        return [
            (kind, node.with_value({k: v for k, v in node.value.items() if k in names}))
            for kind, names in known.items()
        ]

    def _plan(self, kind: str, fields: Node, scope: Scope, cut: Cut) -> Plan:
        model = KINDS[kind]
        found = self._entries.fields(fields, shapes(model), scope)
        self._entries.require(fields, model, found)
        places = {"ref": Field(cut.key.read, cut.key.path)}
        if cut.occurred_at:
            places["occurred_at"] = Field(cut.occurred_at.read, cut.occurred_at.path)
        return Plan(model, built(found), places | found)


def _items(node: Node | None) -> Iterable[tuple[str, Node]]:
    return node.value.items() if node and isinstance(node.value, dict) else ()


def _hash(spec: Any) -> str:
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]
