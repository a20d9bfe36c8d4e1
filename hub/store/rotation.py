"""Everything encrypted at rest, once more with the key in use, while the hub runs."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, select, update

from hub.errors import ConfigError
from hub.store.crypto import Vault, key_id
from hub.store.db import Database
from hub.store.schema import connection, credential, subscription

BATCH_MAX = 100


@dataclass(frozen=True, slots=True)
class _Place:
    """A column of sealed bytes; its context is ``<prefix>:<key of the row>``."""

    key: Column[Any]
    sealed: Column[Any]
    prefix: str


_PLACES = (
    _Place(connection.c.name, connection.c.secrets, "connection"),
    _Place(credential.c.connection, credential.c.sealed, "credential"),
    _Place(subscription.c.name, subscription.c.secrets, "subscription"),
)


@dataclass(frozen=True, slots=True)
class Rotated:
    """How a rotation ended.

    Attributes:
        done: rows encrypted anew.
        left: rows by the id of the key they are encrypted with now.
        current: the id of the key in use.
    """

    done: int
    left: dict[str, int]
    current: str

    @property
    def is_complete(self) -> bool:
        """Whether all other keys may be given up."""
        return set(self.left) <= {self.current}


def rotate(database: Database, vault: Vault) -> Rotated:
    """Encrypt with the key in use what is encrypted with another; may be killed and run again.

    A key file gets a fresh key first, and loses the old one when nothing needs it any longer. The
    embedded database has one writer: while the file changes, no row is on its way.
    """
    if vault.file:
        with database.write():
            vault.file.lead()
    done = sum(_reseal(database, vault, place) for place in _PLACES)
    with database.write() as conn:
        rotated = Rotated(done, _count(conn), vault.current)
        if vault.file and rotated.is_complete:
            vault.file.drop()
    return rotated


def _reseal(database: Database, vault: Vault, place: _Place) -> int:
    done, after = 0, ""
    while True:
        with database.read() as conn:
            rows = _batch(conn, place, after)
        if not rows:
            return done
        with database.write() as conn:
            done += sum(_again(conn, vault, place, *row) for row in rows)
        after = rows[-1][0]


def _batch(conn: Connection, place: _Place, after: str) -> list[tuple[str, bytes]]:
    query = select(place.key, place.sealed).where(place.key > after, place.sealed.is_not(None))
    return [(row[0], row[1]) for row in conn.execute(query.order_by(place.key).limit(BATCH_MAX))]


def _again(conn: Connection, vault: Vault, place: _Place, key: str, sealed: bytes) -> bool:
    """Whether it was encrypted anew: not when a worker has replaced it meanwhile."""
    if key_id(sealed) == vault.current:
        return False
    context = f"{place.prefix}:{key}"
    with suppress(ConfigError):  # a key we do not have: it stays, and is counted
        fresh = vault.encrypt(vault.decrypt(sealed, context=context), context=context)
        same = (place.key == key) & (place.sealed == sealed)
        return (
            conn.execute(
                update(place.sealed.table).where(same).values({place.sealed: fresh})
            ).rowcount
            == 1
        )
    return False


def _count(conn: Connection) -> dict[str, int]:
    found: Counter[str] = Counter()
    for place in _PLACES:
        query = select(place.sealed).where(place.sealed.is_not(None))
        found.update(key_id(sealed) for (sealed,) in conn.execute(query))
    return dict(found)
