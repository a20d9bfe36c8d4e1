"""A mapping file as a tree in which every value remembers its file and line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import yaml

from hub.errors import MappingSpecError

_TAG = "tag:yaml.org,2002:"
_TYPED = {_TAG + name for name in ("int", "float", "bool", "null")}
_TEXT = {_TAG + name for name in ("str", "timestamp", "value", "merge")}
_TOO_LARGE = 2**63
_DEEPEST = 20


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the file: a dict of nodes, a list of nodes, or a plain scalar."""

    value: Any
    file: str
    line: int

    def get(self, key: str) -> Node | None:
        return self.value.get(key) if isinstance(self.value, dict) else None

    def with_value(self, value: Any) -> Node:
        return Node(value, self.file, self.line)


def plain(node: Node) -> Any:
    """The value without its places."""
    if isinstance(node.value, dict):
        return {key: plain(item) for key, item in node.value.items()}
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    return node.value


class Faults:
    """What is wrong with a mapping, gathered so that all of it is told at once."""

    def __init__(self) -> None:
        self._found: list[tuple[str, int, str, str]] = []

    def add(self, at: Node, message: str, hint: str) -> None:
        self._found.append((at.file, at.line, message, hint))

    def unknown(self, at: Node, what: str, word: str, known: Iterable[str]) -> None:
        """A word that is not in the list; a likely misspelling is named."""
        self.add(at, *unknown(what, word, known))

    def raise_any(self) -> None:
        """Raises MappingSpecError with every fault, unless there is none."""
        if not self._found:
            return
        found = sorted(dict.fromkeys(self._found), key=lambda fault: fault[:2])
        lines = [f"{file}:{line}: {message}" for file, line, message, _ in found]
        hints = [f"{file}:{line}: {hint}" for file, line, _, hint in found]
        raise MappingSpecError(
            "\n".join(lines), hint="\n".join(hints) if hints[1:] else found[0][3]
        )


def unknown(what: str, word: str, known: Iterable[str]) -> tuple[str, str]:
    """Message and hint for a word that is not in the list."""
    close = closest(word, known)
    question = f'; did you mean "{close}"?' if close else ""
    return f'unknown {what} "{word}"{question}', f"Known: {', '.join(sorted(known))}"


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    return next(iter(get_close_matches(word, sorted(known), n=1)), None)


def parse(text: str, file: str, faults: Faults) -> Node:
    """The tree of a YAML text.

    Raises:
        MappingSpecError: it cannot be read at all; whatever else is wrong is added to the faults.
    """
    root = _compose(text, file)
    if isinstance(root, yaml.MappingNode):
        return _Builder(file, faults).build(root)
    raise _unreadable(file, 1, "this is not a mapping", "Write key: value, one a line")


