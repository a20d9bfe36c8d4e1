"""Who did what to which: appended, never changed; ids only."""

from __future__ import annotations

from sqlalchemy import Connection

from hub.store import bulk, leases
from hub.store.schema import audit


def note(conn: Connection, actor: str, verb: str, subject: str) -> None:
    """Append one entry, in the transaction of what it tells."""
    row = {"at": leases.now(), "actor": actor, "verb": verb, "subject": subject}
    bulk.insert(conn, audit, [row])
