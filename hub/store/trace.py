"""The whole way of one record, event, write or customer, from the tables it passed; SELECTs only.

Every look-up goes by an index and every part has an end, so that it is as fast for the millionth
record as for the first.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import orjson
import zstandard
from pydantic import Field
from sqlalchemy import ColumnElement, Connection, Select, Table, and_, select

from hub.models import Instant, Model
from hub.profiles.document import Profile, Value
from hub.store import bulk, read
from hub.store.records import raw_hash
from hub.store.schema import (
    attempt,
    binding,
    connection,
    customer,
    decision,
    delivery,
    history,
    inbox,
    link,
    mapping,
    profile,
    quarantine,
    raw,
    record,
)

MOST = 100
"""Entries of each part; what has more is cut short, the newest are kept."""

_NUMBER = re.compile(r"\d{1,18}")
_HEADERS = ("name", "organization", "title", "tier", "owner", "language")
_FACTS = ("open_requests", "orders", "invoices", "assets", "timeline")


class Event(Model):
    """A webhook's item."""

    id: int
    connection: str
    event_id: str
    state: str
    attempts: int
    received_at: Instant
    done_at: Instant | None
    error: str


class Held(Model):
    """A row of one of the events that no mapping could use."""

    id: int
    connection: str
    stream: str
    inbox_id: int | None
    path: str
    error: str
    state: str
    at: Instant


class Copy(Model):
    """One content of the raw row."""

    ref: str
    version: str = Field(description="as the source numbers it; empty when it does not")
    hash: str
    inbox_id: int | None = Field(description="the event it came with, null for a pull")
    seen_at: Instant = Field(description="received, or begun to be fetched")
    replaced_at: Instant | None = Field(description="null for the one held now")
    deleted_at: Instant | None = None


class Used(Model):
    """A mapping that cut records."""

    mapping_version: str
    name: str
    since: Instant = Field(description="when it was first used")


class Cut(Model):
    """A canonical record cut from the row."""

    ref: str
    kind: str
    row: str = Field(description="the raw row it was cut from")
    mapping_version: str
    party: str | None = Field(description="the party record it belongs to")
    customer_id: str | None
    saved_at: Instant
    deleted_at: Instant | None


class Decision(Model):
    """A decision about the customer; of its evidence, what speaks of the records at hand."""

    id: int
    verb: str
    customer_id: str
    other_id: str | None
    a: str | None
    b: str | None
    evidence: list[dict[str, Any]]
    why: str = Field(description="what a person said")
    weights: str = Field(description="the version they were weighed under")
    actor: str
    at: Instant


class Share(Model):
    """What of a profile comes from the records at hand."""

    field: str
    value: str
    won: bool = Field(description="false: another source's value is shown")


class Owner(Model):
    """The customer behind the records."""

    id: str
    name: str
    built_at: Instant | None
    shares: list[Share]


class Bound(Model):
    """Our record and its copy in another system."""

    about: str = Field(description="our record, or customer:<id>")
    copy_ref: str
    written_at: Instant


class Try(Model):
    """One attempt of a write."""

    at: Instant
    took_ms: int
    outcome: str
    error: str


class Sent(Model):
    """An intended write, why, and what became of it."""

    id: int
    connection: str
    stream: str
    about: str = Field(description="whose copy is written")
    cause_ref: str | None = Field(description="the record behind it")
    rule: str | None
    sync: str | None
    actor: str | None = Field(description="the person behind it")
    fields: list[str] = Field(description="canonical fields; empty: decided when it is sent")
    state: str
    external_id: str | None = Field(description="the receipt: what the vendor calls the result")
    error: str
    hint: str
    created_at: Instant
    done_at: Instant | None
    tries: list[Try]


class Trace(Model):
    """The way from what came in to what went out, each part oldest first."""

    ref: str = Field(description="what was asked for")
    events: list[Event]
    quarantined: list[Held]
    copies: list[Copy]
    mappings: list[Used]
    records: list[Cut]
    decisions: list[Decision]
    customers: list[Owner]
    bindings: list[Bound]
    deliveries: list[Sent]
    cut_short: list[str] = Field(description="parts with more than is shown")


class Start(Model):
    """Where a trace begins.

    Attributes:
        rows: raw rows.
        events: inbox ids.
        deliveries: only these; None = all that the records caused or are written by.
        customer_id: asked for by name.
    """

    rows: tuple[str, ...] = ()
    events: tuple[int, ...] = ()
    deliveries: tuple[int, ...] | None = None
    customer_id: str | None = None


