"""What profiles said before they said what they say now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
import zstandard
from sqlalchemy import Connection, delete, select

from hub.store import bulk, leases, records
from hub.store.schema import customer, profile
from hub.store.schema import earlier_profile as earlier


@dataclass(frozen=True, slots=True)
class Stored:
    """A profile as it is stored, since when it says that."""

    document: str
    built_at: datetime

    def differs_from(self, document: str) -> bool:
        """Whether the other one says anything else, apart from when it was put together."""
        mine, other = orjson.loads(self.document), orjson.loads(document)
        return bool({**mine, "built_at": ""} != {**other, "built_at": ""})


def stored(conn: Connection, ids: Iterable[str]) -> dict[str, Stored]:
    """The profiles of these customers, by id."""
    found: dict[str, Stored] = {}
    p = profile.c
    for chunk in bulk.chunks(sorted(ids)):
        rows = conn.execute(
            select(p.customer_id, p.document, p.built_at).where(bulk.among(p.customer_id, chunk))
        )
        found.update((id_, Stored(*told)) for id_, *told in rows)
    return found


LOADING = timedelta(days=1)
"""What stood for less when a first load replaced it was most likely half of a profile."""


def keep(
    conn: Connection,
    before: Mapping[str, Stored],
    replaced: Iterable[str],
    *,
    loading: bool = False,
) -> None:
    """Keep those of the profiles that are about to be replaced or removed.

    Args:
        loading: a first load is under way: of each customer, no more than one a day.
    """
    pack, now = zstandard.ZstdCompressor(level=3).compress, leases.now()
    young = now - LOADING if loading else now
    kept = [id_ for id_ in replaced if id_ in before and before[id_].built_at <= young]
    rows = [
        {
            "customer_id": id_,
            "built_at": before[id_].built_at,
            "replaced_at": now,
            "document": pack(before[id_].document.encode()),
        }
        for id_ in kept
    ]
    bulk.insert(conn, earlier, rows)
    records.note_seen(conn, "earlier_profile", [
        (member["source"]["ref"], id_)
        for id_ in kept
        for member in orjson.loads(before[id_].document)["members"]
    ])  # fmt: skip


def at(conn: Connection, customer_id: str, instant: datetime) -> str | None:
    """The profile an id showed at an instant, as JSON; None when there was none, or none is kept.

    A customer who was merged away later had a profile of their own then.
    """
    for id_ in _chain(conn, customer_id):
        e = earlier.c
        then = select(e.document).where(
            e.customer_id == id_, e.built_at <= instant, e.replaced_at > instant
        )
        packed = conn.execute(then.order_by(e.replaced_at).limit(1)).scalar()
        if packed is not None:
            return zstandard.ZstdDecompressor().decompress(packed).decode()
        p = profile.c
        now = select(p.document).where(p.customer_id == id_, p.built_at <= instant)
        document: str | None = conn.execute(now).scalar()
        if document is not None:
            return document
    return None


def _chain(conn: Connection, customer_id: str) -> list[str]:
    """The id as it was given, and what it leads to today: merges keep redirects one step long."""
    into = select(customer.c.merged_into).where(customer.c.id == customer_id)
    found = conn.execute(into).scalar()
    return [customer_id, found] if found else [customer_id]


def drop_old(conn: Connection, before: datetime, limit: int = 10_000) -> int:
    """Forget profiles replaced before an instant, the oldest first; how many went."""
    # Ids rise with time: look no further than the first one that is young enough.
    young = select(earlier.c.id).where(earlier.c.replaced_at >= before).order_by(earlier.c.id)
    first = conn.execute(young.limit(1)).scalar_one_or_none()
    old = select(earlier.c.id).order_by(earlier.c.id).limit(limit)
    if first is not None:
        old = old.where(earlier.c.id < first)
    return conn.execute(delete(earlier).where(earlier.c.id.in_(old))).rowcount
