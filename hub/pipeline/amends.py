"""What records of parted customers still say for one another, and how to write it back.

While they were one customer, a sync wrote the values of some of their records into others. After a
split the borrowed values stand in systems of other people; nobody but a person may say that what
stood there before is right again, so it is offered, and written when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection

from hub.errors import HubError
from hub.mapping import shared, to_canonical
from hub.mapping.write import fields_of
from hub.models import Record
from hub.pipeline import align
from hub.registry import Hub
from hub.rules.decide import Intent
from hub.store import customers, leases, outbox, records, syncs
from hub.store.syncs import Source
from hub.syncs.decide import same


class Offer(NamedTuple):
    """A value that one record has from another, of whose customer it is no longer.

    Attributes:
        shows: the canonical value at ``path`` now; ``before``: the last one that differed.
        source: the record it came from.
    """

    ref: str
    path: str
    shows: Any
    before: Any
    source: str


def sources(conn: Connection, hub: Hub, members: Sequence[str]) -> list[Source]:
    """Where the values come from that the records of a customer, still one, are to show alike."""
    places = {syncs.stream_of(ref) for ref in members}
    subjects = set(syncs.subjects(conn, members).values())
    plans = align.active(conn, hub, places)
    return [source for one in plans for source in syncs.sources(conn, one, subjects)]


def offers(
    conn: Connection, hub: Hub, members: Sequence[str], known: Iterable[Source]
) -> list[Offer]:
    """What could be written back, now that some of the members are another customer."""
    whose = customers.links(conn, members)
    found = records.load(conn, members)
    return [
        offer
        for source in known
        for ref, record in sorted(found.items())
        if syncs.stream_of(ref) in source.streams and whose.get(ref) != whose.get(source.ref)
        if (offer := _offer(conn, hub, record, source))
    ]


def _offer(conn: Connection, hub: Hub, record: Record, source: Source) -> Offer | None:
    shows = _value(record, source.path)
    if not same(shows, source.value):
        return None
    ref = str(record.ref)
    for earlier in _earlier(conn, hub, record):
        if not same(value := _value(earlier, source.path), shows):
            return Offer(ref, source.path, shows, value, source.ref)
    return None


def _value(record: Record, path: str) -> Any:
    return shared([path], record.model_dump(mode="json"))[path]


def _earlier(conn: Connection, hub: Hub, record: Record) -> Iterable[Record]:
    """What the record was, newest first, as far back as is kept and can be read today."""
    live = hub.registry.get(record.ref.connection)
    spec = live.mapping(record.ref.stream)
    for payload in records.earlier(conn, str(record.ref)):
        try:
            cut = to_canonical(spec, orjson.loads(payload), connection=live.name)
        except HubError:
            continue  # today's mapping cannot read it
        yield from (one for one in cut if one.ref == record.ref)


def write_back(conn: Connection, found: Sequence[Offer]) -> None:
    """Queue what is offered."""
    by_ref: dict[str, dict[str, Any]] = {}
    for offer in found:
        by_ref.setdefault(offer.ref, {})[offer.path] = offer.before
    now = leases.now().isoformat()
    outbox.enqueue(conn, [_intent(ref, values, now) for ref, values in sorted(by_ref.items())])


def _intent(ref: str, values: dict[str, Any], now: str) -> Intent:
    connection, stream, _ = ref.split("/", 2)
    what = ["write back", ref, now]
    return Intent(
        key=blake2b(orjson.dumps(what), digest_size=16).hexdigest(),
        connection=connection,
        stream=stream,
        subject=ref,
        fields=fields_of(values),
        cause={"record": ref, "split": now},
    )
