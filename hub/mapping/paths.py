"""Expressions, compiled once into closures: ``path | transform argument … | transform``.

A path is a dotted name (``party.name``, ``"odd name".x``), with ``[0]`` for an item of a list and
``[key=value]`` for the first item that has it; ``@`` is the value itself, ``$`` the whole row even
inside ``each``; ``a || b`` is the first that is not empty. Whatever else is JMESPath.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.visitor import TreeInterpreter

from hub.errors import MappingError, MappingSpecError
from hub.mapping.source import unknown
from hub.mapping.transforms import TRANSFORMS, WRONG_VALUE, Direction, Transform, to_text
from hub.models import Ref

Find = Callable[[Ref, str], str | None]


class Row(NamedTuple):
    """What an expression may look at besides the value at hand."""

    raw: Any
    connection: str = ""
    find: Find | None = None


Read = Callable[[Any, Row], Any]
"""A compiled expression: (the value at hand, its row) to the value found, None when missing."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an expression stands, and the names it turned out to read there and in the row."""

    here: set[str] = field(default_factory=set)
    row: set[str] = field(default_factory=set)
    direction: Direction = "read"

    def inside(self) -> Scope:
        """The scope of the parts of a value."""
        return Scope(set(), self.row, self.direction)


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression, the path it starts from and the canonical value it ends in."""

    read: Read
    path: str
    gives: str = ""


def compile_expression(text: str, scope: Scope) -> Expression:
    """The expression, ready to run.

    Raises:
        MappingSpecError: it cannot be understood.
    """
    path, *steps = split_expression(text)
    return compile_steps(steps, compile_path(path, scope), path, scope)


def split_expression(text: str) -> list[str]:
    """The path of an expression and its steps."""
    return [part.strip() for part in _split(text, "|")]


def blank(value: Any) -> bool:
    """Whether there is nothing in it: None or text without a visible character."""
    if isinstance(value, str):
        return not value or value.isspace()
    return value is None


def below(outer: str, inner: str) -> str:
    """The path of a part, seen from where the outer path starts."""
    if inner.startswith("$"):
        return inner
    return ".".join(part for part in (outer, inner) if part not in ("", "@"))


# Transforms

_WORD = re.compile(r"""(?:"[^"]*"|'[^']*'|\[[^\]]*\]|[^\s"'\[])+""")


def compile_steps(steps: list[str], read: Read, path: str, scope: Scope) -> Expression:
    """The steps applied to what is read; errors name the path."""
    gives = ""
    for step in steps:
        read, gives = _with_step(read, path, step, scope)
    return Expression(read, path, gives)


def _with_step(read: Read, path: str, step: str, scope: Scope) -> tuple[Read, str]:
    name, *words = _words(step)
    transform = TRANSFORMS.get(name)
    if transform is None:
        message, hint = unknown("transform", name, TRANSFORMS)
        raise MappingSpecError(message, hint=hint)
    if transform.direction not in ("both", scope.direction):
        place = {"read": '"fields:"', "write": '"push:"'}[transform.direction]
        raise MappingSpecError(f'"{name}" works only in {place}', hint="Use another transform here")
    other = _given(transform, words, scope)
    run = transform.bind([_unquote(word) for word in words])
    if other is None:
        return _apply(read, run, transform, path), transform.gives
    return _apply_with(other, read, run, transform, path), transform.gives


def _words(step: str) -> list[str]:
    if rest := _WORD.sub("", step).strip():
        raise MappingSpecError(f'"{step}" has an open {rest[0]}', hint="Close it, or quote it")
    return _WORD.findall(step) or [""]


