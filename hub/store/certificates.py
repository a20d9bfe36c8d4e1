"""What a reconciliation saw at the source, what differs in the hub, and what it certified.

Everything is compared in the database: a million rows cost the memory of one page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    RowMapping,
    Text,
    and_,
    case,
    cast,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    type_coerce,
    update,
)

from hub.sdk.types import Sighting, tally_digest
from hub.store import bulk, leases
from hub.store.schema import (
    alert,
    certificate,
    checkpoint,
    connection,
    job,
    link,
    quarantine,
    raw,
    record,
    ref,
    sighting,
)

KEPT = timedelta(days=90)

GREEN, AMBER, RED = "green", "amber", "red"

_DAY_US = 24 * 3600 * 1_000_000
_BEFORE_1970 = date(1970, 1, 1).toordinal() * _DAY_US


@dataclass(frozen=True, slots=True)
class Round:
    """One reconciliation of a stream: the job whose sightings count, and when it began."""

    job_id: int
    connection: str
    stream: str
    began_at: datetime

    @property
    def prefix(self) -> str:
        """What the references of the stream begin with."""
        return f"{self.connection}/{self.stream}/"


@dataclass(frozen=True, slots=True)
class Figures:
    """How a stream stands at an instant.

    Attributes:
        hub: records that exist as far as the hub knows.
        missing: seen at the source, not in the hub.
        stale: newer at the source.
        extra: in the hub and not at the source, unless the hub saw them since the round began.
        held: came and could not be used.
    """

    hub: int
    missing: int
    stale: int
    extra: int
    held: int = 0

    @property
    def source(self) -> int:
        """Records at the source: those the hub saw there itself since it began count, too."""
        return self.hub - self.extra + self.missing + self.held


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was found true of a stream: counts, what is still wrong, what was mended."""

    connection: str
    stream: str
    method: str
    source_count: int
    hub_count: int
    missing: int
    stale: int
    extra: int
    repaired: int
    complete: bool
    note: str
    began_at: datetime
    checked_at: datetime
    valid_until: datetime


@dataclass(frozen=True, slots=True)
class StreamState:
    """How one stream is doing.

    Attributes:
        status: green, amber or red.
        reason: why it is not green.
        certificate: the newest one.
    """

    connection: str
    stream: str
    status: str
    reason: str
    rows: int
    due_at: datetime
    completed_at: datetime | None
    failures: int
    error: str
    certificate: Certificate | None


# What was seen


def sight(
    conn: Connection, round_: Round, seen: Iterable[Sighting], *, fetched: bool = False
) -> None:
    """Note what exists at the source; ``fetched`` = its content came with it."""
    rows = {
        one.id: {
            "job_id": round_.job_id,
            "ref": round_.prefix + one.id,
            "version": one.version,
            "fetched": fetched,
        }
        for one in seen
    }
    bulk.upsert(conn, sighting, [row for _, row in sorted(rows.items())])


def note_fetched(conn: Connection, round_: Round, refs: Sequence[str]) -> None:
    """The content of these came; what is still not here cannot be used."""
    for chunk in bulk.chunks(refs):
        chosen = _mine(round_) & bulk.among(sighting.c.ref, chunk)
        conn.execute(update(sighting).where(chosen).values(fetched=True))


def gaps(conn: Connection, round_: Round, after: str, limit: int, *, urgent: bool) -> list[str]:
    """Refs behind ``after`` that are missing or stale; of customers with an open request only."""
    query = (
        select(sighting.c.ref)
        .select_from(_sighted())
        .where(_mine(round_), sighting.c.ref > after)
        .where(or_(_missing(round_), _stale()))
        .order_by(sighting.c.ref)
        .limit(limit)
    )
    return list(conn.execute(query.where(_is_urgent()) if urgent else query).scalars())


def extras(
    conn: Connection, round_: Round, after: str, limit: int, days: Sequence[int] | None = None
) -> list[str]:
    """Refs behind ``after`` that the source did not show; of these days only, where given."""
    query = select(raw.c.ref).where(*_alive(round_), raw.c.ref > after, _extra(round_))
    if days is not None:
        ours = and_(record.c.ref == raw.c.ref, record.c.deleted_at.is_(None))
        among = bulk.among(cast(_day(), Text), [str(day) for day in days])
        query = query.join(record, ours).where(among)
    return list(conn.execute(query.order_by(raw.c.ref).limit(limit)).scalars())


