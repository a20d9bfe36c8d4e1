"""The values that pass between the hub and an adapter."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from hashlib import blake2b
from typing import Any, Protocol

Raw = dict[str, Any]
"""One external record exactly as the vendor sent it, decoded from JSON and nothing more."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A named kind of raw record.

    Attributes:
        name: the vendor's own word for it; also the name of its mapping file.
        writable: ``push`` accepts it.
        every_s: how often it is pulled unless the connection says otherwise, in seconds.
        fresh_s: how old a certificate of completeness may be, in seconds, unless the connection
            says otherwise; a reconciliation begins when half of it is over.
        overlap_s: how long a change may take to become visible, unless the connection says
            otherwise: a scan begins that much earlier than the last one began.
        whole: a pull from the beginning gives everything the hub should have, so that what it
            lacks was deleted; False for a mailbox, from which mail is moved away.
        looks_up: whether ``push`` of this stream finds its own earlier write; None = as the adapter
            says of all.
    """

    name: str
    writable: bool = False
    every_s: float = 60.0
    fresh_s: float = 24 * 3600.0
    overlap_s: float = 300.0
    whole: bool = True
    looks_up: bool | None = None


@dataclass(frozen=True, slots=True)
class Described:
    """A stream that one connection has, from its configuration, where its class has none.

    Attributes:
        mapping: its mapping as YAML; "" when it lies in ``overlays/<connection>``.
        place: where that mapping was written, for its faults.
        without: verbs of its class that do not work for it.
    """

    stream: Stream
    mapping: str = ""
    without: Collection[str] = ()
    place: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A stream that a system turned out to have.

    Attributes:
        stream: its name over there.
        fields: names of its fields, as a mapping would write them, each with a value seen or "".
        key: the field that names a row; "" when that is not known.
        version: the field that grows with each change; "" when there is none.
    """

    stream: str
    fields: Mapping[str, Any]
    key: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a pull.

    Attributes:
        records: raw rows, in the order the vendor gave them.
        cursor: where to go on after this page; stored with its rows in one transaction.
        deleted: ids the vendor says are gone.
    """

    records: Sequence[Raw]
    cursor: str
    deleted: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a stream to read once more.

    Attributes:
        since, until: last changed at or after, and before; None = open.
        where: a condition in the vendor's own words, such as a query or a domain.
        by_occurrence: the two instants speak of ``occurred_at`` instead, as the days of a tally do.
    """

    since: datetime | None = None
    until: datetime | None = None
    where: str = ""
    by_occurrence: bool = False


@dataclass(frozen=True, slots=True)
class Sighting:
    """A record exists at the vendor; ``version`` as its mapping reads it, "" when not told."""

    id: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class Survey:
    """One page of what exists; ``cursor`` goes on after it, None = that was all."""

    sightings: Sequence[Sighting]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Tally:
    """How many records of one day (UTC, by ``occurred_at``) exist.

    Attributes:
        digest: ``tally_digest`` over them, "" where the vendor cannot tell.
    """

    day: date
    count: int
    digest: str = ""


def tally_digest(sightings: Iterable[Sighting]) -> str:
    """The same for the same records in the same versions, in any order."""
    total = 0
    for one in sightings:
        told = blake2b(f"{one.id}\n{one.version}".encode(), digest_size=8).digest()
        total ^= int.from_bytes(told, "big")
    return f"{total:016x}"


@dataclass(frozen=True, slots=True)
class RecordRef:
    """Names one record of this connection, to be fetched."""

    stream: str
    id: str


@dataclass(frozen=True, slots=True)
class Row:
    """One raw record of this connection, complete."""

    stream: str
    raw: Raw


@dataclass(frozen=True, slots=True)
class Deleted:
    """The vendor says this record is gone."""

    stream: str
    id: str


@dataclass(frozen=True, slots=True)
class News:
    """There is something new in this stream that only a pull can tell; one begins soon.

    Attributes:
        word: what the vendor wants to hear again in that pull; it is found in ``Adapter.heard``.
    """

    stream: str
    word: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One intended write.

    Attributes:
        id: the vendor's id of the record to update; None creates one.
        values: vendor fields to write, from the mapping's ``push`` section.
        key: stays the same over every try of this write; send it as idempotency key, or look the
            record up by it before creating.
        marker: a short text that is ours and unique to the record, for vendors without
            idempotency keys: put it where it can be searched (a reference field).
        version: the raw version of the copy the values were decided on; when the vendor holds a
            newer one, an adapter that can tell raises ``ConflictError``. Empty: not asked for.
    """

    id: str | None
    values: Mapping[str, Any]
    key: str
    marker: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the vendor said of a write: the record's id and, where it tells, its new content."""

    id: str
    raw: Raw | None = None


@dataclass(frozen=True, slots=True)
class HookRequest:
    """A request to ``/hooks/<connection>``, before anything of it is believed.

    Attributes:
        headers: names in lower case; a repeated header is joined by ", ".
        query: the first value of each parameter.
        body: raw bytes, as signed.
        received_at: aware UTC.
        url: as the sender wrote it: scheme, host, path and query.
        path: what follows ``/hooks/<connection>/``.
        remote: the address the sender calls from.
    """

    method: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    received_at: datetime
    url: str = ""
    path: str = ""
    remote: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One event of a verified webhook.

    Attributes:
        body: the bytes ``parse`` will get.
        event_id: the vendor's name of the event; None = the hash of the body.
        order_key: events of one key are applied in order; None = after one another per connection.
        type: the vendor's word for what happened, for people who look for it.
    """

    body: bytes
    event_id: str | None = None
    order_key: str | None = None
    type: str = ""


class Emit(Protocol):
    """Where ``Adapter.listen`` puts what it receives; the hub hands it over."""

    @property
    def cursor(self) -> str | None:
        """The one stored last, None at first; for vendors that keep no place of ours themselves."""

    def __call__(self, *items: Item, cursor: str | None = None) -> None:
        """Return once the items, and the cursor behind them, are on disk: acknowledge them then.

        Without items it says that the line stands. It raises when it is time to end; let that pass.
        """

    def rest(self, seconds: float) -> None:
        """Wait until the vendor may be asked again; it raises as well when it is time to end."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer the vendor insists on."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A verified webhook: what to store, and the answer if the plain 202 will not do.

    Attributes:
        learned: what this request taught about the sender, such as which of several described
            signatures it uses; kept with the connection and given back as ``receiver.learned``.
    """

    items: Sequence[Item]
    reply: Reply | None = None
    learned: Mapping[str, str] = field(default_factory=dict)
