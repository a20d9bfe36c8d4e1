"""Conditions as data: one test of a field of a document, for rules, segments and whatever asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, Field

from hub.models.base import Model

Number = int | float


class Condition(Model):
    """One test of a field; the operators given must all hold.

    ``contains`` looks for a text in a text, or for a value in a list. ``becomes`` holds when the
    field has that value now and had another before. What is not there is neither ``at_least`` nor
    ``at_most`` anything.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    field: str
    is_: Any = Field(default=None, alias="is")
    is_not: Any = None
    in_: list[Any] | None = Field(default=None, alias="in")
    contains: str | None = None
    empty: bool | None = None
    at_least: Number | None = None
    at_most: Number | None = None
    becomes: Any = None

    def holds(self, after: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> bool:
        """Whether the document, as it is and as it was, passes."""
        value = look_up(after, self.field)
        return all(self._passes(name, value, before) for name in self.model_fields_set - {"field"})

    def _passes(self, name: str, value: Any, before: Mapping[str, Any] | None) -> bool:
        wanted = getattr(self, name)
        match name:
            case "is_":
                return bool(value == wanted)
            case "is_not":
                return bool(value != wanted)
            case "in_":
                return value in (wanted or ())
            case "contains":
                return wanted in (value if isinstance(value, list | tuple) else str(value or ""))
            case "empty":
                return (value in (None, "", [], {})) is wanted
            case "at_least":
                return isinstance(value, Number) and value >= wanted
            case "at_most":
                return isinstance(value, Number) and value <= wanted
        was = look_up(before, self.field) if before is not None else None
        return bool(value == wanted and was != wanted)  # becomes


def look_up(document: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path; None where it leads nowhere."""
    value: Any = document
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
