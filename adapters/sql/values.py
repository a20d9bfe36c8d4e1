"""Values of a database as JSON with their types, and instants in a column's own form."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID

from hub.sdk import plain, written

_DIGITS = {8: "%Y%m%d", 10: "s", 13: "ms", 14: "%Y%m%d%H%M%S"}
"""How an instant of so many digits is written."""


def alike(sample: Any, since: datetime, zone: Callable[[], tzinfo]) -> Any:
    """An instant in the form of a sample: of its type, or of the text it is written in."""
    if isinstance(sample, datetime):
        return since if sample.tzinfo else since.astimezone(zone()).replace(tzinfo=None)
    if isinstance(sample, date):
        return since.astimezone(zone()).date()
    if isinstance(sample, int | float | Decimal):
        return int(written(since, "ms" if sample > 1e11 else "s"))
    text = str(sample)
    if text.isdecimal() and len(text) in _DIGITS:
        form = _DIGITS[len(text)]
        return written(since, form, zone() if "%" in form else UTC)
    form = "%Y-%m-%dT%H:%M:%S" if text[10:11] == "T" else "local"
    return written(since, form, _zone_in(text) or zone())


def _zone_in(text: str) -> tzinfo | None:
    try:
        return datetime.fromisoformat(text).tzinfo
    except ValueError:
        return None


def typed(sample: Any, text: str) -> Any:
    """A text as a value of the sample's type."""
    for type_ in (bool, int, float, Decimal, UUID):
        if isinstance(sample, type_):
            return type_(text)
    if isinstance(sample, date):  # a datetime is one, too
        return type(sample).fromisoformat(text)
    return bytes.fromhex(text) if isinstance(sample, bytes) else text


_TYPES: Mapping[str, tuple[type, Any]] = {
    "at": (datetime, datetime.fromisoformat),
    "on": (date, date.fromisoformat),
    "decimal": (Decimal, Decimal),
    "uuid": (UUID, UUID),
    "bytes": (bytes, bytes.fromhex),
}


def packed(values: Sequence[Any]) -> str:
    """Values as JSON, with their types."""

    def told(value: Any) -> Any:
        for name, (type_, _) in _TYPES.items():
            if isinstance(value, type_):
                return {name: str(plain(value))}
        return value

    return json.dumps([told(value) for value in values], ensure_ascii=False)


def unpacked(position: str) -> list[Any]:
    return list(_values(json.loads(position)))


def _values(told: Sequence[Any]) -> Iterator[Any]:
    for value in told:
        if isinstance(value, dict):
            ((name, text),) = value.items()
            yield _TYPES[name][1](text)
        else:
            yield value