def _given(transform: Transform, words: list[str], scope: Scope) -> Read | None:
    """What the step gets besides the value; takes a path off the words."""
    if transform.given == "connection":
        return lambda _, row: row.connection
    if transform.given == "find":
        return lambda _, row: row.find
    if not transform.given:
        return None
    if not words:
        problem = f'"{transform.name}" has the wrong arguments'
        raise MappingSpecError(problem, hint=f"Write: {transform.usage}")
    word = words.pop(0)
    if transform.given == "currency" and re.fullmatch("[A-Z]{3}", word):
        return lambda _, __: word
    return compile_path(word, scope)


def _apply(read: Read, run: Callable[..., Any], of: Transform, path: str) -> Read:
    takes_none, wrong = of.takes_none, _wrong_value(of, path)

    def apply(node: Any, row: Row) -> Any:
        value = read(node, row)
        if blank(value) and not takes_none:
            return value
        try:
            return run(value)
        except WRONG_VALUE:
            fault = wrong(value)
        raise fault  # outside the handler: the cause's text may hold personal data

    return apply


def _apply_with(other: Read, read: Read, run: Callable[..., Any], of: Transform, path: str) -> Read:
    takes_none, wrong = of.takes_none, _wrong_value(of, path)

    def apply(node: Any, row: Row) -> Any:
        value = read(node, row)
        if blank(value) and not takes_none:
            return value
        given = other(node, row)
        try:
            return run(value, given)
        except WRONG_VALUE:
            fault = wrong(value)
        raise fault

    return apply


def _wrong_value(of: Transform, path: str) -> Callable[[Any], MappingError]:
    def fault(value: Any) -> MappingError:
        message = f'{path}: "{of.name}" wants {of.wants}, this {kind_of(value)} does not fit'
        return MappingError(message, path=path, hint=f'Check what the vendor sends in "{path}"')

    return fault


def kind_of(value: Any) -> str:
    """What sort of value it is, in words and without its content."""
    for types, word in _KINDS:
        if isinstance(value, types):
            return word
    return "value"


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    (str, "text"),
    ((int, float), "number"),
    ((list, tuple), "list"),
    (dict, "object"),
)


# Paths

_NAME = r'(?:[\w@-]+|"[^"\\]+")'
_STEP = rf"""\.{_NAME}|\[-?\d+\]|\[[\w.-]+=(?:"[^"]*"|'[^']*'|[^\]"'\[]*)\]"""
_DOTTED = re.compile(rf"(?:{_NAME}|\$)(?:{_STEP})*")
_STEPS = re.compile(rf"{_STEP}|{_NAME}|\$")


@dataclass(frozen=True, slots=True)
class Item:
    """One ``[key=value]`` of a path."""

    key: str
    value: str | int

    def __str__(self) -> str:
        return f"[{self.key}={self.value}]"


Step = str | int | Item


def steps_of(path: str) -> list[Step] | None:
    """The names, indexes and selectors of a dotted path; None if it is not one."""
    if not _DOTTED.fullmatch(path):
        return None
    return [_step_of(match[0]) for match in _STEPS.finditer(path)]


def _step_of(text: str) -> Step:
    if not text.startswith("["):
        return _unquote(text.removeprefix("."))
    key, chosen, value = text[1:-1].partition("=")
    if not chosen:
        return int(key)
    return Item(key, int(value) if re.fullmatch(r"[1-9]\d*|0", value) else _unquote(value))


def compile_path(path: str, scope: Scope) -> Read:
    """The path, ready to run; the top-level names it reads are noted in the scope.

    Raises:
        MappingSpecError: it is not a path.
    """
    options = [_compile_option(part.strip(), scope) for part in _split(path, "||")]
    return options[0] if len(options) == 1 else _first_of(options)


def _first_of(options: list[Read]) -> Read:
    *preferred, final = options

    def read(node: Any, row: Row) -> Any:
        for option in preferred:
            value = option(node, row)
            if value is not False and value != [] and value != {} and not blank(value):
                return value
        return final(node, row)

    return read


