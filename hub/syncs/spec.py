"""Syncs as data: which streams hold the same things, and where a missing copy is made.

A sync in settings.toml::

    [[syncs]]
    id = "customers"
    streams = ["crm/contacts", "erp/parties"]   # at the start, the first one's values win
    create = ["erp/parties"]                    # where a missing copy is created
    fields = ["name", "tier"]                   # canonical paths; default: all that may be pushed

Who may change a field says ``owner:`` in a mapping or its overlay: ``self``, or the name of a
connection. A field without owner may be changed everywhere, and the newest change wins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field, ValidationError, model_validator

from hub.errors import ConfigError
from hub.models import Model


class Sync(Model):
    """One set of streams whose records are kept alike."""

    id: str = Field(pattern=r"^[a-z0-9-]+$")
    streams: tuple[str, ...] = Field(min_length=2)
    create: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _known(self) -> Sync:
        for name in self.streams:
            if name.count("/") != 1:
                raise ValueError(f'"{name}" is not written connection/stream')
        for name in self.create:
            if name not in self.streams:
                raise ValueError(f'"{name}" of create is not among its streams')
        return self


@dataclass(frozen=True, slots=True)
class Side:
    """One stream of a sync, as its mapping has it.

    Attributes:
        pushed: canonical paths that may be written there.
        owners: canonical fields with who owns them, as the mapping says.
    """

    stream: str
    pushed: tuple[str, ...]
    owners: tuple[tuple[str, str], ...] = ()

    @property
    def connection(self) -> str:
        """The connection of the stream."""
        return self.stream.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Plan:
    """A sync worked out against the mappings of its streams.

    Attributes:
        paths: the canonical paths kept alike.
        writable: of these, what each stream takes.
        owners: path → the stream that alone may change it.
    """

    id: str
    streams: tuple[str, ...]
    create: tuple[str, ...]
    paths: tuple[str, ...]
    writable: Mapping[str, frozenset[str]]
    owners: Mapping[str, str]


def read_syncs(given: Sequence[Mapping[str, Any]]) -> tuple[Sync, ...]:
    """The syncs of settings.toml.

    Raises:
        ConfigError: one of them is wrong, or two speak of the same stream.
    """
    try:
        syncs = tuple(Sync.model_validate(sync) for sync in given)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "syncs"
        raise ConfigError(f"a sync is wrong at {where}: {first['msg']}") from exc
    taken: dict[str, str] = {}
    for sync in syncs:
        for stream in sync.streams:
            if stream in taken:
                raise ConfigError(
                    f"the syncs {taken[stream]} and {sync.id} both keep {stream} alike",
                    hint="A stream belongs to one sync: join the two.",
                )
            taken[stream] = sync.id
    return syncs


def plan(sync: Sync, sides: Sequence[Side]) -> Plan:
    """What the sync does, given its streams in order.

    Raises:
        ConfigError: two streams write the same field by different paths and ``fields`` does not
            choose; a field is owned by a connection outside of the sync.
    """
    paths = sync.fields or tuple(dict.fromkeys(p for side in sides for p in side.pushed))
    _one_path_per_field(sync, paths)
    kept = frozenset(paths)
    return Plan(
        id=sync.id,
        streams=sync.streams,
        create=sync.create,
        paths=paths,
        writable={side.stream: kept.intersection(side.pushed) for side in sides},
        owners={path: owner for path in paths if (owner := _owner(sync, path, sides))},
    )


def _one_path_per_field(sync: Sync, paths: Sequence[str]) -> None:
    for path in paths:
        if path != root(path) and root(path) in paths:
            raise ConfigError(
                f"the sync {sync.id} keeps both {root(path)} and {path} alike",
                hint="Choose one of them in its fields.",
            )


def _owner(sync: Sync, path: str, sides: Sequence[Side]) -> str:
    """The stream that owns a path: the first side that names itself, or that another names."""
    by_connection = {side.connection: side.stream for side in sides}
    for side in sides:
        named = dict(side.owners).get(root(path))
        if named == "self":
            return side.stream
        if named and named not in by_connection:
            raise ConfigError(
                f"{side.stream} says that {named} owns {root(path)}, which is not in {sync.id}",
                hint="Write owner: self, or the name of a connection of the sync.",
            )
        if named:
            return by_connection[named]
    return ""


def root(path: str) -> str:
    """The canonical field a path starts from."""
    return path.replace("[", ".").partition(".")[0]
