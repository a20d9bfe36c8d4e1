"""A tap's catalog: what it has, and how one stream of it is selected.

Source: https://github.com/singer-io/getting-started/blob/master/docs/DISCOVERY_MODE.md
(checked 2026-11)
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from adapters.singer.config import Tapped
from hub.sdk import ConfigError

Catalog = Mapping[str, Any]


def entry_of(catalog: Catalog, name: str) -> dict[str, Any]:
    """A stream's entry.

    Raises:
        ConfigError: the tap has none of that name.
    """
    entries = catalog["streams"]
    for entry in entries:
        if name in (entry.get("tap_stream_id"), entry.get("stream")):
            return dict(entry)
    known = ", ".join(sorted(name_of(entry) for entry in entries))
    raise ConfigError(f'the tap has no stream "{name}"', hint=f"It has: {known[:500]}")


def name_of(entry: Mapping[str, Any]) -> str:
    return str(entry.get("tap_stream_id") or entry.get("stream"))


def keys_of(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """The properties that name a row, as the tap says."""
    told = _of_table(entry)
    found = (
        entry.get("key_properties")
        or told.get("table-key-properties")
        or told.get("view-key-properties")
    )
    return tuple(found or ())


def replication_key_of(entry: Mapping[str, Any]) -> str:
    told = _of_table(entry)
    valid = told.get("valid-replication-keys") or [None]
    return str(entry.get("replication_key") or told.get("replication-key") or valid[0] or "")


def _of_table(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = entry.get("metadata") or ()
    return next((one["metadata"] for one in metadata if not one["breadcrumb"]), {})


def selected(catalog: Catalog, name: str, told: Tapped) -> dict[str, Any]:
    """The catalog with this stream selected and no other."""
    wanted = name_of(entry_of(catalog, name))
    found = copy.deepcopy(dict(catalog))
    for entry in found["streams"]:
        _mark(entry, is_wanted=name_of(entry) == wanted, told=told)
    return found


def _mark(entry: dict[str, Any], *, is_wanted: bool, told: Tapped) -> None:
    metadata = entry.setdefault("metadata", [])
    if not any(not one["breadcrumb"] for one in metadata):
        metadata.append({"breadcrumb": [], "metadata": {}})
    named = {tuple(one["breadcrumb"]) for one in metadata}
    for name in (entry.get("schema") or {}).get("properties") or {}:
        if ("properties", name) not in named:
            metadata.append({"breadcrumb": ["properties", name], "metadata": {}})
    entry["selected"] = is_wanted
    if isinstance(entry.get("schema"), dict):
        entry["schema"]["selected"] = is_wanted  # as the first taps want it
    for one in metadata:
        if not one["breadcrumb"]:
            one["metadata"] |= {"selected": is_wanted, **(_way(told) if is_wanted else {})}
        elif one["metadata"].get("inclusion") != "unsupported":
            one["metadata"]["selected"] = is_wanted and one["breadcrumb"][-1] not in told.leave_out
    if is_wanted:
        entry |= {name.replace("-", "_"): value for name, value in _way(told).items()}


def _way(told: Tapped) -> dict[str, Any]:
    way = {"replication-method": told.replication, "replication-key": told.replication_key}
    return {name: value for name, value in way.items() if value}
