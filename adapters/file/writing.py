"""Rows written out: a file for each, or in a folder one a day; the same key never twice."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from openpyxl.utils.exceptions import IllegalCharacterError

from adapters.file.config import Files, Format, format_of
from adapters.file.places import Entry, Folder, Place, matching
from adapters.file.tables import rendered, rows
from hub.sdk import Change, Receipt, RejectedError, id_of, parts_of, plain

OURS = "hub_key"
"""The column by which a row of a shared file is found again."""

LOOKED_BACK = 4
"""Daily files that are looked through for a key: longer than a delivery is tried."""


def push(place: Place, name: str, told: Files, change: Change, now: datetime) -> Receipt:
    """Write a row, unless a file that is still there has it.

    Raises:
        RejectedError: it has a column that the file has not.
    """
    row = {column: plain(value) for column, value in change.values.items()}
    id_ = _named(row, told, change)
    format_ = format_of(told.write, told.format)
    if told.columns and (unknown := row.keys() - {*told.columns, *told.key}):
        raise RejectedError(
            f"the file has no column {', '.join(sorted(unknown))}",
            hint='Add it to columns, or take it out of "push:".',
        )
    columns = [*told.columns, *(k for k in told.key if k not in told.columns)]
    parts = {"stream": name, "date": f"{now:%Y-%m-%d}", "key": _safe(change.key)}
    path = _path(told.write, parts)
    pattern = _path(told.write, {**parts, "date": "*"})
    if "{key}" in told.write:
        if not _there(place, pattern):
            place.write(path, _file(format_, told, columns, [row]))
        return Receipt(id=id_)

    assert isinstance(place, Folder)  # noqa: S101 - the config takes no other

    def add() -> None:
        shared = told.model_copy(update={"key": (OURS,), "columns": (), "header": 1})
        known = {e.name: _rows(place, e, shared) for e in _there(place, pattern)[-LOOKED_BACK:]}
        if not any(one.get(OURS) == change.key for found in known.values() for one in found):
            found = [*known.get(path, []), {**row, OURS: change.key}]
            place.write(path, _file(format_, told, [*columns, OURS], found))

    place.alone(path, add)
    return Receipt(id=id_)


def _named(row: dict[str, Any], told: Files, change: Change) -> str:
    """The id of the row, whose key columns are filled where they were not."""
    if change.id is not None:
        row.update(zip(told.key, parts_of(change.id, len(told.key)), strict=True))
    elif len(told.key) == 1 and not row.get(told.key[0]):
        row[told.key[0]] = change.marker or change.key
    id_ = id_of([row.get(column) for column in told.key])
    if not id_:
        raise RejectedError("the row has no key", hint='Let "push:" write its key columns.')
    return id_


def _there(place: Place, pattern: str) -> list[Entry]:
    if isinstance(place, Folder):
        (place.root / pattern).parent.mkdir(parents=True, exist_ok=True)
    return matching(place, pattern)


def _rows(place: Place, entry: Entry, told: Files) -> list[Mapping[str, Any]]:
    with place.opened(entry) as file:
        found = list(rows(file, format_of(entry.name, told.format), told, entry.name))
    if bad := next((row["_error"] for row in found if "_error" in row), None):
        raise RejectedError(
            f"{PurePosixPath(entry.name).name} holds what was not written by the hub",
            hint=f"Move it away: {str(bad)[:200]}",
        )
    return [{n: v for n, v in row.items() if n != "_id"} for row in found]


def _file(
    format_: Format, told: Files, columns: Sequence[str], found: Sequence[Mapping[str, Any]]
) -> bytes:
    try:
        return rendered(format_, told, columns, found)
    except (UnicodeEncodeError, IllegalCharacterError):
        raise RejectedError(
            "the row has a character that the file cannot hold", hint="Write UTF-8: encoding."
        ) from None


def _path(template: str, parts: Mapping[str, str]) -> str:
    return re.sub(r"\{(stream|date|key)\}", lambda found: parts[found[1]], template)


def _safe(key: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", key)
