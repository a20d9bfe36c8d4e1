"""Raw rows to canonical records: a row costs its closures and one validation per record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from hub.errors import MappingError
from hub.mapping.fields import Field, further_out, list_at
from hub.mapping.paths import Expression, Read, Row, below, blank, kind_of
from hub.mapping.transforms import WRONG_VALUE, to_text
from hub.models import Record

if TYPE_CHECKING:
    from hub.mapping.spec import Mapping as Spec


def to_canonical(mapping: Spec, raw: Any, *, connection: str) -> list[Record]:
    """The records of one raw row: the main one first, then those of ``also:``.

    Raises:
        MappingError: the row does not fit; the path says where.
    """
    row = row_of(raw, connection)
    main = mapping.main
    header = main.header(row.raw, row)
    records = [main.record(main.required_id(row), row.raw, row, header)]
    for cut in mapping.also:
        records += cut.records(row, header)
    return records


def row_of(raw: Any, connection: str = "") -> Row:
    """The row to read from; it must be an object."""
    if isinstance(raw, dict):
        return Row(raw, connection)
    problem = f"$: a row is an object, this {kind_of(raw)} is not"
    raise MappingError(problem, path="$", hint="The adapter must give one object per record")


class Header(NamedTuple):
    """What the records of a row share unless they say otherwise."""

    version: str = ""
    occurred_at: Any = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How a record of one kind is filled.

    Attributes:
        build: gives the values of ``fields:``.
        places: where the vendor has what each canonical field holds.
        named: top-level names that some expression reads, the others go to ``extra``; None keeps
            nothing there.
    """

    model: type[Record]
    build: Read
    places: Mapping[str, Field]
    named: frozenset[str] | None = None

    def record(self, values: dict[str, Any], node: Any, row: Row) -> Record:
        values |= self.build(node, row) or {}
        if self.named is not None:
            values["extra"] = {name: node[name] for name in node if name not in self.named}
        try:
            return self.model.model_validate(values)
        except ValidationError as exc:
            fault = _invalid(exc, self)
        raise fault  # outside the handler: pydantic's text holds the row's values


@dataclass(frozen=True, slots=True)
class Cut:
    """One sort of record cut from a row; its kind may depend on the row."""

    stream: str
    kind: Expression
    plans: Mapping[str, Plan]
    key: Expression
    version: Expression | None = None
    occurred_at: Expression | None = None
    each: Expression | None = None

    def id_of(self, node: Any, row: Row) -> str:
        """The external id; "" when the key is empty."""
        value = self.key.read(node, row)
        return "" if blank(value) else _single(value, self.key.path).strip()

    def required_id(self, row: Row) -> str:
        """The external id of the whole row."""
        if id_ := self.id_of(row.raw, row):
            return id_
        problem, hint = f"{self.key.path}: the key is empty", 'Correct "key:" in the mapping'
        raise MappingError(problem, path=self.key.path, hint=hint)

    def version_of(self, node: Any, row: Row) -> str:
        """The version as text that sorts; "" when there is none."""
        if self.version is None:
            return ""
        return _version(self.version.read(node, row), self.version.path)

    def header(self, node: Any, row: Row, main: Header | None = None) -> Header:
        """Its own version and time, or those of the main record."""
        if main and not self.version and not self.occurred_at:
            return main
        at = self.occurred_at.read(node, row) if self.occurred_at else main and main.occurred_at
        version = self.version_of(node, row) if self.version or not main else main.version
        return Header(version, None if blank(at) else at)

    def record(self, id_: str, node: Any, row: Row, header: Header) -> Record:
        values = {
            "ref": {"connection": row.connection, "stream": self.stream, "id": id_},
            "version": header.version,
            "occurred_at": header.occurred_at,
        }
        return self._plan(node, row).record(values, node, row)

    def records(self, row: Row, main: Header) -> list[Record]:
        """Those of an ``also:``; a piece with an empty key makes none."""
        if self.each is None:
            return self._one(row.raw, row, main)
        found = []
        for index, node in enumerate(list_at(self.each, row.raw, row)):
            try:
                found += self._one(node, row, main)
            except MappingError as exc:
                raise further_out(f"{self.each.path}[{index}]", exc) from None
        return found

    def _one(self, node: Any, row: Row, main: Header) -> list[Record]:
        id_ = self.id_of(node, row)
        return [self.record(id_, node, row, self.header(node, row, main))] if id_ else []

    def _plan(self, node: Any, row: Row) -> Plan:
        if plan := self.plans.get(self.kind.read(node, row)):
            return plan
        problem, hint = f"{self.kind.path}: empty, so of no kind", 'Give "to:" a "default:"'
        raise MappingError(problem, path=self.kind.path, hint=hint)


# Keys and versions


def _version(value: Any, path: str) -> str:
    """Numbers and instants get a fixed width, text stays as it is."""
    if blank(value):
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"
    written = _single(value, path)
    if isinstance(value, int | float | Decimal):
        whole, point, rest = written.partition(".")
        return whole.zfill(20) + point + rest
    return written


def _single(value: Any, path: str) -> str:
    if not isinstance(value, bool):
        try:
            return to_text(value)
        except WRONG_VALUE:
            pass
    problem = f"{path}: text or a number is wanted, this {kind_of(value)} does not fit"
    raise MappingError(problem, path=path, hint=f'Check what the vendor sends in "{path}"')


# What pydantic refuses

_HINTS = {
    "missing": "The vendor left it empty: give the field a default in the mapping",
    "string_type": 'Add "| text" in the mapping',
    "timezone_aware": 'Add "| utc" in the mapping',
    "datetime_from_date_parsing": 'Add "| utc" in the mapping',
    "datetime_parsing": 'Add "| utc" in the mapping',
    "date_from_datetime_parsing": 'Add "| date" in the mapping',
    "date_from_datetime_inexact": 'Add "| date" in the mapping',
    "enum": 'Translate the vendor\'s words with "values:" in the mapping',
    "tuple_type": 'Use "each:", "| split" or "| list" in the mapping',
}
_QUOTING = ("value_error", "assertion_error")


def _invalid(exc: ValidationError, plan: Plan) -> MappingError:
    """The first thing wrong, at the vendor's path and without any value of the row."""
    first = exc.errors(include_url=False, include_context=False, include_input=False)[0]
    path, name = _place(first["loc"], plan.places)
    # pydantic's own words never quote the value; a validator's might.
    reason = "does not fit" if first["type"] in _QUOTING else first["msg"]
    hint = _HINTS.get(first["type"], f'Check what the vendor sends in "{path}"')
    return MappingError(f"{path}: {plan.model.kind}.{name}: {reason}", path=path, hint=hint)


def _place(loc: tuple[int | str, ...], fields: Mapping[str, Field]) -> tuple[str, str]:
    """Where the vendor has it, and its canonical name, as far as the mapping knows them."""
    path, names = "", []
    for part in loc:
        if isinstance(part, int):
            path += "[]"
        elif found := fields.get(part):
            names.append(part)
            path = below(path, found.path)
            fields = found.parts
        else:
            break
    name = ".".join(names) or str(loc[0])
    return path or name, name
