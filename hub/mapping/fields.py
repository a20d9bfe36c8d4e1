"""The entries of ``fields:``, compiled into closures that read one canonical value each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hub.errors import MappingError, MappingSpecError
from hub.mapping.entries import TABLE_KEYS, Table, checked, only_keys, read_table, text_of
from hub.mapping.paths import (
    Expression,
    Read,
    Row,
    Scope,
    below,
    blank,
    compile_expression,
    kind_of,
)
from hub.mapping.shapes import Shape, anything, shapes
from hub.mapping.source import Faults, Node, plain
from hub.models import ContactPoint, Model, Money, Ref

_SCALAR_KEYS = ("path", "value", *TABLE_KEYS)
_CONTACT_KEYS = ("type", "level", "label", *_SCALAR_KEYS)


@dataclass(frozen=True, slots=True)
class Field:
    """One compiled entry; ``path`` is where the vendor has it, ``parts`` the entries below it."""

    read: Read
    path: str
    parts: Mapping[str, Field] = field(default_factory=dict)


def _nothing(_: Any, __: Row) -> None:
    return None


NO_EXPRESSION = Expression(_nothing, "")
NO_FIELD = Field(_nothing, "")
"""They stand in for what has a fault."""


class Compiler:
    """Turns entries into fields, gathering every fault on the way."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def fields(
        self, node: Node, known: Mapping[str, Shape] | None, scope: Scope
    ) -> dict[str, Field]:
        """The entries of one value with parts; any name will do where none are known."""
        if not isinstance(node.value, dict):
            self._faults.add(node, '"fields" is not a table', "Write it as name: path")
            return {}
        found = {}
        for name, entry in node.value.items():
            shape = anything(name) if known is None else known.get(name)
            if shape:
                found[name] = self.entry(entry, shape, scope)
            else:
                self._faults.unknown(entry, "field", name, known or ())
        return found

    def entry(self, node: Node, shape: Shape, scope: Scope) -> Field:
        """One entry, in whichever of its forms it is written."""
        value = node.value
        if isinstance(value, list):
            return self._items(node, shape, scope)
        if not isinstance(value, dict):
            return self._scalar(node.with_value({"path": node}), shape, scope)
        if "items" in value:
            only_keys(node, ("items",), self._faults)
            return self._items(value["items"], shape, scope)
        if "each" in value:
            return self._each(node, shape, scope)
        if shape.model is ContactPoint:
            return self._contact(node, scope)
        if "fields" in value:
            return self._object(node, shape, scope)
        return self._scalar(node, shape, scope)

    def scalar(self, node: Node, shape: Shape, scope: Scope) -> tuple[Expression, Table]:
        """A constant, or an expression looked up in its table."""
        only_keys(node, _SCALAR_KEYS, self._faults)
        table = read_table(node, self._faults, shape.check)
        path, constant = node.get("path"), node.get("value")
        if (path is None) == (constant is None):
            self._faults.add(node, 'give either "path" or "value"', "Write path: where it is")
        if constant is not None:
            checked(constant, self._faults, shape.check)
            fixed = plain(constant)
            return Expression(lambda _, __: fixed, shape.name), table
        found = self.expression(path, scope)
        return Expression(table.apply(found.read, found.path), found.path, found.gives), table

    def expression(self, node: Node | None, scope: Scope) -> Expression:
        """A compiled expression; one that finds nothing where there was a fault."""
        if node is not None and (text := text_of(node, self._faults)):
            try:
                return compile_expression(text, scope)
            except MappingSpecError as exc:
                self._faults.add(node, str(exc), exc.hint)
        return NO_EXPRESSION

    def require(self, node: Node, model: type[Model], given: Mapping[str, Field]) -> None:
        """What the model cannot do without must be given."""
        for name, shape in shapes(model).items():
            if shape.required and name not in given and name != "ref":
                self._faults.add(node, f'"{name}" is missing', f"Add {name}: where it is")

    def _scalar(self, node: Node, shape: Shape, scope: Scope) -> Field:
        found, table = self.scalar(node, shape, scope)
        if found.path and table.values is None and "value" not in node.value:
            self._check_gives(node, found.gives, shape)
        if shape.many and shape.annotation is not Any and table.values is not None:
            self._faults.add(node, f"{shape.name} is a list", 'Use "each:" with "values:"')
        return Field(found.read, found.path)

    def _check_gives(self, node: Node, gives: str, shape: Shape) -> None:
        wanted = shape.model.__name__ if shape.model else ""
        if gives in (wanted, "kind") or shape.annotation is Any:
            return
        if shape.model in (Ref, Money):
            step = "ref <stream>" if shape.model is Ref else "money <currency>"
            self._faults.add(node, f"{shape.name} is a {wanted}", f'End it with "| {step}"')
        elif wanted:
            point = shape.model is ContactPoint
            hint = "Write {type: phone, path: …}" if point else 'Name them in "fields:"'
            self._faults.add(node, f"{shape.name} has parts", hint)
        else:
            self._faults.add(node, f"{shape.name} takes no {gives}", "Remove the last transform")

    def _items(self, node: Node, shape: Shape, scope: Scope) -> Field:
        if not isinstance(node.value, list) or not shape.many:
            self._faults.add(node, f"{shape.name} takes no list of entries", "Write one entry")
            return NO_FIELD
        found = [self.entry(item, shape.item, scope) for item in node.value]
        # One item has a sure path; of several, all that is known is the canonical name.
        one = found[0] if len(found) == 1 else Field(_nothing, shape.name)
        return Field(_concatenated([item.read for item in found]), one.path, one.parts)

    def _each(self, node: Node, shape: Shape, scope: Scope) -> Field:
        items = self.expression(node.get("each"), scope)
        rest = {key: item for key, item in node.value.items() if key != "each"}
        element = self.entry(node.with_value(rest), shape.item, scope.inside())
        return Field(_each(items, element.read), items.path, element.parts)

    def _object(self, node: Node, shape: Shape, scope: Scope) -> Field:
        only_keys(node, ("fields", "path"), self._faults)
        if not shape.model and not shape.open:
            self._faults.add(node, f"{shape.name} has no parts", 'Write "path:" alone')
            return NO_FIELD
        known = shapes(shape.model) if shape.model else None
        if "path" not in node.value:
            parts = self.fields(node.value["fields"], known, scope)
            found = Field(built(parts), "", parts)
        else:
            whole = self.expression(node.value["path"], scope)
            parts = self.fields(node.value["fields"], known, scope.inside())
            found = Field(_below(whole.read, built(parts)), whole.path, parts)
        if shape.model:
            self.require(node, shape.model, parts)
        return found

    def _contact(self, node: Node, scope: Scope) -> Field:
        only_keys(node, _CONTACT_KEYS, self._faults)
        known = shapes(ContactPoint)
        value = {key: item for key, item in node.value.items() if key in _SCALAR_KEYS}
        parts = {"value": self._scalar(node.with_value(value), known["value"], scope)}
        for name in ("type", "level"):
            if name in node.value:
                parts[name] = self._word(node.value[name], known[name], scope)
        if "label" in node.value:
            parts["label"] = self.entry(node.value["label"], known["label"], scope)
        self.require(node, ContactPoint, parts)
        return Field(_contact(built(parts)), "", parts)

    def _word(self, node: Node, shape: Shape, scope: Scope) -> Field:
        """The word itself, or an entry in long form."""
        long = node if isinstance(node.value, dict) else node.with_value({"value": node})
        return self._scalar(long, shape, scope)


