"""Which text of a mapping a connection's stream uses, where a person chose one over the files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from hub.store import bulk, leases
from hub.store.schema import mapping, mapping_choice

Place = tuple[str, str]
"""A connection and one of its streams."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is in use from an instant on.

    Attributes:
        version: of the mapping; None = the files, whatever they say.
    """

    id: int
    version: str | None
    actor: str
    at: datetime


def choose(
    conn: Connection, connection: str, stream: str, version: str | None, actor: str
) -> Choice:
    """Let the stream use this version from now on; its text must be noted already."""
    row = {"connection": connection, "stream": stream, "version": version, "actor": actor}
    bulk.insert(conn, mapping_choice, [{**row, "at": leases.now()}])
    (newest, *_) = choices(conn, connection, stream)
    return newest


def choices(conn: Connection, connection: str, stream: str) -> list[Choice]:
    """Every choice of a stream, the one in force first."""
    c = mapping_choice.c
    query = select(c.id, c.version, c.actor, c.at)
    chosen = query.where(c.connection == connection, c.stream == stream).order_by(c.id.desc())
    return [Choice(*row) for row in conn.execute(chosen)]


def in_force(conn: Connection, connection: str, stream: str) -> Choice | None:
    """The newest choice; None when nobody ever chose."""
    return next(iter(choices(conn, connection, stream)), None)


def texts_in_use(conn: Connection) -> dict[Place, str]:
    """The chosen texts of every stream that does not use the files."""
    c = mapping_choice.c
    newest = select(func.max(c.id)).group_by(c.connection, c.stream)
    query = select(c.connection, c.stream, mapping.c.text).join(
        mapping, mapping.c.version == c.version
    )
    return {(row[0], row[1]): row[2] for row in conn.execute(query.where(c.id.in_(newest)))}
