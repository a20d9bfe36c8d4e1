"""People and the companies they act for: found by reference, read from their own profiles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import orjson
from sqlalchemy import Connection, select

from hub.profiles.build import Document
from hub.store import bulk, customers, earlier, profiles
from hub.store.schema import acts_for, link, ref

PEOPLE_MAX = 20
"""How many people of a company are told."""


def companies(
    conn: Connection, refs: Iterable[str], at: datetime | None = None
) -> dict[str, Document]:
    """The profiles of the customers these records are of, by record; as they were at an instant."""
    owners = customers.links(conn, refs)
    if at is None:
        found = profiles.documents(conn, owners.values())
    else:
        then = {id_: earlier.at(conn, id_, at) for id_ in set(owners.values())}
        found = {id_: orjson.loads(document) for id_, document in then.items() if document}
    return {name: found[id_] for name, id_ in owners.items() if id_ in found}


def people(conn: Connection, members: Sequence[str]) -> list[Document]:
    """The profiles of those who act for the organisation these records are of."""
    chosen = (
        select(link.c.customer_id)
        .distinct()
        .join(ref, ref.c.source == link.c.ref)
        .where(acts_for, bulk.among(ref.c.target, members))
        .order_by(link.c.customer_id)
        .limit(PEOPLE_MAX)
    )
    found = profiles.documents(conn, conn.execute(chosen).scalars())
    return [found[id_] for id_ in sorted(found)]
