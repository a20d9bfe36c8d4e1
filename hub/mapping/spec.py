"""A mapping file, checked and compiled as a whole: every fault is told with its file and line."""

from __future__ import annotations

import hashlib
import json
import re
from collections import abc
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml

from hub.mapping.entries import only_keys, text_of
from hub.mapping.fields import NO_FIELD, Compiler, Field, built
from hub.mapping.paths import Expression, Scope
from hub.mapping.read import Cut, Plan, row_of
from hub.mapping.shapes import KIND, Shape, shapes
from hub.mapping.source import Faults, Node, closest, merge, parse, plain
from hub.mapping.write import Push, PushCompiler
from hub.models import KINDS, PARTY_KINDS, Record

_CUT_KEYS = ("to", "key", "version", "occurred_at", "fields")
_KEYS = ("from", *_CUT_KEYS, "also", "match", "push")
_ALSO_KEYS = ("stream", "each", *_CUT_KEYS)

_FROM = re.compile(r"[a-z][a-z0-9_]*/([\w.-]+)")
_OF_THE_HUB = frozenset({"ref", "version", "occurred_at", "extra"})
"""What every record has and ``fields:`` may not give: it has its own place in a mapping."""

_CONTACT_TYPES = (
    "phone", "email", "website", "fax", "tax_id", "unionid", "member_no", "username",
)  # fmt: skip
"""Contact points a party may be matched by, besides its fields."""


@dataclass(frozen=True, slots=True, eq=False)
class Mapping:
    """One vendor stream in canonical words, ready to run.

    Attributes:
        source: "tryton/parties".
        stream: "parties".
        version: hash of what the file and its overlay say; comments and order do not count.
        text: what the two say together, as YAML.
        kinds: canonical kinds it can produce, the main record's first.
        owners: who may write a canonical field, where that is said.
        match: canonical fields a record is looked up by before one is created.
        writable: canonical fields that may be pushed.
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
        self._entries = Compiler(faults)
        self._named: set[str] = set()  # top-level names of the row that some expression reads

    def mapping(self) -> Mapping:
        spec = self._spec
        only_keys(spec, _KEYS, self._faults)
        source = self._source()
        stream = source.partition("/")[2]
        owners, fields = self._owners(spec.get("fields"))
        also = self._also()
        main = self._cut(spec, fields, stream, Scope(self._named, self._named), keeps_extra=True)
        known = _known(main.plans)
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
        )

    def _source(self) -> str:
        node = self._needed(self._spec, "from")
        text = (text_of(node, self._faults) if node else None) or ""
        if node and text and not _FROM.fullmatch(text):
            self._faults.add(node, f'"{text}" is not a source', "Write from: <vendor>/<stream>")
        return text

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
        return tuple(cut for item in node.value if (cut := self._also_cut(item)))

    def _also_cut(self, node: Node) -> Cut | None:
        if not isinstance(node.value, dict):
            self._faults.add(node, "this is not a record", "Write - to: <kind>, stream: …, key: …")
            return None
        only_keys(node, _ALSO_KEYS, self._faults)
        stream = self._needed(node, "stream")
        named = (text_of(stream, self._faults) if stream else None) or ""
        scope = Scope(self._named, self._named)
        if "each" not in node.value:
            return self._cut(node, node.get("fields"), named, scope)
        each = self._entries.expression(node.get("each"), scope)
        return self._cut(node, node.get("fields"), named, scope.inside(), each=each)

    def _cut(
        self,
        node: Node,
        fields: Node | None,
        stream: str,
        scope: Scope,
        *,
        each: Expression | None = None,
        keeps_extra: bool = False,
    ) -> Cut:
        kind, kinds = self._kind(node, scope)
        key = self._entries.expression(self._needed(node, "key"), scope)
        version, occurred_at = (
            self._entries.expression(node.get(name), scope) if name in node.value else None
            for name in ("version", "occurred_at")
        )
        places = {"ref": Field(key.read, key.path)}
        if occurred_at:
            places["occurred_at"] = Field(occurred_at.read, occurred_at.path)
        plans: dict[str, Plan] = {}
        if fields is None or not isinstance(fields.value, dict):
            self._faults.add(fields or node, '"fields" is no table', "Write it as name: path")
        else:
            plans = self._plans(fields, kinds, scope, places, keeps_extra=keeps_extra)
        return Cut(stream, kind, plans, key, version, occurred_at, each)

    def _kind(self, node: Node, scope: Scope) -> tuple[Expression, tuple[str, ...]]:
        """What tells the kind of a row, and the kinds it can tell."""
        to = self._needed(node, "to")
        if to is None:
            return Expression(NO_FIELD.read, ""), ()
        long = to if isinstance(to.value, dict) else to.with_value({"value": to})
        found, table = self._entries.scalar(long, KIND, scope)
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

    def _plans(
        self,
        fields: Node,
        kinds: tuple[str, ...],
        scope: Scope,
        places: dict[str, Field],
        *,
        keeps_extra: bool,
    ) -> dict[str, Plan]:
        """How to fill each kind; a field that only some kinds have is read for those."""
        of_kind = {kind: _fillable(KINDS[kind]) for kind in kinds}
        known = {name for of in of_kind.values() for name in of}
        for name, entry in _items(fields):
            if kinds and name not in known:
                self._faults.unknown(entry, "field", name, known)
        plans = {}
        for kind, of in of_kind.items():
            names: set[str] = set()
            inner = Scope(names, names) if keeps_extra else scope
            own = {name: entry for name, entry in _items(fields) if name in of}
            found = self._entries.fields(fields.with_value(own), of, inner)
            self._entries.require(fields, KINDS[kind], found)
            named = frozenset(self._named | names) if keeps_extra else None
            plans[kind] = Plan(KINDS[kind], built(found), places | found, named)
        return plans

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

    def _needed(self, node: Node, key: str) -> Node | None:
        found = node.get(key)
        if found is None:
            self._faults.add(node, f'"{key}" is missing', f"Add {key}: …")
        return found


def _fillable(model: type[Record]) -> dict[str, Shape]:
    return {name: shape for name, shape in shapes(model).items() if name not in _OF_THE_HUB}


def _known(plans: abc.Mapping[str, Plan]) -> dict[str, Shape]:
    """Every canonical field of any of the kinds."""
    return {name: shape for plan in plans.values() for name, shape in shapes(plan.model).items()}


def _items(node: Node | None) -> Iterable[tuple[str, Node]]:
    return node.value.items() if node and isinstance(node.value, dict) else ()


def _hash(spec: Any) -> str:
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]