# What the closures do


def built(fields: Mapping[str, Field]) -> Read:
    """An object of every field that is not empty; None if all are."""
    pairs = tuple((name, item.read) for name, item in fields.items())

    def build(node: Any, row: Row) -> dict[str, Any] | None:
        values = {}
        for name, read in pairs:
            value = read(node, row)
            if value or value == 0:  # 0 and False are values; None, "", [] and {} are not
                values[name] = value
        return values or None

    return build


def list_at(items: Expression, node: Any, row: Row) -> list[Any]:
    """The list an ``each:`` goes through; empty when missing."""
    found = items.read(node, row)
    if blank(found):
        return []
    if isinstance(found, list):
        return found
    problem = f'{items.path}: "each:" wants a list, not this {kind_of(found)}'
    raise MappingError(problem, path=items.path, hint="Check what the vendor sends there")


def further_out(place: str, exc: MappingError) -> MappingError:
    """The same fault, told from one level further out."""
    path = below(place, exc.path)
    return MappingError(path + str(exc).removeprefix(exc.path), path=path, hint=exc.hint)


def _below(whole: Read, build: Read) -> Read:
    return lambda node, row: build(whole(node, row), row)


def _contact(build: Read) -> Read:
    def contact(node: Any, row: Row) -> Any:
        point = build(node, row)
        complete = point is not None and "type" in point and not blank(point.get("value"))
        return point if complete else None

    return contact


def _each(items: Expression, element: Read) -> Read:
    def each(node: Any, row: Row) -> list[Any]:
        made = []
        for index, item in enumerate(list_at(items, node, row)):
            try:
                value = element(item, row)
            except MappingError as exc:
                raise further_out(f"{items.path}[{index}]", exc) from None
            if not blank(value):
                made.append(value)
        return made

    return each


def _concatenated(reads: list[Read]) -> Read:
    def concatenate(node: Any, row: Row) -> list[Any]:
        made: list[Any] = []
        for read in reads:
            value = read(node, row)
            if isinstance(value, list):
                made += value
            elif not blank(value):
                made.append(value)
        return made

    return concatenate
