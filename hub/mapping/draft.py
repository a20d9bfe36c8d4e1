"""A first mapping for a stream nobody has seen: guessed from the names of its fields.

It loads as it is; a person then reads it line by line. What fits nothing stays in ``extra``, and is
listed below the fields so that it can be put to use.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from hub.models import PARTY_KINDS

_BARE = re.compile(r"[^\W\d][\w-]*(\.[^\W\d][\w-]*)*")

_SAYABLE = re.compile(r'[^"\\`\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]+')
"""Names a path can hold between quotes."""

_CONTACTS = ("phone", "email", "tax_id", "unionid", "member_no")
_ADDRESS = ("street", "city", "region", "postal_code", "country")
_STATUS = {
    "values": {"new": "new", "open": "open", "pending": "waiting", "closed": "closed"},
    "default": "new",
    "otherwise": "open",
}

_FIELDS: dict[str, dict[str, str]] = {
    "Person": {
        "name": "name", "tier": "tier", "owner": "owner", "organization_name": "company",
        "title": "title",
    },
    "Organization": {"name": "name", "tier": "tier", "owner": "owner"},
    "Ticket": {
        "subject": "subject", "description": "description", "status": "status",
        "assignee": "assignee", "opened_at": "created | utc",
    },
    "Order": {"number": "number", "ordered_on": "ordered_on | date", "total": "total | money CNY"},
    "Product": {"name": "name", "code": "code", "unit": "unit", "price": "price | money CNY"},
    "Message": {"text": "text"},
    "Asset": {"serial_number": "serial_number"},
}  # fmt: skip
"""Of each kind a canonical field, the meaning it is read from, and the step that reads it."""

_ALWAYS = {"Message": {"channel": {"value": "other"}, "direction": {"value": "in"}}}


@dataclass(frozen=True, slots=True)
class _Kind:
    required: tuple[str, ...]
    signs: tuple[str, ...]


def draft(source: str, fields: Mapping[str, Any], *, key: str = "", version: str = "") -> str:
    """A mapping as YAML that loads, for rows of ``source`` ("vendor/stream").

    Args:
        fields: names of the row's fields, each with a value seen or "".
        key: the field that names a row, where that is known.
        version: the field that grows with each change, where that is known.
    """
    words, kinds = _guesses()
    fields = {name: seen for name, seen in fields.items() if _SAYABLE.fullmatch(name)}
    found = _meant(fields, words)
    kind = max(kinds, key=lambda name: _score(kinds[name], found))
    key = key or found.get("id") or next(iter(fields), "id")
    version = version or found.get("version", "")
    entries = {**_plain_fields(kind, found), **_grouped(kind, found)}
    spec = {"from": source, "to": kind, "key": _path(key)}
    if version:
        spec["version"] = _path(version)
    if "created" in found:
        spec["occurred_at"] = f"{_path(found['created'])} | utc"
    text = yaml.safe_dump({**spec, "fields": entries}, allow_unicode=True, sort_keys=False)
    used = {leaf.partition(" | ")[0] for leaf in _leaves([spec, entries])}
    rest = [f"#   {name!r}" for name in fields if _path(name) not in used]
    tail = ["# Not used yet; kept with the record as extra:", *rest] if rest else []
    head = f"# Draft of {source}: read each line, then take this one out."
    return "\n".join([head, text.rstrip(), *tail]) + "\n"


@cache
def _guesses() -> tuple[dict[str, tuple[str, ...]], dict[str, _Kind]]:
    told = tomllib.loads(Path(__file__).with_name("drafts.toml").read_text("utf-8"))
    words = {name: tuple(listed.split()) for name, listed in told["words"].items()}
    kinds = {
        name: _Kind(tuple(kind["required"]), tuple(kind["signs"]))
        for name, kind in told["kinds"].items()
    }
    return words, kinds


def _meant(fields: Mapping[str, Any], words: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """The field found for each meaning: by the best of its words, then the field that is first."""
    compact = {name: _compact(name.rpartition(".")[2]) for name in fields}
    found = {}
    for meaning, known in words.items():
        ranked = [(known.index(c), name) for name, c in compact.items() if c in known]
        if ranked:
            found[meaning] = min(ranked, key=lambda pair: pair[0])[1]
    return found


def _score(kind: _Kind, found: Mapping[str, str]) -> float:
    if not all(field in found for field in kind.required):
        return -1.0
    return len({found[sign] for sign in kind.signs if sign in found}) + 0.5 * len(kind.required)


def _plain_fields(kind: str, found: Mapping[str, str]) -> dict[str, Any]:
    entries: dict[str, Any] = dict(_ALWAYS.get(kind, {}))
    for field, told in _FIELDS[kind].items():
        meaning, bar, step = told.partition(" | ")
        if meaning in found:
            path = f"{_path(found[meaning])}{bar}{step}"
            entries[field] = {"path": path, **_STATUS} if field == "status" else path
    return entries


def _grouped(kind: str, found: Mapping[str, str]) -> dict[str, Any]:
    """Contact points and the address of a party."""
    if kind not in PARTY_KINDS:
        return {}
    points = [{"type": t, "path": _path(found[t])} for t in _CONTACTS if t in found]
    address = {part: _path(found[part]) for part in _ADDRESS if part in found}
    return {
        **({"contact_points": points} if points else {}),
        **({"addresses": [{"fields": address}]} if address else {}),
    }


def _path(name: str) -> str:
    """The name as an expression has it."""
    return name if _BARE.fullmatch(name) else f'"{name}"'


def _leaves(of: Any) -> Iterator[str]:
    if isinstance(of, dict | list):
        for item in of.values() if isinstance(of, dict) else of:
            yield from _leaves(item)
    elif isinstance(of, str):
        yield of


def _compact(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()