def figures(conn: Connection, round_: Round) -> Figures:
    """How the sightings of a round compare with what the hub has now."""
    held = sighting.c.fetched & _absent(round_)
    counted = [func.count(case((one, 1))) for one in (_missing(round_), _stale(), held)]
    seen = select(*counted).select_from(_sighted()).where(_mine(round_))
    gaps = conn.execute(seen).one()
    ours = select(func.count(), func.count(case((_extra(round_), 1)))).where(*_alive(round_))
    hub, extra = conn.execute(ours).one()
    return Figures(hub, missing=gaps[0], stale=gaps[1], extra=extra, held=gaps[2])


def by_day(conn: Connection, round_: Round, *, digests: bool) -> dict[date, tuple[int, str]]:
    """How many records of each day the hub has, and their digest where asked for."""
    chosen = (
        select(_day(), raw.c.ref, raw.c.version)
        .join(record, record.c.ref == raw.c.ref)
        .where(*_alive(round_), record.c.deleted_at.is_(None))
    )
    if not digests:
        days = chosen.subquery().c[0]
        counted = conn.execute(select(days, func.count()).group_by(days))
        return {date.fromordinal(day): (n, "") for day, n in counted}
    counts: dict[int, int] = {}
    sums: dict[int, int] = {}
    for day, name, version in conn.execution_options(yield_per=5000).execute(chosen):
        one = Sighting(name.removeprefix(round_.prefix), version)
        counts[day] = counts.get(day, 0) + 1
        sums[day] = sums.get(day, 0) ^ int(tally_digest([one]), 16)
    return {date.fromordinal(day): (n, f"{sums[day]:016x}") for day, n in counts.items()}


def _mine(round_: Round) -> ColumnElement[bool]:
    return sighting.c.job_id == round_.job_id


def _sighted() -> Any:
    return sighting.outerjoin(raw, raw.c.ref == sighting.c.ref)


def _absent(round_: Round) -> ColumnElement[bool]:
    """Not here, and not known to have gone since the round began."""
    gone = raw.c.deleted_at.is_not(None) & (raw.c.seen_at < round_.began_at)
    return or_(raw.c.ref.is_(None), gone)


def _missing(round_: Round) -> ColumnElement[bool]:
    return ~sighting.c.fetched & _absent(round_)


def _stale() -> ColumnElement[bool]:
    """Newer at the source; whatever came since it was seen is taken as the newest."""
    newer = sighting.c.version > raw.c.version
    return ~sighting.c.fetched & raw.c.deleted_at.is_(None) & newer


def _alive(round_: Round) -> tuple[ColumnElement[bool], ...]:
    """A range of the primary key; "0" is the character after "/"."""
    until = round_.prefix[:-1] + "0"
    return raw.c.ref >= round_.prefix, raw.c.ref < until, raw.c.deleted_at.is_(None)


def _extra(round_: Round) -> ColumnElement[bool]:
    seen = exists().where(_mine(round_), sighting.c.ref == raw.c.ref).correlate(raw)
    return (raw.c.seen_at < round_.began_at) & ~seen


def _is_urgent() -> ColumnElement[bool]:
    """Whether it is of a customer with an open matter, or a record of such a customer names it."""
    whose, other, open_ = link.alias(), link.alias(), record.alias()
    waits = (
        select(literal(1))
        .select_from(whose)
        .join(other, other.c.customer_id == whose.c.customer_id)
        .join(open_, and_(open_.c.party == other.c.ref, open_.c.is_open))
    )
    own = exists().where(record.c.parent == sighting.c.ref)
    names = exists().where(ref.c.target == sighting.c.ref, record.c.ref == ref.c.source)
    matters = waits.where(whose.c.ref == record.c.party).correlate(record).exists()
    return or_(own.where(matters).correlate(sighting), names.where(matters).correlate(sighting))


def _day() -> ColumnElement[int]:
    """The ordinal of the day a record is of; counted from the year 1, so that none is negative."""
    us = type_coerce(record.c.occurred_at, BigInteger)
    return (us + literal(_BEFORE_1970, BigInteger)) // literal(_DAY_US, BigInteger)


# What was certified


def add(conn: Connection, found: Certificate) -> None:
    """Keep a certificate."""
    bulk.insert(conn, certificate, [asdict(found)])


def newest(conn: Connection) -> dict[tuple[str, str], Certificate]:
    """The newest certificate of every stream, by (connection, stream)."""
    c = certificate.c
    last = select(func.max(c.id)).group_by(c.connection, c.stream)
    names = Certificate.__dataclass_fields__
    rows = conn.execute(select(*(c[name] for name in names)).where(c.id.in_(last)))
    found = [Certificate(*row) for row in rows]
    return {(one.connection, one.stream): one for one in found}


