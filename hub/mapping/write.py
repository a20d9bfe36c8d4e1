"""Canonical fields to vendor fields: only what ``push:`` lists is ever written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

from hub.errors import MappingError, MappingSpecError
from hub.mapping.entries import TABLE_KEYS, only_keys, or_default, read_table, text_of
from hub.mapping.fields import further_out
from hub.mapping.paths import (
    Find,
    Item,
    Read,
    Row,
    Scope,
    Step,
    compile_path,
    compile_steps,
    kind_of,
    split_expression,
    steps_of,
)
from hub.mapping.shapes import Shape, shapes
from hub.mapping.source import Faults, Node, unknown

if TYPE_CHECKING:
    from hub.mapping.spec import Mapping as Spec

OMIT: Any = object()
"""In place of a value: leave this vendor field alone."""

Target = tuple[str | Item, ...]


def to_vendor(mapping: Spec, fields: Mapping[str, Any], *, find: Find) -> dict[str, Any]:
    """The vendor fields that say what these canonical fields say.

    A field that is None is left out, unless its entry has a ``default:``; "" is written.

    Raises:
        MappingError: a value does not fit; the path is the vendor's.
    """
    chosen = {name: value for name, value in fields.items() if name in mapping.writable}
    known = to_jsonable_python(chosen)
    return _written(mapping.pushes, known, Row(known, find=find))


def shared(paths: Iterable[str], document: Any) -> dict[str, Any]:
    """The canonical value at each of these paths of a record; None where there is nothing.

    The paths are those that ``push:`` sections name.
    """
    row = Row(document)
    return {path: _reader(path)(document, row) for path in paths}


def fields_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Canonical fields that say what these values at their paths say; turns ``shared`` round."""
    fields: dict[str, Any] = {}
    for path, value in values.items():
        _put(fields, _target(path), value)
    return fields


@lru_cache(maxsize=1024)
def _reader(path: str) -> Read:
    return compile_path(path, Scope(direction="write"))


@dataclass(frozen=True, slots=True)
class Push:
    """One compiled entry: the canonical field it starts from, what to write, and where.

    Attributes:
        path: the canonical path as the file names it, such as ``contact_points[type=email].value``.
    """

    path: str
    field: str
    read: Read
    target: Target


def _written(pushes: tuple[Push, ...], node: Any, row: Row) -> dict[str, Any]:
    vendor: dict[str, Any] = {}
    for push in pushes:
        if push.field in node:
            value = push.read(node, row)
            if value is not OMIT:
                _put(vendor, push.target, value)
    return vendor


def _put(at: Any, target: Target, value: Any) -> None:
    """Writes at a nested place, making the objects and list items on the way there."""
    *way, final = target
    for step, after in zip(way, target[1:], strict=True):
        if isinstance(step, Item):
            at = _item(at, step)
        else:
            at = at.setdefault(step, [] if isinstance(after, Item) else {})
    at[final] = value


def _item(items: list[dict[str, Any]], wanted: Item) -> dict[str, Any]:
    for item in items:
        if item[wanted.key] == wanted.value:
            return item
    items.append({wanted.key: wanted.value})
    return items[-1]


def _none_omitted(read: Read) -> Read:
    def read_or_omit(node: Any, row: Row) -> Any:
        value = read(node, row)
        return OMIT if value is None else value

    return read_or_omit


def _parts_written(read: Read, pushes: tuple[Push, ...], place: str) -> Read:
    """An object, or a list of them, written part by part."""

    def write(node: Any, row: Row) -> Any:
        value = read(node, row)
        if value is None:
            return OMIT
        if isinstance(value, list):
            return [one(item, row, f"{place}[{index}]") for index, item in enumerate(value)]
        return one(value, row, place)

    def one(item: Any, row: Row, at: str) -> dict[str, Any]:
        if not isinstance(item, dict):
            problem = f"{at}: an object is wanted, this {kind_of(item)} does not fit"
            raise MappingError(problem, path=at, hint="Check the value that was to be written")
        try:
            return _written(pushes, item, row)
        except MappingError as exc:
            raise further_out(at, exc) from None

    return write


# Compiling

_KEYS = ("path", "fields", *TABLE_KEYS)


