"""What was learned about how much each agreement weighs, in versions."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from hub.identity.weights import Weights, dumps, loads, shipped
from hub.store import leases
from hub.store.schema import weights

_LOADED: dict[str, Weights] = {}
"""The version used last: they never change, and every batch asks."""

_NEWEST = select(weights.c.version).order_by(weights.c.id.desc()).limit(1)


def current(conn: Connection) -> Weights:
    """The weights in use: those learned last, or those a hub begins with."""
    version = conn.execute(_NEWEST).scalar()
    if version is None:
        return shipped()
    found = _LOADED.get(version)
    if found is None:
        document = select(weights.c.document).where(weights.c.version == version).limit(1)
        found = loads(conn.execute(document).scalar_one())
        _LOADED.clear()
        _LOADED[version] = found
    return found


def add(conn: Connection, learned: Weights, *, actor: str) -> None:
    """Use these from now on."""
    row = {
        "version": learned.version,
        "document": dumps(learned).decode(),
        "records": sum(learned.records.values()),
        "actor": actor,
        "at": leases.now(),
    }
    conn.execute(insert(weights).values(row))
