from __future__ import annotations

from typing import Any

import pytest

from hub.errors import MappingError, MappingSpecError
from hub.mapping.paths import Row, Scope, compile_expression

RAW = {
    "id": 5,
    "name": " Ann ",
    "empty": "",
    "no": False,
    "a": {"b": {"c": 1}, "odd key": 2},
    "x-y": 3,
    "@etag": 4,
    "客户": {"名称": "刘"},
    "fields": [{"id": 1, "v": "one"}, {"id": "2", "v": "two", "n": {"k": True}}, "odd"],
}


def read(text: str, node: Any = RAW) -> Any:
    return compile_expression(text, Scope()).read(node, Row(RAW, "c"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id", 5),
        ("a.b", {"c": 1}),
        ("a.b.c", 1),
        ("a.b.c.d", None),
        ("name.x", None),
        ("fields.v", None),
        ("missing", None),
        ('a."odd key"', 2),
        ("x-y", 3),
        ("@etag", 4),
        ("客户.名称", "刘"),
        ("fields[0].v", "one"),
        ("fields[-1]", "odd"),
        ("fields[9].v", None),
        ("fields[id=1].v", "one"),
        ("fields[id=2].v", "two"),
        ('fields[v="two"].id', "2"),
        ("fields[n.k=true].v", "two"),
        ("fields[id=3].v", None),
        ("a[id=1]", None),
        ("@", RAW),
        ("$", RAW),
        ("$.a.b.c", 1),
        ("@.id", 5),
        ("empty || missing || id", 5),
        ("no || name | strip", "Ann"),
        ("missing || empty", ""),
        ("fields[?id==`1`].v | first", "one"),
        ("length(fields)", 3),
        ("[name, a.b.c] | join '|'", "Ann|1"),
        ("missing.a || fields[?id=='2'] | first", RAW["fields"][1]),
    ],
)
def test_paths(text: str, expected: Any) -> None:
    assert read(text) == expected


def test_the_row_from_inside_an_item() -> None:
    assert read("$.a.b.c", "item") == 1
    assert read("$.length(fields)", "item") == 3
    assert read("@", "item") == "item"


@pytest.mark.parametrize(
    ("text", "here", "row"),
    [
        ("a.b", {"a"}, set()),
        ("a || b.c | strip", {"a", "b"}, set()),
        ("$.a.b", set(), {"a"}),
        ("@", set(), set()),
        ("total | money currency.code", {"total", "currency"}, set()),
        ("total | money $.currency.code", {"total"}, {"currency"}),
        ("total | money CNY", {"total"}, set()),
        ("list[?kind=='x'].value | first", {"list"}, set()),
        ("[a, b.c] | join", {"a", "b"}, set()),
        ("join(' ', [a, b])", {"a", "b"}, set()),
        ("@.a[*].b", {"a"}, set()),
        ("*.x", set(), set()),
        ("sort_by(a, &b)[0].c", {"a"}, set()),
        ("{p: a, q: b[0:2]}", {"a", "b"}, set()),
        ("!a && (b > `1`)", {"a", "b"}, set()),
        ("$.max_by(a, &b).c", set(), {"a"}),
    ],
)
def test_the_names_an_expression_reads(text: str, here: set[str], row: set[str]) -> None:
    scope = Scope()
    compile_expression(text, scope)
    assert (scope.here, scope.row) == (here, row)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a..b", '"a..b" is not a path'),
        ("a[", '"a[" is not a path'),
        ("", '"" is not a path'),
        ("a |", 'unknown transform ""'),
        ("a | stripp", 'unknown transform "stripp"; did you mean "strip"?'),
        ("a | strip x", '"strip" has the wrong arguments'),
        ("a | ref", '"ref" has the wrong arguments'),
        ("a | money", '"money" has the wrong arguments'),
        ("a | utc Mars/Phobos", '"Mars/Phobos" is not a zone for "utc"'),
        ("a | utc ../../etc/passwd", '"../../etc/passwd" is not a zone for "utc"'),
        ("a | deref users", '"deref" works only in "push:"'),
        ("a | split \"", '"split "" has an open "'),
        ("a | money b..c", '"b..c" is not a path'),
    ],
)  # fmt: skip
def test_what_cannot_be_understood(text: str, message: str) -> None:
    with pytest.raises(MappingSpecError) as caught:
        compile_expression(text, Scope())
    assert str(caught.value) == message
    assert caught.value.hint


def test_a_jmespath_that_does_not_fit_the_row() -> None:
    with pytest.raises(MappingError) as caught:
        read("length(id)")
    assert caught.value.path == "length(id)"


def test_empty_values_never_reach_a_step() -> None:
    assert read("missing | integer") is None
    assert read("empty | integer") == ""
    assert read("missing | full_name name") == "Ann"