def trace(conn: Connection, asked: str) -> Trace | None:
    """The whole way of ``asked``; None when nothing of that name is known.

    Args:
        asked: ``connection/stream/id``, ``event:<inbox id>`` or the id the vendor gave an event,
            ``delivery:<id>``, or a customer's id.
    """
    start = _start(conn, asked)
    return _Gathering(conn).trace(asked, start) if start else None


def events_of(conn: Connection, ref: str) -> set[int]:
    """The events that brought what is held of a record, and the newest that brought what was."""
    rows = _rows_of(conn, [ref])
    now = select(raw.c.inbox_id).where(bulk.among(raw.c.ref, rows))
    before = select(history.c.inbox_id).where(bulk.among(history.c.ref, rows))
    before = before.order_by(_newest(history)).limit(MOST)
    found = [*conn.execute(now).scalars(), *conn.execute(before).scalars()]
    return {id_ for id_ in found if id_ is not None}


def _start(conn: Connection, asked: str) -> Start | None:
    kind, _, rest = asked.partition(":")
    if kind == "delivery" and _NUMBER.fullmatch(rest):
        return _start_of_delivery(conn, int(rest))
    if kind == "event":
        return _start_of_event(conn, rest)
    if asked.count("/") >= 2 and (rows := _rows_of(conn, [asked])):
        return Start(rows=rows)
    if id_ := read.current_id(conn, asked.removeprefix("customer:")):
        members = select(link.c.ref).where(link.c.customer_id == id_).limit(MOST)
        refs = sorted(conn.execute(members).scalars())
        return Start(rows=_rows_of(conn, refs), customer_id=id_)
    return _start_of_event(conn, asked)


def _start_of_event(conn: Connection, name: str) -> Start | None:
    """By our number, else by the id its vendor gave it, with or without the connection's name."""
    found: Iterable[int] = ()
    if _NUMBER.fullmatch(name):
        found = conn.execute(select(inbox.c.id).where(inbox.c.id == int(name))).scalars()
    ids = tuple(found) or tuple(conn.execute(_named(conn, name)).scalars())
    if not ids:
        return None
    rows: list[str] = []
    for table in (raw, history):
        came = select(table.c.ref).where(table.c.inbox_id.in_(ids)).limit(MOST)
        rows += conn.execute(came).scalars()
    return Start(rows=tuple(dict.fromkeys(rows)), events=ids)


def _named(conn: Connection, name: str) -> Select[Any]:
    owners = list(conn.execute(select(connection.c.name)).scalars())
    owner, _, rest = name.partition("/")
    if owner in owners and rest:
        owners, name = [owner], rest
    return select(inbox.c.id).where(inbox.c.connection.in_(owners), inbox.c.event_id == name)


def _start_of_delivery(conn: Connection, id_: int) -> Start | None:
    d = delivery.c
    row = conn.execute(select(d.cause_ref, d.subject).where(d.id == id_)).first()
    if row is None:
        return None
    return Start(rows=_rows_of(conn, [row.cause_ref or row.subject]), deliveries=(id_,))


def _rows_of(conn: Connection, refs: Iterable[str]) -> tuple[str, ...]:
    """The raw rows of these names: those so called, and those that records so called are from."""
    names = list(refs)
    kept = select(raw.c.ref).where(bulk.among(raw.c.ref, names))
    cut = select(record.c.parent).where(bulk.among(record.c.ref, names))
    found = [*conn.execute(kept).scalars(), *conn.execute(cut).scalars()]
    return tuple(sorted(set(found)))


