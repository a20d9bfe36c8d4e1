"""Tokens that run out, one row per connection, encrypted; renewed by one process at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
from sqlalchemy import Connection, select, update

from hub.errors import AuthError, RetryableError, StoreError
from hub.sdk.auth import Tokens
from hub.store import bulk, leases
from hub.store.crypto import Vault
from hub.store.db import Database
from hub.store.leases import Lease
from hub.store.schema import credential, from_us, to_us

log = logging.getLogger(__name__)

LEASE_S = 120.0
WAIT_S = 60.0
"""How long one who lost the race waits for what the winner gets."""

LOOK_S = 0.1

Renewal = Callable[[Tokens | None], Tokens]


class Credentials:
    """The tokens of one connection, as every process sees them.

    The lease only spares the vendor; what decides is the version in the row, so that a holder who
    was thought dead does no harm.
    """

    def __init__(self, database: Database, vault: Vault, connection: str) -> None:
        self._database, self._vault, self._connection = database, vault, connection
        self._lease = f"token:{connection}"
        self._unsaved: Tokens | None = None

    def load(self) -> Tokens | None:
        """The newest tokens, None when there never were any."""
        with self._database.read() as conn:
            return get(conn, self._vault, self._connection)

    def renew(self, seen: int, fetch: Renewal) -> Tokens:
        """Tokens newer than version ``seen``; see ``hub.sdk.auth.TokenStore``."""
        ends_at = time.monotonic() + WAIT_S
        while True:
            lease = self._take()
            if lease is not None:
                try:
                    return self._renew(seen, fetch)
                finally:
                    self._release(lease)
            if newest := self._newer(seen):
                return newest
            if time.monotonic() > ends_at:
                raise RetryableError(f"the tokens of {self._connection} are still being renewed")
            time.sleep(LOOK_S)

    def _renew(self, seen: int, fetch: Renewal) -> Tokens:
        present = self.load()
        if present is not None and present.version > seen:
            return present
        if self._unsaved is None or self._unsaved.version != seen + 1:
            try:
                self._unsaved = replace(fetch(present), version=seen + 1)
            except AuthError:
                # Somebody thought us dead and was faster; what we asked with was used up by then.
                newest = self._newer(seen)
                if newest is None:
                    raise
                return newest
        return self._save(self._unsaved)

    def _save(self, fresh: Tokens) -> Tokens:
        """Store them, unless newer ones are there; what is stored now.

        When the database fails here, they are kept for the next try: the vendor may have forgotten
        those they replace.
        """

        def story(conn: Connection) -> Tokens:
            _put(conn, self._vault, self._connection, fresh)
            return get(conn, self._vault, self._connection) or fresh

        stored = self._database.run(story)
        self._unsaved = None
        log.info("tokens renewed", extra={"connection": self._connection})
        return stored

    def _newer(self, seen: int) -> Tokens | None:
        newest = self.load()
        return newest if newest is not None and newest.version > seen else None

    def _take(self) -> Lease | None:
        with self._database.write() as conn:
            leases.ensure(conn, [self._lease])
            taken = leases.take(conn, [self._lease], leases.owner(), LEASE_S)
        return taken[0] if taken else None

    def _release(self, lease: Lease) -> None:
        with suppress(StoreError), self._database.write() as conn:  # else it runs out by itself
            leases.release(conn, [lease])


def get(conn: Connection, vault: Vault, connection: str) -> Tokens | None:
    """The tokens of a connection."""
    row = conn.execute(select(credential).where(credential.c.connection == connection)).first()
    if row is None:
        return None
    told = orjson.loads(vault.decrypt(row.sealed, context=f"credential:{connection}"))
    return Tokens(
        told["access"],
        told["refresh"],
        expires_at=row.expires_at,
        since=from_us(told["since"]),
        told=told["told"],
        version=row.version,
    )


def version(conn: Connection, connection: str) -> int:
    """How often the tokens of a connection were replaced; 0 when there are none."""
    query = select(credential.c.version).where(credential.c.connection == connection)
    return conn.execute(query).scalar() or 0


def replace_all(conn: Connection, vault: Vault, connection: str, tokens: Tokens) -> None:
    """Store the tokens of a new sign-in in place of whatever there was."""
    _put(conn, vault, connection, replace(tokens, version=version(conn, connection) + 1))


def _put(conn: Connection, vault: Vault, connection: str, fresh: Tokens) -> None:
    """Store them where what is stored is older.

    Sealed here, inside the transaction: so a key is not given up while a row is on its way.
    """
    told = {
        "access": fresh.access,
        "refresh": fresh.refresh,
        "since": to_us(fresh.since),
        "told": fresh.told,
    }
    row: dict[str, Any] = {
        "connection": connection,
        "sealed": vault.encrypt(orjson.dumps(told), context=f"credential:{connection}"),
        "version": fresh.version,
        "expires_at": fresh.expires_at,
        "refreshed_at": leases.now(),
    }
    older = (credential.c.connection == connection) & (credential.c.version < fresh.version)
    if conn.execute(update(credential).where(older).values(row)).rowcount == 0:
        bulk.insert_new(conn, credential, [row])
