"""Values an administrator says are the right ones; each stays with its party record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, delete, select

from hub.profiles.build import Pin
from hub.store import bulk, leases
from hub.store.schema import link, pin


def of_customers(conn: Connection, ids: Iterable[str]) -> dict[str, list[Pin]]:
    """Every pin of these customers, by customer."""
    found: dict[str, list[Pin]] = {}
    query = select(link.c.customer_id, pin.c.field, pin.c.value, pin.c.actor, pin.c.at)
    query = query.join(pin, pin.c.party == link.c.ref)
    for chunk in bulk.chunks(ids):
        for id_, *told in conn.execute(query.where(bulk.among(link.c.customer_id, chunk))):
            found.setdefault(id_, []).append(Pin(*told))
    return found


def put(conn: Connection, party: str, field: str, value: str, actor: str) -> None:
    """Pin a value; the last word on a field counts."""
    row = {"party": party, "field": field, "value": value, "actor": actor, "at": leases.now()}
    bulk.upsert(conn, pin, [row])


def remove(conn: Connection, parties: Sequence[str], field: str) -> bool:
    """Take back what was pinned for a field; whether there was anything."""
    chosen = delete(pin).where(pin.c.field == field, bulk.among(pin.c.party, parties))
    return conn.execute(chosen).rowcount > 0