class _Gathering:
    """Gathers the parts, and remembers which of them were cut short."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self._cut_short: list[str] = []

    def trace(self, asked: str, start: Start) -> Trace:
        copies = self._copies(start.rows)
        events = {*start.events, *(c.inbox_id for c in copies if c.inbox_id is not None)}
        cuts = self._cuts(start.rows)
        refs = {cut.ref for cut in cuts} | set(start.rows)
        parties = {cut.party for cut in cuts if cut.party}
        ids = {cut.customer_id for cut in cuts if cut.customer_id}
        ids |= {start.customer_id} if start.customer_id else set()
        mine = parties if start.customer_id is None else None
        is_party = start.customer_id or parties & refs
        subjects = refs | ({f"customer:{id_}" for id_ in ids} if is_party else set())
        return Trace(
            ref=asked,
            events=self._events(events),
            quarantined=self._quarantined(events),
            copies=copies,
            mappings=self._mappings({cut.mapping_version for cut in cuts}),
            records=cuts,
            decisions=self._decisions(ids, mine),
            customers=self._owners(ids, refs),
            bindings=self._bindings(subjects, refs),
            deliveries=self._sent(start.deliveries, subjects, refs),
            cut_short=list(dict.fromkeys(self._cut_short)),
        )

    def _events(self, ids: Collection[int]) -> list[Event]:
        rows = self._some("events", inbox, Event, inbox.c.id.in_(_numbers(ids)))
        return [Event(**row) for row in rows]

    def _quarantined(self, events: Collection[int]) -> list[Held]:
        came = quarantine.c.inbox_id.in_(_numbers(events))
        return [Held(**row) for row in self._some("quarantined", quarantine, Held, came)]

    def _copies(self, rows: Sequence[str]) -> list[Copy]:
        """Earlier contents, then those held now."""
        h, r = history.c, raw.c
        columns = (h.ref, h.version, h.payload, h.inbox_id, h.seen_at, h.replaced_at)
        old = select(*columns).where(bulk.among(h.ref, rows)).order_by(_newest(history))
        now = select(r.ref, r.version, r.hash, r.inbox_id, r.seen_at, r.deleted_at)
        unpack = zstandard.ZstdDecompressor().decompress
        earlier = [
            Copy(hash=raw_hash(unpack(row.pop("payload"))).hex(), **row)
            for row in reversed(self._rows("copies", old))
        ]
        held = self._rows("copies", now.where(bulk.among(r.ref, rows)))
        return earlier + [Copy(hash=row.pop("hash").hex(), replaced_at=None, **row) for row in held]

    def _mappings(self, versions: Collection[str]) -> list[Used]:
        m = mapping.c
        columns = (m.version.label("mapping_version"), m.name, m.first_used_at.label("since"))
        used = select(*columns).where(m.version.in_(sorted(versions)))
        return [Used(**row) for row in self._rows("mappings", used.order_by(m.first_used_at))]

    def _cuts(self, rows: Sequence[str]) -> list[Cut]:
        r = record.c
        columns = (r.ref, r.kind, r.parent.label("row"), r.mapping_version, r.party)
        query = (
            select(*columns, link.c.customer_id, r.saved_at, r.deleted_at)
            .outerjoin(link, link.c.ref == r.party)
            .where(bulk.among(r.parent, rows))
        )
        found = [Cut(**row) for row in self._rows("records", query)]
        return sorted(found, key=lambda cut: (cut.ref not in rows, cut.ref))

    def _decisions(self, ids: Collection[str], parties: Collection[str] | None) -> list[Decision]:
        """Those about the customers and whoever was merged into them, and a person's words.

        Args:
            parties: of whom the evidence must speak; None = all of it.
        """
        d = decision.c
        merged = select(customer.c.id).where(customer.c.merged_into.in_(sorted(ids))).limit(MOST)
        family = sorted({*ids, *self._conn.execute(merged).scalars()})
        found: dict[int, dict[str, Any]] = {}
        for column, values in (
            (d.customer_id, family),
            (d.other_id, sorted(ids)),
            (d.a, sorted(parties or ())),
            (d.b, sorted(parties or ())),
        ):
            chosen = select(decision).where(column.in_(values)).order_by(_newest(decision))
            found |= {row["id"]: row for row in self._rows("decisions", chosen)}
        told = (_decided(found[id_], parties) for id_ in sorted(found))
        return [decided for decided in told if decided]

    def _owners(self, ids: Collection[str], refs: Collection[str]) -> list[Owner]:
        p = profile.c
        query = select(p.customer_id, p.document, p.built_at).where(p.customer_id.in_(sorted(ids)))
        built = {row["customer_id"]: row for row in self._rows("customers", query)}
        return [_owner(id_, built.get(id_), refs) for id_ in sorted(ids)]

    def _bindings(self, subjects: Collection[str], refs: Collection[str]) -> list[Bound]:
        """Copies of these records, and what these are copies of."""
        b = binding.c
        columns = (b.subject, b.connection, b.stream, b.external_id, b.written_at)
        mine = bulk.among(b.subject, sorted(subjects))
        rows = self._rows("bindings", select(*columns).where(mine))
        for (owner, stream), names in _by_place(refs).items():
            copied = select(*columns).where(b.connection == owner, b.stream == stream)
            rows += self._rows("bindings", copied.where(bulk.among(b.external_id, names)))
        found = {
            (row["subject"], ref): Bound(
                about=row["subject"], copy_ref=ref, written_at=row["written_at"]
            )
            for row in rows
            for ref in [f"{row['connection']}/{row['stream']}/{row['external_id']}"]
        }
        return sorted(found.values(), key=lambda bound: bound.written_at)

    def _sent(
        self, only: Sequence[int] | None, subjects: Collection[str], refs: Collection[str]
    ) -> list[Sent]:
        d = delivery.c
        wanted: list[ColumnElement[bool]] = [
            bulk.among(d.cause_ref, sorted(refs)),
            bulk.among(d.subject, sorted(subjects)),
        ]
        for (owner, stream), names in _by_place(refs).items():
            place = and_(d.connection == owner, d.stream == stream)
            wanted.append(bulk.among(d.external_id, names) & place)
        if only is not None:
            wanted = [d.id.in_(only)]
        found: dict[int, dict[str, Any]] = {}
        for condition in wanted:  # each by its index; an OR of them would scan
            chosen = select(delivery).where(condition).order_by(_newest(delivery))
            found |= {row["id"]: row for row in self._rows("deliveries", chosen)}
        tries = self._tries(found)
        return [_sent(found[id_], tries[id_]) for id_ in sorted(found)]

    def _tries(self, ids: Collection[int]) -> Mapping[int, list[Try]]:
        a = attempt.c
        columns = (a.delivery_id, a.at, a.took_ms, a.outcome, a.error)
        made = select(*columns).where(a.delivery_id.in_(_numbers(ids)))
        made = made.order_by(_newest(attempt))
        tries: dict[int, list[Try]] = defaultdict(list)
        for row in reversed(self._rows("tries", made)):
            tries[row.pop("delivery_id")].append(Try(**row))
        return tries

    def _some(
        self, part: str, table: Table, model: type[Model], condition: ColumnElement[bool]
    ) -> list[dict[str, Any]]:
        """The newest rows of a table with what the model tells of them, oldest first."""
        columns = (table.c[name] for name in model.model_fields)
        chosen = select(*columns).where(condition).order_by(_newest(table))
        return self._rows(part, chosen)[::-1]

    def _rows(self, part: str, query: Select[Any]) -> list[dict[str, Any]]:
        rows = [dict(row) for row in self._conn.execute(query.limit(MOST + 1)).mappings()]
        if len(rows) > MOST:
            self._cut_short.append(part)
        return rows[:MOST]


def _newest(table: Table) -> ColumnElement[Any]:
    """The order of ids, in words that keep a database from walking the ids back to find few."""
    return (table.c.id + 0).desc()


def _numbers(ids: Collection[int]) -> list[int]:
    return sorted(ids)[-MOST:]


def _by_place(refs: Iterable[str]) -> dict[tuple[str, str], list[str]]:
    """Ids by connection and stream."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for ref in sorted(refs):
        owner, stream, id_ = ref.split("/", 2)
        found[owner, stream].append(id_)
    return found


