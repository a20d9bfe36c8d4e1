"""What reading and writing share in an entry: its keys, and its table of values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from hub.errors import MappingError, MappingSpecError
from hub.mapping.paths import Read, Row, blank, kind_of
from hub.mapping.source import Faults, Node, plain
from hub.mapping.transforms import WRONG_VALUE, to_text

TABLE_KEYS = ("values", "default", "otherwise")
REFUSE = object()
"""In place of a value: there is none, and that is an error."""


@dataclass(frozen=True, slots=True)
class Table:
    """How a vendor's words become others; None for a word means nothing at all.

    Attributes:
        values: word to value; None when any value passes as it is.
        default: for an empty value.
        otherwise: for a value that is not listed; REFUSE makes that an error.
    """

    values: dict[str, Any] | None
    default: Any
    otherwise: Any

    def words(self) -> set[str]:
        """Every text that can come out by the table."""
        listed = (*(self.values or {}).values(), self.default, self.otherwise)
        return {value for value in listed if isinstance(value, str)}

    def apply(self, read: Read, path: str) -> Read:
        """What is read, looked up in the table."""
        if self.values is None:
            return read if self.default is None else or_default(read, self.default)
        values, otherwise = self.values, self.otherwise
        empty = values.get("", self.default)

        def look_up(node: Any, row: Row) -> Any:
            value = read(node, row)
            if blank(value):
                return empty
            word = value if isinstance(value, str) else _word(value, path)
            found = values.get(word, otherwise)
            if found is REFUSE:
                raise MappingError(
                    f'{path}: this value is not listed in "values:"',
                    path=path,
                    hint=f'List the value of "{path}" in "values:", or give "otherwise:"',
                )
            return found

        return look_up


def or_default(read: Read, default: Any) -> Read:
    """What is read, or the default when that is empty."""

    def read_or_default(node: Any, row: Row) -> Any:
        value = read(node, row)
        return default if blank(value) else value

    return read_or_default


def _word(value: Any, path: str) -> str:
    try:
        return to_text(value)
    except WRONG_VALUE:
        pass
    raise MappingError(
        f'{path}: "values:" wants a single value, not this {kind_of(value)}',
        path=path,
        hint=f'Check what the vendor sends in "{path}"',
    )


def read_table(
    entry: Node, faults: Faults, check: Callable[[Any], None], *, nothing: Any = None
) -> Table:
    """The table of an entry; ``check`` refuses a value that may not come out.

    ``nothing`` stands for the null of a listed word.
    """
    values, default, otherwise = (entry.value.get(key) for key in TABLE_KEYS)
    listed: dict[str, Node] = {}
    if values is not None and not isinstance(values.value, dict):
        faults.add(values, '"values" is not a table', "Write it as {word: value, …}")
    elif values is not None:
        listed = values.value
    if otherwise is not None and values is None:
        faults.add(otherwise, '"otherwise" without "values"', 'Use "default" for an empty value')
    for node in (*listed.values(), default, otherwise):
        if node is not None and node.value is not None:
            checked(node, faults, check)

    def target(node: Node) -> Any:
        return nothing if node.value is None else plain(node)

    empty = plain(default) if default is not None else nothing
    fallback = target(otherwise) if otherwise is not None else empty
    return Table(
        values={word: target(node) for word, node in listed.items()} if values else None,
        default=empty,
        otherwise=REFUSE if otherwise is None and default is None else fallback,
    )


def checked(node: Node, faults: Faults, check: Callable[[Any], None]) -> None:
    """A constant of the file, refused at its own line."""
    try:
        check(plain(node))
    except MappingSpecError as exc:
        faults.add(node, str(exc), exc.hint)


def only_keys(entry: Node, allowed: Iterable[str], faults: Faults) -> None:
    """Every other key of the entry is a fault."""
    for key, node in entry.value.items():
        if key not in allowed:
            faults.unknown(node, "key", key, allowed)


def needed(entry: Node, key: str, faults: Faults) -> Node | None:
    """The node of a key that must be there."""
    found = entry.get(key)
    if found is None:
        faults.add(entry, f'"{key}" is missing', f"Add {key}: …")
    return found


def text_of(node: Node, faults: Faults) -> str | None:
    """The text of a node; anything else is a fault."""
    if isinstance(node.value, str) and node.value.strip():
        return node.value
    faults.add(node, "text was expected here", "Write text; quote words such as yes, no, on, off")
    return None