def _compile_option(path: str, scope: Scope) -> Read:
    steps = steps_of(path)
    if steps is None:
        return _compile_jmespath(path, scope)
    if steps[0] == "$":
        scope.row.update(name for name in steps[1:2] if isinstance(name, str))
        below = _walk(steps[1:])
        return lambda _, row: below(row.raw, row)
    if steps[0] == "@":
        steps = steps[1:]
    scope.here.update(name for name in steps[:1] if isinstance(name, str))
    return _walk(steps)


def _walk(steps: list[Step]) -> Read:
    """The value at the end of the steps; the commonest lengths need no loop."""
    if not steps:
        return lambda node, _: node
    moves = [_move(step) for step in steps]
    if len(moves) == 1:
        return moves[0]
    if len(moves) == 2:
        head, tail = moves
        return lambda node, row: tail(head(node, row), row)

    def walk(node: Any, row: Row) -> Any:
        for move in moves:
            node = move(node, row)
        return node

    return walk


def _move(step: Step) -> Read:
    if isinstance(step, str):
        return lambda node, _: node.get(step) if isinstance(node, dict) else None
    if isinstance(step, int):
        return lambda node, _: _item(node, step)
    names: list[Step] = [*step.key.split(".")]
    key, wanted = _walk(names), str(step.value)
    return lambda node, row: _select(node, row, key, wanted)


def _item(node: Any, index: int) -> Any:
    fits = isinstance(node, list) and -len(node) <= index < len(node)
    return node[index] if fits else None


def _select(node: Any, row: Row, key: Read, wanted: str) -> Any:
    if isinstance(node, list):
        for item in node:
            if _same_word(key(item, row), wanted):
                return item
    return None


def _same_word(value: Any, wanted: str) -> bool:
    """Whether a single value is this word: 5 and "5" are the same."""
    try:
        return to_text(value) == wanted
    except WRONG_VALUE:
        return False


# JMESPath


_INTERPRETER = TreeInterpreter()  # keeps nothing between visits; making one costs as much as one


def _compile_jmespath(path: str, scope: Scope) -> Read:
    of_row = path.startswith("$.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # deprecated JMESPath is no JMESPath
            tree = jmespath.compile(path.removeprefix("$.")).parsed
    except (JMESPathError, ValueError, RecursionError, Warning) as exc:
        problem = f'"{path}" is not a path'
        raise MappingSpecError(problem, hint="Write a dotted name or JMESPath") from exc
    (scope.row if of_row else scope.here).update(_heads(tree))

    def search(node: Any, row: Row) -> Any:
        try:
            return _INTERPRETER.visit(tree, row.raw if of_row else node)
        except (JMESPathError, *WRONG_VALUE):
            pass
        problem = f"{path}: this expression does not fit the row"
        raise MappingError(problem, path=path, hint="Check what the vendor sends there")

    return search


def _heads(tree: Any) -> Iterator[str]:
    """The names a JMESPath reads directly in the value it is given."""
    kind, children = tree["type"], tree["children"]
    if kind == "field":
        yield tree["value"]
    elif kind in _CHAINS:
        passed_on = children[0]["type"] == "current" and kind in ("subexpression", "pipe")
        yield from _heads(children[1 if passed_on else 0])
    elif kind not in ("slice", "expref"):
        for child in children:
            yield from _heads(child)


_CHAINS = {
    "subexpression",
    "index_expression",
    "projection",
    "filter_projection",
    "value_projection",
    "flatten",
    "pipe",
}


# Reading the text


def _split(text: str, separator: str) -> list[str]:
    """The parts of a text between bars that stand outside quotes and brackets."""
    parts, depth, start = [], 0, 0
    for match in _LEXEME.finditer(text):
        found = match[0]
        depth += (found in "([{") - (found in ")]}")
        if found == separator and depth == 0:
            parts.append(text[start : match.start()])
            start = match.end()
    return [*parts, text[start:]]


_LEXEME = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|\|\|?|.""", re.DOTALL)


def _unquote(text: str) -> str:
    quoted = len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if quoted else text
