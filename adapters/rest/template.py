"""Templates: texts of a system file with names in braces, put into requests.

A text that is exactly ``{name}`` keeps the type of its value; elsewhere it becomes text. What has
no value is left out, with its key; a table with ``"{if}" = "name"`` is left out as a whole when
that name has none. Names are dotted (``fields.phone``); a step before a colon makes something of a
value (``{now:ms}``, ``{json:values}``). A name in a list that stands for a list gives its items.
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hub.sdk import RejectedError, RemoteError, written

ABSENT: Any = object()
"""In place of a value: leave this out."""

IF = "{if}"
_NAME = re.compile(r"\{([^{}]*)\}")
_OURS = uuid.UUID("5b0f3f4e-9a5e-4b1a-9d0a-2f6f3c1c8a51")
"""Namespace of the UUIDs made of our keys; it must never change."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Scope:
    """The values names stand for, the clock, and the zone in which times are written."""

    names: Mapping[str, Any]
    zone: tzinfo = UTC
    now: Callable[[], datetime] = _now

    def having(self, **names: Any) -> Scope:
        """The same with more names."""
        return replace(self, names={**self.names, **names})

    def at(self, name: str) -> Any:
        """The value of a dotted name; None when it has none."""
        found: Any = self.names
        for step in name.split("."):
            found = found.get(step) if isinstance(found, Mapping) else None
        return found


def fill(template: Any, scope: Scope) -> Any:
    """The template with its values; ABSENT when it is one name without a value."""
    if isinstance(template, str):
        return _text(template, scope)
    if isinstance(template, Mapping):
        return _table(template, scope)
    if isinstance(template, list | tuple):
        return [value for item in template for value in _items(item, scope)]
    return template


def filled(template: Mapping[str, Any], scope: Scope) -> dict[str, Any]:
    """The table with its values; empty when its ``{if}`` does not hold."""
    found = fill(template, scope)
    return {} if found is ABSENT else found


def text(template: str, scope: Scope) -> str:
    """The text with its values; "" when one is missing."""
    found = _text(template, scope)
    return "" if found in (ABSENT, None) else shown(found)


def path(template: str, scope: Scope) -> str:
    """The path with its values, each quoted as one part of an address.

    Raises:
        RejectedError: one has no value.
    """

    def quoted(match: re.Match[str]) -> str:
        value = value_of(match[1], scope)
        if value is None:
            raise RejectedError(f"the path {template} has no value for {match[0]}")
        whole = match.start() == 0 and "://" in shown(value)  # the address of another host
        return shown(value) if whole else quote(shown(value), safe="")

    return _NAME.sub(quoted, template)


def shown(value: Any) -> str:
    """A value as part of a text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return str(value)


def names_in(template: Any) -> Iterator[str]:
    """What stands in braces anywhere in a template, as written."""
    if isinstance(template, str):
        yield from (match[1] for match in _NAME.finditer(template))
    elif isinstance(template, Mapping):
        for key, value in template.items():
            if key == IF:
                yield from str(value).split()
            else:
                yield from names_in(key)
                yield from names_in(value)
    elif isinstance(template, list | tuple):
        for item in template:
            yield from names_in(item)


def value_of(name: str, scope: Scope) -> Any:
    """The value of what stands in braces; None when it has none."""
    step, colon, rest = name.partition(":")
    if step == "now":
        return time_in(scope.now(), rest or "iso", scope.zone)
    if not colon:
        return scope.at(name)
    values = [scope.at(argument) for argument in rest.split(":")]
    return None if None in values else STEPS[step](*values)


def time_in(at: datetime, form: str, zone: tzinfo) -> str | int:
    """An instant as ``written`` gives it; Unix times as numbers."""
    told = written(at, form, zone)
    return int(told) if form in ("s", "ms") else told


def _text(template: str, scope: Scope) -> Any:
    if template == "{null}":
        return None
    matches = list(_NAME.finditer(template))
    values = [value_of(match[1], scope) for match in matches]
    if None in values:
        return ABSENT
    if len(matches) == 1 and matches[0][0] == template:
        return values[0]
    parts = iter(values)
    return _NAME.sub(lambda _: shown(next(parts)), template)


def _items(template: Any, scope: Scope) -> list[Any]:
    """What an item of a list becomes: nothing, itself, or the items of the list it stands for."""
    found = fill(template, scope)
    if found is ABSENT:
        return []
    return found if isinstance(template, str) and isinstance(found, list) else [found]


def _table(template: Mapping[str, Any], scope: Scope) -> Any:
    wanted = str(template.get(IF, "")).split()
    if any(value_of(name, scope) is None for name in wanted):
        return ABSENT
    pairs = ((text(k, scope), fill(v, scope)) for k, v in template.items() if k != IF)
    return {key: value for key, value in pairs if value is not ABSENT}


def _rsa(key: str, told: Any) -> str:
    """Base64 of the text, encrypted for the holder of a key (PKCS #1 v1.5)."""
    try:
        bare = re.sub(r"-----[^-]*-----|\s", "", key)
        public = load_der_public_key(base64.b64decode(bare))
    except ValueError as exc:
        raise RemoteError("the vendor's public key cannot be read") from exc
    if not isinstance(public, RSAPublicKey):
        raise RemoteError("the vendor's public key is no RSA key")
    return base64.b64encode(public.encrypt(shown(told).encode(), PKCS1v15())).decode()


def _int(told: Any) -> int:
    try:
        return int(told)
    except (TypeError, ValueError) as exc:
        raise RejectedError("a whole number is wanted where the vendor's id is text") from exc


STEPS: Mapping[str, Callable[..., Any]] = {
    "text": shown,
    "json": lambda value: json.dumps(value, ensure_ascii=False),
    "int": _int,
    "uuid": lambda value: str(uuid.uuid5(_OURS, shown(value))),
    "base64": lambda value: base64.b64encode(shown(value).encode()).decode(),
    "rsa": _rsa,
}
"""What a step makes of its values; ``now`` is one as well, with a form instead."""

ARGUMENTS = {name: 2 if name == "rsa" else 1 for name in STEPS}