def ended_since(conn: Connection, connection: str, stream: str, at: datetime) -> bool:
    """Whether a reconciliation of the stream ended since then, with a certificate or without."""
    query = select(job.c.id).where(
        job.c.kind == "reconcile",
        job.c.connection == connection,
        job.c.stream == stream,
        job.c.ended_at >= at,
    )
    return conn.execute(query.limit(1)).first() is not None


def held_rows(conn: Connection, connection: str, stream: str) -> int:
    """How many rows of a stream are held in quarantine."""
    q = quarantine.c
    chosen = (q.connection == connection, q.stream == stream, q.state == "held")
    return conn.execute(select(func.count()).select_from(quarantine).where(*chosen)).scalar_one()


def drop_old(conn: Connection) -> int:
    """Forget certificates past their time; how many went."""
    old = certificate.c.checked_at < leases.now() - KEPT
    return conn.execute(delete(certificate).where(old)).rowcount


def forget_sightings(conn: Connection, limit: int = 20_000) -> int:
    """Forget what rounds saw that are over, some of it at a time; how many went."""
    left = exists().where(sighting.c.job_id == job.c.id)
    over = select(job.c.id).where(job.c.kind == "reconcile", job.c.state != "open", left)
    chosen = conn.execute(over.limit(1)).scalar()
    if chosen is None:
        return 0
    theirs = select(sighting.c.ref).where(sighting.c.job_id == chosen)
    some = theirs.order_by(sighting.c.ref).limit(limit)
    gone = delete(sighting).where(sighting.c.job_id == chosen, sighting.c.ref.in_(some))
    return conn.execute(gone).rowcount


# How streams are doing


def streams(conn: Connection) -> list[StreamState]:
    """Every stream that is pulled, with its status and its newest certificate."""
    certified = newest(conn)
    failing = _failing(conn)
    dropped = _dropped(conn)
    states = {
        row.name: row.state for row in conn.execute(select(connection.c.name, connection.c.state))
    }
    now = leases.now()
    c = checkpoint.c
    rows = conn.execute(select(checkpoint).order_by(c.connection, c.stream)).mappings()
    return [
        _state(
            row,
            certified.get((row["connection"], row["stream"])),
            status(
                connection=states.get(row["connection"], ""),
                loaded=row["completed_at"] is not None,
                error=row["error"] or failing.get((row["connection"], row["stream"]), ""),
                dropped=(row["connection"], row["stream"]) in dropped,
                certificate=certified.get((row["connection"], row["stream"])),
                now=now,
            ),
        )
        for row in rows
    ]


def status(
    *,
    connection: str,
    loaded: bool,
    error: str,
    dropped: bool,
    certificate: Certificate | None,
    now: datetime,
) -> tuple[str, str]:
    """Green, amber or red, and why it is not green.

    Args:
        connection: the state of the connection.
        loaded: whether the first load is complete.
        error: what fails now.
        dropped: whether the source showed far fewer records than the hub has.
    """
    if connection == "auth_failed":
        return RED, "the credentials are refused"
    if dropped:
        return RED, "the source shows far fewer records than the hub has"
    if error:
        return RED, error
    if connection == "paused":
        return AMBER, "the connection is paused"
    if not loaded:
        return AMBER, "the first load is not complete"
    if certificate is None:
        return AMBER, "not reconciled yet"
    if certificate.valid_until < now:
        return AMBER, "the certificate is too old"
    if not certificate.complete:
        return AMBER, certificate.note or "not everything could be repaired"
    return GREEN, ""


def _state(row: RowMapping, found: Certificate | None, said: tuple[str, str]) -> StreamState:
    same = ("connection", "stream", "rows", "due_at", "completed_at", "failures", "error")
    told = {name: row[name] for name in same}
    return StreamState(**told, status=said[0], reason=said[1], certificate=found)


def _failing(conn: Connection) -> dict[tuple[str, str], str]:
    """What stopped the reconciliations that are under way, by stream."""
    chosen = select(job.c.connection, job.c.stream, job.c.error).where(
        job.c.kind == "reconcile", job.c.state == "open", job.c.failures > 0
    )
    return {(row.connection, row.stream): row.error for row in conn.execute(chosen)}


def _dropped(conn: Connection) -> set[tuple[str, str]]:
    chosen = select(alert.c.connection, alert.c.subject).where(
        alert.c.kind == "count-drop", alert.c.closed_at.is_(None)
    )
    return {(row.connection, row.subject) for row in conn.execute(chosen)}
