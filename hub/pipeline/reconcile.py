"""Whether the hub has everything a source has; what differs is mended, and the rest is told.

A reconciliation is a job. It looks at the source, writing down what it sees there; fetches what is
missing or stale; weeds out what is gone; and certifies what is then true. Each of these goes on
from the job's row, so that it may be killed anywhere, and everything is compared in the database.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import Connection

from hub.errors import (
    ConfigError,
    CursorExpiredError,
    MappingError,
    RecordError,
    RemoteError,
    RetryableError,
    UnsupportedError,
)
from hub.pipeline.absorb import BATCH_MAX, Arrived, absorb, prepare
from hub.pipeline.lane import Lane
from hub.pipeline.pull import COUNT_DROP, advancing, arrived, in_batches, is_drop, prefetched
from hub.registry import Hub, Live
from hub.sdk import (
    Deleted,
    Page,
    RecordRef,
    Row,
    Sighting,
    Window,
    pace,
)
from hub.store import alerts, certificates, checkpoints, connections, jobs, leases, records
from hub.store.certificates import Certificate, Figures, Round
from hub.store.jobs import Job

log = logging.getLogger(__name__)

KIND = "reconcile"
SURVEY, TALLY, SCAN = "survey", "tally", "scan"
LOOK, READ, URGENT, REST, WEED, CERTIFY, DONE = (
    "look", "read", "urgent", "rest", "weed", "certify", "done",
)  # fmt: skip
FETCHED_MAX = 50


def methods(live: Live, stream: str) -> tuple[str, ...]:
    """How a stream can be compared, the best first."""
    needed = {SURVEY: ["survey"], TALLY: ["tally", "history"], SCAN: ["pull"]}
    return tuple(
        name for name, wanted in needed.items() if all(live.can(verb, stream) for verb in wanted)
    )


def comparable(live: Live) -> list[str]:
    """Streams of a connection that can be compared with their source."""
    return [name for name in live.pulled if methods(live, name)]


def begin(hub: Hub) -> None:
    """Add a job for each loaded stream whose certificate is past half of its time."""
    with hub.database.read() as conn:
        usable = connections.usable(conn)
        rows = checkpoints.every(conn)
        loaded = {(row["connection"], row["stream"]) for row in rows if row["completed_at"]}
        waiting: list[tuple[str, str]] = []
        for live in hub.registry.all().values():
            with suppress(ConfigError):  # its own faults are told elsewhere
                streams = comparable(live) if live.name in usable else []
                found = loaded & {(live.name, stream) for stream in streams}
                waiting += sorted(one for one in found if _is_due(conn, live, one[1]))
    if waiting:
        with hub.database.write() as conn:
            for connection, stream in waiting:
                jobs.add(conn, KIND, connection, stream)


def _is_due(conn: Connection, live: Live, stream: str) -> bool:
    """Whether no reconciliation ended lately; one that failed for good is not begun at once.

    A connection with ``fresh_s = 0`` is compared when a person asks for it, and only then.
    """
    half = timedelta(seconds=live.fresh_s(stream) / 2)
    return bool(half) and not certificates.ended_since(conn, live.name, stream, leases.now() - half)


def step(hub: Hub, lane: Lane, job: Job) -> bool:
    """One slice of a reconciliation; whether its certificate is written.

    Raises:
        HubError: the source could not be read; nothing that was seen is lost.
    """
    live = lane.ready(hub, job.connection, "adapter")
    if live is None:
        return False
    work = Reconciliation(hub, lane, live, job)
    with lane.kept(hub):
        while work.now.phase != DONE and lane.has_time:
            PHASES[work.now.phase](work)
    return work.now.phase == DONE


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a reconciliation stands, as its job's row says.

    Attributes:
        cursor: where the phase goes on; None = at its beginning.
        days: which ordinals of days differ, where days are compared.
        dropped: the source shows so few records that none is taken for deleted.
    """

    phase: str
    method: str
    began_at: datetime
    cursor: str | None = None
    repaired: int = 0
    days: tuple[int, ...] = ()
    dropped: bool = False

    @classmethod
    def of(cls, job: Job, method: str) -> Progress:
        """What the row says."""
        if not job.result:
            return cls(LOOK, method, leases.now())
        told = dict(job.result)
        began_at = datetime.fromisoformat(told.pop("began_at"))
        return cls(**{**told, "days": tuple(told["days"])}, began_at=began_at, cursor=job.cursor)

    def told(self) -> dict[str, Any]:
        """What the row is to say, beside the cursor."""
        names = ("phase", "method", "repaired", "days", "dropped")
        return {
            **{name: getattr(self, name) for name in names},
            "began_at": self.began_at.isoformat(),
        }

    def enter(self, phase: str, **changes: Any) -> Progress:
        """At the beginning of another phase."""
        return replace(self, phase=phase, cursor=None, **changes)


