"""Configured accounts: what the file or a person said, secrets encrypted, and how each is doing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection, func, select, update

from hub.store import alerts, bulk, checkpoints, inbox, jobs, leases, outbox
from hub.store.crypto import Vault
from hub.store.schema import REFUSED, STOPPED, connection, mapping_choice

AUTH = "auth"
MEND_AUTH = "Mend its credentials, then run hub check, or hub connect where one signs in."


@dataclass(frozen=True, slots=True)
class Stored:
    """One connection as stored; ``env:NAME`` values are still as written."""

    name: str
    adapter: str
    config: dict[str, Any] = field(repr=False)
    state: str
    reason: str
    managed_by: str
    learned: dict[str, str] = field(default_factory=dict)


def put(
    conn: Connection,
    vault: Vault,
    name: str,
    adapter: str,
    config: Mapping[str, Any],
    secrets: Mapping[str, Any],
    managed_by: str,
) -> None:
    """Store a connection; one that was paused or refused starts anew."""
    sealed = vault.encrypt(orjson.dumps(secrets), context=f"connection:{name}")
    row = {
        "name": name,
        "adapter": adapter,
        "config": orjson.dumps(config).decode(),
        "secrets": sealed,
        "learned": "{}",
        "state": "new",
        "reason": "",
        "managed_by": managed_by,
        "changed_at": leases.now(),
    }
    bulk.upsert(conn, connection, [row])
    alerts.close(conn, AUTH, name)


def every(conn: Connection, vault: Vault) -> dict[str, Stored]:
    """All connections by name, secrets opened."""
    rows = conn.execute(select(connection).order_by(connection.c.name))
    return {row.name: _stored(row, vault) for row in rows}


def _stored(row: Any, vault: Vault) -> Stored:
    opened = orjson.loads(vault.decrypt(row.secrets, context=f"connection:{row.name}"))
    config = {**orjson.loads(row.config), **opened}
    learned = orjson.loads(row.learned)
    return Stored(row.name, row.adapter, config, row.state, row.reason, row.managed_by, learned)


def learn(conn: Connection, name: str, learned: Mapping[str, str]) -> None:
    """Keep what a request taught about the sender."""
    mine = connection.c.name == name
    query = select(connection.c.learned).where(mine).with_for_update()
    known = orjson.loads(conn.execute(query).scalar_one())
    values = {"learned": orjson.dumps({**known, **learned}).decode(), "changed_at": leases.now()}
    conn.execute(update(connection).where(mine).values(values))


def overview(conn: Connection) -> list[dict[str, Any]]:
    """All connections without their config."""
    hidden = ("config", "secrets", "learned")
    query = select(*(c for c in connection.c if c.name not in hidden)).order_by(connection.c.name)
    return [dict(row) for row in conn.execute(query).mappings()]


def usable(conn: Connection) -> set[str]:
    """Connections that may be asked for something."""
    chosen = select(connection.c.name).where(connection.c.state.not_in(STOPPED))
    return set(conn.execute(chosen).scalars())


def set_state(conn: Connection, name: str, state: str, reason: str = "") -> bool:
    """Note how a connection is doing; whether that is a change.

    A paused one stays so, whatever work on it was still under way, and one whose credentials are
    refused stays so until ``readmit``: other work of it may still succeed. Refused credentials are
    told once; when a vendor is back, what waited for it is due.
    """
    kept = ("paused",) if state in STOPPED else STOPPED
    changed = _move(conn, name, (state, *kept), state, reason)
    if changed and state == REFUSED:
        alerts.open_(conn, AUTH, name, "", reason, MEND_AUTH)
    if changed and state == "ok":
        _hasten(conn, name)
    return changed


def readmit(conn: Connection, name: str) -> bool:
    """The credentials work: whatever waited for them is due now; whether that is a change."""
    changed = _move(conn, name, ("ok", "paused"), "ok")
    alerts.close(conn, AUTH, name)
    checkpoints.hasten(conn, name)
    jobs.hasten(conn, None, name)
    _hasten(conn, name)
    return changed


def _move(conn: Connection, name: str, kept: Sequence[str], state: str, reason: str = "") -> bool:
    other = (connection.c.name == name) & connection.c.state.not_in(kept)
    changed = update(connection).where(other).values(state=state, reason=reason[:500])
    return conn.execute(changed.values(checked_at=leases.now())).rowcount == 1


def _hasten(conn: Connection, name: str) -> None:
    inbox.hasten(conn, name)
    outbox.hasten(conn, name)


def state(conn: Connection, name: str) -> str:
    """How a connection is doing."""
    return conn.execute(select(connection.c.state).where(connection.c.name == name)).scalar() or ""


def newest_change(conn: Connection) -> Any:
    """Rises with every change of a configuration; what was read before it is stale."""
    choice = select(func.max(mapping_choice.c.id)).scalar_subquery()
    return conn.execute(select(func.max(connection.c.changed_at), func.count(), choice)).one()