def _decided(row: Mapping[str, Any], parties: Collection[str] | None) -> Decision | None:
    """A decision with what speaks of these parties; None when all of it speaks of others."""
    every = orjson.loads(row["evidence"])
    mine = [p for p in every if parties is None or {p.get("a"), p.get("b")} & set(parties)]
    if every and not mine and row["verb"] in ("new", "match"):
        return None
    return Decision(**{**row, "evidence": mine})


def _owner(id_: str, built: Mapping[str, Any] | None, refs: Collection[str]) -> Owner:
    if built is None:
        return Owner(id=id_, name="", built_at=None, shares=[])
    document = Profile.model_validate_json(built["document"])
    return Owner(
        id=id_,
        name=document.name.value if document.name else "",
        built_at=built["built_at"],
        shares=list(_shares(document, refs)),
    )


def _shares(p: Profile, refs: Collection[str]) -> Iterable[Share]:
    """Where the profile shows something that these records told."""
    for name in _HEADERS:
        value: Value | None = getattr(p, name)
        if value and value.source.ref in refs:
            yield Share(field=name, value=value.value, won=True)
        for other in value.others if value else ():
            if other.source.ref in refs:
                yield Share(field=name, value=other.value, won=False)
    for contact in p.contacts:
        if any(source.ref in refs for source in contact.sources):
            yield Share(field=f"contacts.{contact.type}", value=contact.value, won=True)
    for name in _FACTS:
        for fact in getattr(p, name):
            if fact.source.ref in refs:
                yield Share(field=name, value=fact.summary, won=True)


def _sent(row: Mapping[str, Any], tries: Sequence[Try]) -> Sent:
    cause = orjson.loads(row["cause"])
    told = {name: row[name] for name in Sent.model_fields if name in row}
    return Sent(
        **{
            **told,
            "about": row["subject"],
            "rule": cause.get("rule"),
            "actor": cause.get("actor"),
            "fields": sorted(orjson.loads(row["fields"])),
            "tries": list(tries),
        }
    )
