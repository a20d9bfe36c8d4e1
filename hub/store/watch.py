"""Whether a card still shows what is true, for many cards in one question."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from hashlib import blake2b

import orjson
from sqlalchemy import Connection, Text, bindparam, select, text, union

from hub.store import bulk, outbox, read
from hub.store.schema import acts_for, link, profile, ref


def stamps(
    conn: Connection, customer_ids: Iterable[str], states: Mapping[str, str] | None = None
) -> dict[str, str]:
    """A text for each customer that differs whenever somebody or something was heard of.

    It is made from what is stored and nothing else, so that every process gives the same. Asked for
    by id and not by time: a transaction that began earlier may commit later. What only time does
    to a card, such as a request that becomes overdue, changes no stamp; nor do people of a company.

    Args:
        states: of the connections, where they are at hand.
    """
    ids = sorted(set(customer_ids))
    told: dict[str, list[object]] = defaultdict(list)
    for id_, *built in conn.execute(_BUILT, {"ids": bulk.told(ids)}):
        told[id_].append(built)
    for id_, made, state in outbox.hand_states(conn, ids):
        told[id_].append([made, state])
    systems = sorted((states or read.connection_states(conn)).items())
    return {id_: _digest([told[id_], systems]) for id_ in ids}


_ids = bindparam("ids", type_=Text())
_theirs, _company = link.alias("theirs"), link.alias("company")
# (customer, whose profile, since when it says that) of customers, and of companies they act for.
_BUILT = union(
    select(profile.c.customer_id, profile.c.customer_id, profile.c.built_at).where(
        bulk.among(profile.c.customer_id, _ids)
    ),
    select(_theirs.c.customer_id, profile.c.customer_id, profile.c.built_at)
    .select_from(_theirs)
    .join(ref, (ref.c.source == _theirs.c.ref) & acts_for)
    .join(_company, _company.c.ref == ref.c.target)
    .join(profile, profile.c.customer_id == _company.c.customer_id)
    .where(bulk.among(_theirs.c.customer_id, _ids)),
).order_by(text("1, 2"))


def _digest(told: object) -> str:
    return blake2b(orjson.dumps(told), digest_size=12).hexdigest()