def _compose(text: str, file: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        line = mark.line + 1 if mark else 1
        raise _unreadable(
            file, line, f"not valid YAML: {exc.problem}", "Correct this line"
        ) from exc
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 1
        problem = "not valid YAML: a forbidden character"
        raise _unreadable(file, line, problem, "Remove it") from exc
    except (ValueError, OverflowError) as exc:  # PyYAML lets "\U99999999" and the like escape
        problem = "not valid YAML: a malformed escape"
        raise _unreadable(file, 1, problem, "Correct the escapes in the file") from exc
    except RecursionError as exc:
        problem = "nested too deeply"
        raise _unreadable(file, 1, problem, "A mapping needs only a few levels") from exc


def _unreadable(file: str, line: int, problem: str, hint: str) -> MappingSpecError:
    return MappingSpecError(f"{file}:{line}: {problem}", hint=hint)


class _Builder:
    """Turns PyYAML's nodes into ours; refuses what an administrator would trip over."""

    def __init__(self, file: str, faults: Faults) -> None:
        self._file, self._faults = file, faults
        self._scalars = yaml.SafeLoader("")
        self._seen: set[int] = set()

    def build(self, node: yaml.Node, line: int = 0, depth: int = 0) -> Node:
        """The tree below a node; a value stands on the line of its key."""
        at = Node(None, self._file, line or node.start_mark.line + 1)
        if depth > _DEEPEST:
            self._faults.add(at, "nested too deeply", "A mapping needs only a few levels")
            return at
        if id(node) in self._seen:
            self._faults.add(at, "an alias", "Write the value out instead of using & and *")
            return at
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return at.with_value(self._dict(node, depth + 1))
        if isinstance(node, yaml.SequenceNode):
            return at.with_value([self.build(item, depth=depth + 1) for item in node.value])
        return at.with_value(self._scalar(node, at))

    def _dict(self, node: yaml.MappingNode, depth: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        for key, value in node.value:
            at = Node(None, self._file, key.start_mark.line + 1)
            if not isinstance(key, yaml.ScalarNode) or key.tag != _TAG + "str":
                said = f' "{key.value}"' if isinstance(key, yaml.ScalarNode) else ""
                self._faults.add(at, f"the key{said} is not text", "Put the key in quotes")
            elif key.value in found:
                self._faults.add(at, f'"{key.value}" is given twice', "Keep one of the two")
            else:
                found[key.value] = self.build(value, at.line, depth)
        return found

    def _scalar(self, node: yaml.Node, at: Node) -> Any:
        if node.tag in _TEXT:
            return node.value
        if node.tag not in _TYPED:
            self._faults.add(at, f"the tag {node.tag}", "Remove the tag; quote the value if needed")
            return node.value
        try:
            value = self._scalars.construct_object(node)
        except (ValueError, OverflowError):  # such as 0b_
            value = _TOO_LARGE
        if isinstance(value, int) and abs(value) >= _TOO_LARGE:
            self._faults.add(at, "this is not a number", "Put the value in quotes")
            return None
        return value


def merge(base: Node, over: Node) -> Node:
    """The base file with the overlay's parts laid over it, field by field."""
    merged = dict(base.value)
    for key, node in over.value.items():
        below = merged.get(key)
        if key in ("fields", "push") and below is not None:
            node = _merge_fields(below, node)
        elif key == "to" and below is not None and isinstance(below.value, dict):
            node = _merge_entry(below, node)
        merged[key] = node
    return base.with_value(merged)


def _merge_fields(base: Node, over: Node) -> Node:
    if not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    merged = dict(base.value)
    for name, node in over.value.items():
        if node.value is None:  # the overlay takes the field away
            merged.pop(name, None)
        else:
            merged[name] = _merge_entry(merged[name], node) if name in merged else node
    return base.with_value(merged)


def _merge_entry(base: Node, over: Node) -> Node:
    if not isinstance(over.value, dict):
        return over
    if isinstance(base.value, str):
        base = base.with_value({"path": base})
    elif isinstance(base.value, list):
        base = base.with_value({"items": base})
    if not isinstance(base.value, dict):
        return over
    replaced = _replaced_by(over.value)
    merged = {key: node for key, node in base.value.items() if key not in replaced}
    for key, node in over.value.items():
        below = merged.get(key)
        if key == "fields" and below is not None:
            node = _merge_fields(below, node)
        elif key == "values" and below is not None and isinstance(below.value, dict):
            both = {**below.value, **node.value} if isinstance(node.value, dict) else node.value
            node = node.with_value(both)
        merged[key] = node
    return base.with_value(merged)


def _replaced_by(over: dict[str, Node]) -> set[str]:
    """Where a value comes from is said once: a new source takes the old one's place."""
    if "value" in over:
        return {"path", "each", "items", "fields", "values", "default", "otherwise"}
    if "items" in over:
        return {"path", "each", "value", "fields", "values", "default", "otherwise"}
    return {"value", "items"} if over.keys() & {"path", "each"} else set()
