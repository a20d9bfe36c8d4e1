from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hub.errors import MappingError, MappingSpecError
from hub.mapping import TRANSFORMS, Mapping, load, to_canonical, to_vendor
from hub.mapping.paths import Scope, compile_expression
from hub.models import KINDS, Record
from tests.unit.mapping.specs import MAILS, ORDERS, PARTIES, TICKETS

SPECS = [load(text, name="x") for text in (PARTIES, TICKETS, ORDERS, MAILS)]

# Every transform and every kind of path meets every kind of value.
EVERY_STEP = load(
    "from: v/t\nto: Telemetry\nkey: id\nversion: v\noccurred_at: at | utc\n"
    "fields:\n  values:\n    fields:\n"
    + "".join(
        f"      {name}: 'x || y[0] | {step.usage.replace('[', '').replace(']', '')}'\n".replace(
            "zone", "Asia/Shanghai"
        )
        for name, step in TRANSFORMS.items()
        if step.direction != "write" and step.gives != "kind"
    )
    + "      a: y[id=1].x\n      b: 'max_by(y, &x)'\n"
    "      c: {each: y, fields: {d: x, e: $.x | lower}}\n"
    "      f: {path: x, values: {a: b}}\n      g: 'length(x)'\n      h: \"y[?a > b].c | join\"\n",
    name="every.yaml",
)

unhurried = settings(deadline=None)  # the machine may be busy

NAMED = (
    "id x y v at name status subject lines to from address type value currency code family"
    " contact_mechanisms tags custom_fields a b"
)
NAMES = st.sampled_from(NAMED.split())
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(
        ["2026-11-21", "1e999999999", "CNY", "new", " ", "20261121", "/Date(9)/", 10**400]
    )
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=6)
)
ROWS = st.dictionaries(NAMES, JSON, max_size=10)


@unhurried
@given(ROWS | JSON)
@example({"id": 1, "subject": "\ud800"})
@example({"id": 1, "\ud800": 1})
def test_any_row_gives_records_or_a_mapping_error(raw: Any) -> None:
    for mapping in (*SPECS, EVERY_STEP):
        outcome = mapped(mapping, raw)
        if isinstance(outcome, MappingError):
            assert outcome.path
            assert outcome.hint
        else:
            assert all(isinstance(record, Record) for record in outcome)
            assert outcome[0].ref.id == mapping.external_id(raw)


def mapped(mapping: Mapping, raw: Any) -> list[Record] | MappingError:
    try:
        return to_canonical(mapping, raw, connection="c")
    except MappingError as exc:
        return exc


@unhurried
@given(ROWS)
def test_nothing_of_a_row_is_lost(raw: dict[str, Any]) -> None:
    mapping = load(
        "from: v/t\nto: Telemetry\nkey: id\nfields: {serial_number: x | text}\n", name="t"
    )
    outcome = mapped(mapping, raw)
    if not isinstance(outcome, MappingError):
        assert outcome[0].extra.keys() == raw.keys() - {"id", "x"}


@unhurried
@given(ROWS)
def test_a_fault_never_tells_the_rows_values(raw: dict[str, Any]) -> None:
    secret = "13800138000"
    marked = _with(raw, secret)
    for mapping in (*SPECS, EVERY_STEP):
        outcome = mapped(mapping, marked)
        if isinstance(outcome, MappingError):
            assert secret not in f"{outcome} {outcome.hint} {outcome.path}"
            assert outcome.__cause__ is None


def _with(value: Any, secret: str) -> Any:
    if isinstance(value, dict):
        return {name: _with(item, secret) for name, item in value.items()}
    if isinstance(value, list):
        return [_with(item, secret) for item in value]
    return secret if isinstance(value, str) else value