@dataclass(slots=True)
class Fetched:
    """Records asked for one by one: those that came, and the last one asked for."""

    last: str = ""
    refs: list[str] = field(default_factory=list)
    came: list[Arrived] = field(default_factory=list)


class Reconciliation:
    """One slice of a reconciliation; ``now`` is what was last committed."""

    def __init__(self, hub: Hub, lane: Lane, live: Live, job: Job) -> None:
        self.hub, self.lane, self.live, self.job = hub, lane, live, job
        self._name = f"{live.name}/{job.stream}"
        self.methods = methods(live, job.stream)
        if not self.methods or job.stream not in live.streams:
            raise UnsupportedError(f"{self._name} cannot be compared with its source")
        self.stream, self.spec = live.streams[job.stream], live.mapping(job.stream)
        self.now = Progress.of(job, self.methods[0])
        self.round = Round(job.id, job.connection, job.stream, self.now.began_at)
        self.can_fetch = live.can("fetch", job.stream)

    # Looking at the source

    def look(self) -> None:
        """See what exists there, in the best way it can tell."""
        ways = {SURVEY: self._survey, TALLY: self._tally, SCAN: self._scan}
        try:
            ways[self.now.method]()
        except CursorExpiredError:
            if self.now.cursor is None:
                raise
            self._commit(self.now.enter(LOOK))
        except UnsupportedError:  # not for this stream
            rest = self.methods[self.methods.index(self.now.method) + 1 :]
            if not rest:
                raise
            self._commit(self.now.enter(LOOK, method=rest[0]))

    def _survey(self) -> None:
        for page in self.live.adapter.survey(self.stream, self.now.cursor):
            if page.cursor is not None and page.cursor == self.now.cursor:
                raise RetryableError(f"{self._name}: the survey does not advance")
            over = page.cursor is None
            then = self.now.enter(URGENT) if over else replace(self.now, cursor=page.cursor)
            self._commit(then, page.sightings)
            if over or not self.lane.has_time:
                return
        raise RetryableError(f"{self._name}: the survey broke off before its end")

    def _scan(self) -> None:
        pages = self.live.adapter.pull(self.stream, self.now.cursor)
        if self._take(pages, lambda cursor: cursor):
            self._commit(self.now.enter(WEED))

    def _tally(self) -> None:
        days = sorted(day.toordinal() for day, *_ in self._differing())
        self._commit(self.now.enter(READ, days=tuple(days)))

    def read(self) -> None:
        """Read the days once more on which the counts differ."""
        index, cursor = json.loads(self.now.cursor or "[0, null]")
        if index == len(self.now.days):
            self._commit(self.now.enter(WEED))
            return
        begin = datetime.combine(date.fromordinal(self.now.days[index]), time(), UTC)
        window = Window(begin, begin + timedelta(days=1), by_occurrence=True)
        try:
            pages = self.live.adapter.history(self.stream, window, cursor)
            over = self._take(pages, lambda place: json.dumps([index, place]))
        except CursorExpiredError:
            if cursor is None:
                raise
            self._commit(replace(self.now, cursor=json.dumps([index, None])))
            return
        if over:
            self._commit(replace(self.now, cursor=json.dumps([index + 1, None])))

    def _take(self, pages: Iterator[Page], place: Callable[[str], str]) -> bool:
        """Absorb pages and note what they show; whether their end was reached."""
        for began, page in advancing(f"{self._name}: the cursor", prefetched(pages)):
            batches = in_batches(arrived(self.stream.name, page, began))
            for batch in batches[:-1]:
                self._take_batch(batch, self.now.cursor)
            self._take_batch(batches[-1], place(page.cursor))
            if not self.lane.has_time:
                return False
        return True

    def _take_batch(self, batch: Sequence[Arrived], cursor: str | None) -> None:
        news = prepare(self.hub, self.live, batch).rows
        then = replace(self.now, cursor=cursor, repaired=self.now.repaired + len(news))
        self._absorb(batch, then, [one for a in batch for one in self._seen(a)])

    def _seen(self, arrived: Arrived) -> Iterator[Sighting]:
        if isinstance(arrived.row, Row):
            raw = arrived.row.raw
            with suppress(MappingError):  # it goes into quarantine
                if not self.spec.is_gone(raw):
                    yield Sighting(self.spec.external_id(raw), self.spec.raw_version(raw))

    # Mending

    def mend_urgent(self) -> None:
        """Fetch what belongs to customers with an open request."""
        if self.can_fetch:
            with pace.urgent():  # of a daily budget, a part is kept for them
                self._mend(REST, urgent=True)
            return
        found = self._figures()
        differs = found.missing or found.stale
        self._commit(self.now.enter(LOOK, method=SCAN) if differs else self.now.enter(WEED))

    def mend_rest(self) -> None:
        """Fetch everything else that is missing or stale."""
        self._mend(WEED, urgent=False)

    def _mend(self, following: str, *, urgent: bool) -> None:
        after = self.now.cursor or ""
        with self.hub.database.read() as conn:
            refs = certificates.gaps(conn, self.round, after, FETCHED_MAX, urgent=urgent)
        if not refs:
            self._commit(self.now.enter(following))
            return
        fetched = self._fetch(refs)
        repaired = self.now.repaired + len(fetched.came)
        then = replace(self.now, cursor=fetched.last, repaired=repaired)
        self._absorb(fetched.came, then, fetched=fetched.refs)

    def weed(self) -> None:
        """Delete what the source has no more, unless far too much of it went at once."""
        if self.now.cursor is None and self._is_drop():
            self._commit(self.now.enter(CERTIFY, dropped=True))
            return
        after, days = self.now.cursor or "", self.now.days if self.now.method == TALLY else None
        with self.hub.database.read() as conn:
            most = FETCHED_MAX if self.can_fetch else BATCH_MAX
            refs = certificates.extras(conn, self.round, after, most, days)
        if not (refs and self.stream.whole):
            self._commit(self.now.enter(CERTIFY))
            return
        # Without a way to ask for one record, the look is believed, because it was completed.
        fetched = self._fetch(refs) if self.can_fetch else self._believed(refs)
        exist = [
            Sighting(ref.removeprefix(self.round.prefix))
            for ref, a in zip(fetched.refs, fetched.came, strict=True)
            if isinstance(a.row, Row) and not self.spec.is_gone(a.row.raw)
        ]
        repaired = self.now.repaired + len(fetched.came) - len(exist)
        then = replace(self.now, cursor=fetched.last, repaired=repaired)
        self._absorb(fetched.came, then, exist)

    def _is_drop(self) -> bool:
        if self.job.argument.get("accept_drop") or not self.stream.whole:
            return False
        found = self._figures()
        return is_drop(found.hub - found.extra, found.hub)

    def _fetch(self, refs: Sequence[str]) -> Fetched:
        """The records as they are now; as many of them as there is time for."""
        fetched = Fetched()
        for ref in refs:
            if fetched.last and not self.lane.has_time:
                break
            one = RecordRef(self.stream.name, ref.removeprefix(self.round.prefix))
            began = leases.now()
            try:
                raw = self.live.adapter.fetch(one)
            except RecordError as exc:  # it stays a gap; its neighbours go on
                log.warning("record cannot be fetched", extra={"ref": ref, "fault": str(exc)})
            except RemoteError:
                if not fetched.last:
                    raise
                break  # what came is kept first; then it is met again
            else:
                row = Row(one.stream, raw) if raw is not None else Deleted(one.stream, one.id)
                fetched.refs.append(ref)
                fetched.came.append(Arrived(row, began))
            fetched.last = ref
        return fetched

    def _believed(self, refs: Sequence[str]) -> Fetched:
        ids = (ref.removeprefix(self.round.prefix) for ref in refs)
        gone = [Arrived(Deleted(self.stream.name, id_), self.now.began_at) for id_ in ids]
        return Fetched(refs[-1], list(refs), gone)

    # Certifying

    def certify(self) -> None:
        """Count again and write down what is true now."""
        found, checked_at = self._figures(), leases.now()
        with self.hub.database.read() as conn:
            held = certificates.held_rows(conn, self.live.name, self.stream.name)
        certificate = self._certificate(found, held, checked_at)

        def write(conn: Connection) -> None:
            certificates.add(conn, certificate)
            self._alarm(conn, found)

        self._commit(self.now.enter(DONE), write=write)
        facts = {"connection": self.live.name, "stream": self.stream.name}
        told = {name: getattr(certificate, name) for name in ("repaired", "complete", "method")}
        log.info("stream reconciled", extra={**facts, **told})

    def _certificate(self, found: Figures, held: int, checked_at: datetime) -> Certificate:
        extra = found.extra if self.stream.whole else 0
        left = found.missing + found.stale + extra + found.held
        notes = {
            f"the source shows {found.source} of {found.hub} records": self.now.dropped,
            f"{held} rows held in quarantine": held,
            "records the source no longer shows are kept": extra != found.extra,
        }
        return Certificate(
            connection=self.live.name,
            stream=self.stream.name,
            method=self.now.method,
            source_count=found.source,
            hub_count=found.hub,
            missing=found.missing,
            stale=found.stale,
            extra=extra,
            repaired=max(0, self.now.repaired - found.held),
            complete=not (left or held or self.now.dropped),
            note="; ".join(note for note, applies in notes.items() if applies),
            began_at=self.now.began_at,
            checked_at=checked_at,
            valid_until=checked_at + timedelta(seconds=self.live.fresh_s(self.stream.name)),
        )

    def _alarm(self, conn: Connection, found: Figures) -> None:
        if not self.now.dropped:
            alerts.close(conn, COUNT_DROP, self.live.name, self.stream.name)
            return
        words = f"{self._name}: the source shows {found.source} of {found.hub} records"
        hint = (
            "Nothing was deleted. Look whether a filter or a permission hides rows at the source; "
            f"if they are gone: hub reconcile {self._name.replace('/', ' ')} --accept-drop"
        )
        alerts.open_(conn, COUNT_DROP, self.live.name, self.stream.name, words, hint)

    def _figures(self) -> Figures:
        if self.now.method == TALLY:
            return self._figures_by_day()
        with self.hub.database.read() as conn:
            return certificates.figures(conn, self.round)

    def _figures_by_day(self) -> Figures:
        differing = self._differing()
        with self.hub.database.read() as conn:
            hub = records.count(conn, self.live.name, self.stream.name)
        missing = sum(max(0, source - ours) for _, source, ours in differing)
        extra = sum(max(0, ours - source) for _, source, ours in differing)
        stale = sum(source == ours for _, source, ours in differing)
        return Figures(hub, missing, stale, extra)

    def _differing(self) -> list[tuple[date, int, int]]:
        """Days on which the source and the hub differ, with what each counts."""
        tallies = self.live.adapter.tally(self.stream)
        told = {tally.day: (tally.count, tally.digest) for tally in tallies}
        digests = any(digest for _, digest in told.values())
        with self.hub.database.read() as conn:
            ours = certificates.by_day(conn, self.round, digests=digests)
        found = []
        for day in sorted(told.keys() | ours.keys()):
            (source, theirs), (hub, digest) = told.get(day, (0, "")), ours.get(day, (0, ""))
            if source != hub or (theirs and theirs != digest):
                found.append((day, source, hub))
        return found

    # Storing

    def _commit(
        self,
        then: Progress,
        seen: Sequence[Sighting] = (),
        write: Callable[[Connection], None] = lambda _: None,
    ) -> None:
        """Note sightings and progress in one transaction."""

        def story(conn: Connection) -> None:
            self.lane.hold(conn)
            certificates.sight(conn, self.round, seen)
            write(conn)
            jobs.advance(conn, self.job.id, then.cursor, len(seen), result=then.told())

        self.hub.database.run(story)
        self.now = then

    def _absorb(
        self,
        rows: Sequence[Arrived],
        then: Progress,
        seen: Sequence[Sighting] = (),
        fetched: Sequence[str] = (),
    ) -> None:
        """Apply rows, and note what they tell of the source in the same transaction."""

        def finish(conn: Connection) -> None:
            certificates.sight(conn, self.round, seen, fetched=True)
            certificates.note_fetched(conn, self.round, fetched)
            jobs.advance(conn, self.job.id, then.cursor, len(rows), result=then.told())

        absorb(self.hub, self.live, rows, finish, begin=self.lane.hold)
        self.now = then


PHASES: Mapping[str, Callable[[Reconciliation], None]] = {
    LOOK: Reconciliation.look,
    READ: Reconciliation.read,
    URGENT: Reconciliation.mend_urgent,
    REST: Reconciliation.mend_rest,
    WEED: Reconciliation.weed,
    CERTIFY: Reconciliation.certify,
}
