"""What rows tell of themselves: id, version, and whether they were deleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adapters.rest.config import Made
from adapters.rest.reading import is_flagged, moment
from adapters.rest.template import shown
from hub.sdk import Page, Raw, Sighting, at, zone_of


def id_of(made: Made, row: Any) -> str:
    """The id of a row; "" when it has none."""
    found = at(made.part.id, row)
    return "" if found is None else shown(found)


def tells_version(made: Made) -> bool:
    """Whether we know how the mapping writes versions: then it is our own way."""
    mapping = made.part.mapping
    return made.part.cursor is not None and mapping is not None and "version" not in mapping


def version_of(made: Made, row: Any) -> str:
    """The version of a row as its mapping reads it; "" when that is not known."""
    if not tells_version(made) or made.part.cursor is None:
        return ""
    found = moment(at(made.part.cursor.field, row), zone_of(made.zone))
    return f"{found:%Y-%m-%dT%H:%M:%S.%fZ}" if found else ""


def sightings(made: Made, page: Page) -> list[Sighting]:
    """What a page shows to exist."""
    flag = made.part.deleted.flag
    rows = [row for row in page.records if not is_flagged(flag, row) and id_of(made, row)]
    return [Sighting(id_of(made, row), version_of(made, row)) for row in rows]


def sought(names: tuple[str, ...], values: Raw) -> Iterator[tuple[str, Any]]:
    """The values to look for, each with the field it belongs to."""
    for name in names:
        found = at(name, values)
        for value in found if isinstance(found, list) else [found]:
            if value not in (None, ""):
                yield name, value


def fields(rows: Iterator[Raw]) -> dict[str, Any]:
    """Names of fields as a mapping would write them, each with a value seen."""
    found: dict[str, Any] = {}
    for row in rows:
        for name, value in _leaves(row):
            found[name] = found.get(name) or value
    return found


def _leaves(row: Raw, within: str = "", deep: int = 3) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if isinstance(value, dict) and value and deep > 1:
            yield from _leaves(value, f"{within}{name}.", deep - 1)
        else:
            yield f"{within}{name}", "" if isinstance(value, dict | list | None) else value