INVERTIBLE = load(
    """
from: v/t
to: Ticket
key: id
fields:
  subject: title
  description: body.text
  status: {path: state, values: {n: new, o: open, w: waiting, "4": solved, x: closed}}
  priority: {path: p, values: {"1": low, "2": normal, "3": high}}
  requester: by | ref users
  opened_at: at | utc
  product_sn: custom[id=7].value
  tags: labels
push:
  subject: title
  description: body.text
  status: {path: state, values: {new: n, open: o, waiting: w, solved: "4", closed: x}}
  priority: {path: p, values: {low: "1", normal: "2", high: "3"}}
  requester: by | deref users
  opened_at: at | epoch
  product_sn: custom[id=7].value
  tags: labels
""",
    name="i",
)
WORDS = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=9)
TICKET_ROWS = st.fixed_dictionaries(
    {"id": WORDS, "title": WORDS},
    optional={
        "body": st.fixed_dictionaries({"text": WORDS}),
        "state": st.sampled_from(["n", "o", "w", "4", "x"]),
        "p": st.sampled_from(["1", "2", "3"]),
        "by": WORDS,
        "at": st.integers(1, 4_000_000_000),
        "custom": st.fixed_dictionaries({"id": st.just(7), "value": WORDS}).map(lambda f: [f]),
        "labels": st.lists(WORDS, min_size=1, max_size=3),
    },
)


@unhurried
@given(TICKET_ROWS)
def test_there_and_back(raw: dict[str, Any]) -> None:
    record = to_canonical(INVERTIBLE, raw, connection="c")[0]
    said = {name: getattr(record, name) for name in record.model_fields_set}
    back = to_vendor(INVERTIBLE, said, find=lambda ref, _: ref.id)
    assert back == {name: value for name, value in raw.items() if name != "id"}
    again = to_vendor(INVERTIBLE, record.model_dump(mode="json"), find=lambda ref, _: ref.id)
    assert again.items() >= back.items()


@unhurried
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("status", "requester", "subject"), JSON)))
def test_any_value_is_written_or_refused(fields: dict[str, Any]) -> None:
    with suppress(MappingError):
        to_vendor(SPECS[1], fields, find=lambda ref, _: ref.id)


# Specs

WORDS_OF_A_SPEC = (
    "from to key fields also push match path value values each type default otherwise owner stream"
    " level label items subject status contact_points lines requester v/t Ticket Person email new |"
    " a.b a[id=1].b a[?b a[1] @ $.a { 0 length(a) version occurred_at address contact_points.x"
)
TOKENS = st.sampled_from(
    [
        *WORDS_OF_A_SPEC.split(),
        "a | strip",
        "a | ref x",
        "x | money CNY",
        "name | party_kind",
        "a || b",
        "a | split '",
    ]
)
TREES = st.recursive(
    TOKENS | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(TOKENS | st.sampled_from([*KINDS]), inner, max_size=5)
    ),
)
PARTS = ("from", "version", "occurred_at", "fields", "also", "match", "push")
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(PARTS, TREES)
    | {"to": st.sampled_from([*KINDS]) | TREES, "key": st.just("id") | TREES},
)


def refused(text: str, overlay: str | None = None) -> MappingSpecError | None:
    try:
        load(text, name="any.yaml", overlay=overlay, overlay_name="over.yaml")
    except MappingSpecError as exc:
        return exc
    return None


def loads_or_faults(text: str, overlay: str | None = None) -> None:
    exc = refused(text, overlay)
    if exc:
        assert str(exc).startswith(("any.yaml:", "over.yaml:"))
        assert exc.hint


@unhurried
@given(st.text())
@example("a: !!binary x")
@example("a: 0b_")
@example("a: " + "1" * 5000)
@example("{a: " * 400)
@example("%YAML 9.9\n---\na: b")
def test_any_text_loads_or_is_refused(text: str) -> None:
    loads_or_faults(text)


@unhurried
@given(DOCUMENTS, st.none() | DOCUMENTS)
def test_any_tree_loads_or_is_refused(tree: Any, over: Any) -> None:
    loads_or_faults(json.dumps(tree), None if over is None else json.dumps(over))


@unhurried
@given(st.lists(st.sampled_from(TICKETS.splitlines() + MAILS.splitlines()), max_size=30))
def test_any_shuffled_spec_loads_or_is_refused(lines: list[str]) -> None:
    loads_or_faults("\n".join(lines))


@unhurried
@given(st.text(st.sampled_from("ab.[]|=?`'\"@$&*(){}:!<>0 -,\\"), max_size=20))
def test_any_expression_compiles_or_is_refused(text: str) -> None:
    with suppress(MappingSpecError):
        compile_expression(text, Scope())
    tree = {"from": "v/t", "to": "Ticket", "key": "id", "fields": {"subject": "a"}}
    loads_or_faults(json.dumps(tree | {"push": {"subject": text}}))