class PushCompiler:
    """Turns the entries of ``push:`` into what writes them, gathering every fault on the way."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def pushes(self, node: Node, known: Mapping[str, Shape]) -> tuple[Push, ...]:
        """The entries of one object to write."""
        if not isinstance(node.value, dict):
            self._faults.add(node, "this is not a table", "Write canonical field: vendor field")
            return ()
        found: list[Push] = []
        for name, entry in node.value.items():
            push = self._push(name, entry, known)
            if push and any(_overlap(push.target, other.target) for other in found):
                self._faults.add(entry, "this vendor field is already written", "Remove one")
            found += [push] if push else []
        return tuple(found)

    def _push(self, name: str, node: Node, known: Mapping[str, Shape]) -> Push | None:
        entry = node if isinstance(node.value, dict) else node.with_value({"path": node})
        only_keys(entry, _KEYS, self._faults)
        path = entry.get("path") or node
        if (text := text_of(path, self._faults)) is None:
            return None
        place, *steps = split_expression(text)
        scope = Scope(direction="write")
        try:
            field, shape = _canonical(name, known)
            target = _target(place)
            read = compile_steps(steps, compile_path(name, scope), place, scope).read
        except MappingSpecError as exc:
            self._faults.add(path, str(exc), exc.hint)
            return None
        if parts := entry.get("fields"):
            return Push(name, field, self._parts(parts, shape, read, place), target)
        self._check(entry, shape, steps)
        return Push(name, field, self._with_table(entry, read, place), target)

    def _parts(self, node: Node, shape: Shape, read: Read, place: str) -> Read:
        if shape.model:
            return _parts_written(read, self.pushes(node, shapes(shape.model)), place)
        self._faults.add(node, f"{shape.name} has no parts", 'Write "path:" alone')
        return read

    def _check(self, entry: Node, shape: Shape, steps: list[str]) -> None:
        if shape.model and not steps:
            step = {"Ref": "deref <stream>", "Money": "amount"}.get(shape.model.__name__)
            hint = f'End it with "| {step}"' if step else 'Name what to write in "fields:"'
            self._faults.add(entry, f"{shape.name} has parts", hint)
        values = entry.get("values")
        if values and shape.words and isinstance(values.value, dict):
            for word, node in values.value.items():
                if word not in shape.words:
                    self._faults.unknown(node, shape.name, word, shape.words)

    def _with_table(self, entry: Node, read: Read, place: str) -> Read:
        table = read_table(entry, self._faults, lambda _: None, nothing=OMIT)
        if table.values is not None:
            return table.apply(read, place)
        if "default" in entry.value:
            return or_default(read, table.default)
        return _none_omitted(read)


def _canonical(path: str, known: Mapping[str, Shape]) -> tuple[str, Shape]:
    """The field a canonical path starts from, and what it leads to."""
    field, *steps = steps_of(path) or [path]
    shape = _part(str(field), known)
    for step in steps:
        if not isinstance(step, str):
            shape = shape.item
        elif shape.many:
            hint = f"Choose one: {shape.name}[type=…].{step}"
            raise MappingSpecError(f"{shape.name} is a list", hint=hint)
        elif not shape.open:
            shape = _part(step, shapes(shape.model) if shape.model else {})
    return str(field), shape


def _part(name: str, known: Mapping[str, Shape]) -> Shape:
    if shape := known.get(name):
        return shape
    message, hint = unknown("field", name, known)
    raise MappingSpecError(message, hint=hint)


def _target(place: str) -> Target:
    """Where to write: names, and ``[key=value]`` for an item of a list.

    Raises:
        MappingSpecError: one cannot write there.
    """
    steps = steps_of(place) or []
    target = tuple(step for step in steps if not isinstance(step, int) and step not in ("$", "@"))
    fits = target and len(target) == len(steps) and isinstance(target[-1], str)
    if fits and not any(_item_of_item(*pair) for pair in pairwise(target)):
        return target
    problem = f'"{place}" is not a place to write to'
    raise MappingSpecError(problem, hint="Write a vendor field such as a, a.b or a[id=1].b")


def _item_of_item(before: Step, after: Step) -> bool:
    return isinstance(before, Item) and isinstance(after, Item)


def _overlap(one: Target, other: Target) -> bool:
    """Whether writing one would overwrite the other."""
    return all(a == b for a, b in zip(one, other, strict=False))
