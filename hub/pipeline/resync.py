"""A part of a stream read once more: by time, by condition, by ids, or all of it.

It goes on from its job's row, beside the live pull and without touching its checkpoint. What did
not change costs nothing; what did is news.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from hub.errors import (
    ConfigError,
    CursorExpiredError,
    MappingError,
    RecordError,
    RemoteError,
    UnsupportedError,
)
from hub.mapping import Mapping as Spec
from hub.mapping import to_canonical
from hub.pipeline.absorb import Arrived, absorb
from hub.pipeline.lane import Lane
from hub.pipeline.pull import advancing, arrived, in_batches, prefetched
from hub.registry import Hub, Live
from hub.sdk import Deleted, Page, RecordRef, Row, Window, urgent
from hub.store import budget, checkpoints, jobs, leases
from hub.store.jobs import Job

KIND = "resync"
FETCHED_MAX = 50

_DAY = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True, slots=True)
class Part:
    """What of a stream is to be read; nothing said = all of it."""

    since: datetime | None = None
    until: datetime | None = None
    where: str = ""
    ids: tuple[str, ...] = ()

    @classmethod
    def of(cls, argument: Mapping[str, Any]) -> Part:
        """As a job's row tells it."""
        since, until = argument.get("since"), argument.get("until")
        return cls(
            datetime.fromisoformat(since) if since else None,
            datetime.fromisoformat(until) if until else None,
            argument.get("where", ""),
            tuple(argument.get("ids", ())),
        )

    def told(self) -> dict[str, Any]:
        """As a job's row tells it."""
        told = {
            "since": self.since.isoformat() if self.since else "",
            "until": self.until.isoformat() if self.until else "",
            "where": self.where,
            "ids": list(self.ids),
        }
        return {name: value for name, value in told.items() if value}


def begin(hub: Hub, connection: str, stream: str, part: Part, *, actor: str) -> int:
    """The id of the job that reads this part.

    Raises:
        ConfigError: it cannot be read.
    """
    live = hub.registry.get(connection)
    _check(live, stream, part)
    prefix = f"{connection}/{stream}/"
    with hub.database.write() as conn:
        refs = budget.by_urgency(conn, [prefix + id_ for id_ in dict.fromkeys(part.ids)])
        ids = [ref.removeprefix(prefix) for ref in refs]
        argument = part.told() | ({"ids": ids} if ids else {})
        return jobs.add(conn, KIND, connection, stream, argument, actor=actor)


def _check(live: Live, stream: str, part: Part) -> None:
    if stream not in live.streams:
        known = ", ".join(live.streams) or "none"
        raise ConfigError(f"{live.name} has no stream {stream}", hint=f"Known: {known}")
    live.mapping(stream)
    if part.ids and (part.since or part.until or part.where):
        raise ConfigError("ids name records already", hint="Leave the time and condition out.")
    if part.where and not live.can("history", stream):
        raise UnsupportedError(
            f"{live.name} cannot be asked with a condition",
            hint="Name a time with --since and --until, or the ids.",
        )


def step(hub: Hub, lane: Lane, job: Job) -> bool:
    """One slice; whether the part was read to its end.

    Raises:
        HubError: it stopped; what was read so far is stored and not read again.
    """
    live = lane.ready(hub, job.connection, "adapter")
    if live is None:
        return False
    part = Part.of(job.argument)
    _check(live, job.stream, part)
    with hub.database.read() as conn:
        checkpoint = checkpoints.get(conn, live.name, job.stream)
    quiet = checkpoint.get("completed_at") is None  # then this is part of the first load
    work = _Work(hub, lane, live, job, part, quiet)
    with lane.kept(hub):
        return work.by_ids() if part.ids and live.can("fetch", job.stream) else work.by_pages()


@dataclass(slots=True)
class _Asked:
    """Records asked for one by one; ``fault`` is why it stopped early."""

    came: list[Arrived] = field(default_factory=list)
    refused: int = 0
    fault: RemoteError | None = None

    @property
    def count(self) -> int:
        return len(self.came) + self.refused


@dataclass(frozen=True, slots=True)
class _Work:
    """One slice of a resync."""

    hub: Hub
    lane: Lane
    live: Live
    job: Job
    part: Part
    quiet: bool

    def by_pages(self) -> bool:
        """Read pages and keep the rows that were asked for; whether their end was reached."""
        cursor, name = self.job.cursor, f"{self.live.name}/{self.job.stream}"
        pages, wanted = self._pages(cursor), self._wanted()
        try:
            for began, page in advancing(f"{name}: the cursor", prefetched(pages)):
                rows = [a for a in arrived(self.job.stream, page, began) if wanted(a)]
                self._absorb(rows, page.cursor, len(page.records))
                cursor = page.cursor
                if not self.lane.has_time:
                    return False
        except CursorExpiredError:
            if cursor is None:
                raise
            self._absorb([], None, 0)  # from the beginning: what was read is not news again
            return False
        return True

    def _pages(self, cursor: str | None) -> Iterator[Page]:
        stream, part = self.live.streams[self.job.stream], self.part
        if self.live.can("history", self.job.stream) and not part.ids:
            window = Window(part.since, part.until, part.where)
            return self.live.adapter.history(stream, window, cursor)
        return self.live.adapter.pull(stream, cursor)

    def _wanted(self) -> Callable[[Arrived], bool]:
        """Which rows are asked for, where the vendor could not be asked for them alone."""
        part, spec = self.part, self.live.mapping(self.job.stream)
        if part.ids:
            ids = frozenset(part.ids)
            return lambda a: _id(spec, a.row) in ids
        if self.live.can("history", self.job.stream) or not (part.since or part.until):
            return lambda _: True
        return lambda a: self._in_time(spec, a.row)

    def _in_time(self, spec: Spec, row: Row | Deleted) -> bool:
        """Whether it was changed within the time asked for; one that does not tell may have."""
        at = _changed_at(spec, row.raw, self.live.name) if isinstance(row, Row) else None
        since, until = self.part.since, self.part.until
        return at is None or ((not since or at >= since) and (not until or at < until))

    def by_ids(self) -> bool:
        """Ask for the records one by one, in the order of the row; whether all were."""
        ids, done = self.part.ids, int(self.job.cursor or 0)
        refused = int(self.job.result.get("refused", 0))
        while done < len(ids):
            asked = self._ask(ids[done : done + FETCHED_MAX])
            done, refused = done + asked.count, refused + asked.refused
            if asked.count:
                told = {"total": len(ids), "result": {"refused": refused}}
                self._absorb(asked.came, str(done), asked.count, **told)
            if asked.fault:
                raise asked.fault
            if not self.lane.has_time:
                return done == len(ids)
        return True

    def _ask(self, ids: Sequence[str]) -> _Asked:
        prefix = f"{self.live.name}/{self.job.stream}/"
        with self.hub.database.read() as conn:
            waited_for = budget.waited_for(conn, [prefix + id_ for id_ in ids])
        asked = _Asked()
        for id_ in ids:
            if asked.count and not self.lane.has_time:
                break
            try:
                with urgent() if prefix + id_ in waited_for else nullcontext():
                    asked.came.append(self._fetch(id_))
            except RecordError:  # the vendor refuses this one; its neighbours go on
                asked.refused += 1
            except RemoteError as exc:
                asked.fault = exc
                break
        return asked

    def _fetch(self, id_: str) -> Arrived:
        ref, began = RecordRef(self.job.stream, id_), leases.now()
        raw = self.live.adapter.fetch(ref)
        return Arrived(Deleted(ref.stream, id_) if raw is None else Row(ref.stream, raw), began)

    def _absorb(self, rows: Sequence[Arrived], cursor: str | None, count: int, **told: Any) -> None:
        """Apply rows and note in the job's row, in the same transaction, that this was done."""

        def advance(conn: Connection) -> None:
            jobs.advance(conn, self.job.id, cursor, count, **told)

        *first, last = in_batches(rows)
        for batch in first:
            absorb(self.hub, self.live, batch, begin=self.lane.hold, quiet=self.quiet)
        absorb(self.hub, self.live, last, advance, begin=self.lane.hold, quiet=self.quiet)


def _id(spec: Spec, row: Row | Deleted) -> str:
    if isinstance(row, Deleted):
        return row.id
    try:
        return spec.external_id(row.raw)
    except MappingError:
        return ""  # it has none, so it is none that was asked for


def _changed_at(spec: Spec, raw: Any, connection: str) -> datetime | None:
    """When a row was last changed: its version, where that is an instant, else when it happened."""
    try:
        version = spec.raw_version(raw)
        if _DAY.match(version):
            at = datetime.fromisoformat(version)
            return at if at.tzinfo else at.replace(tzinfo=UTC)
        return to_canonical(spec, raw, connection=connection)[0].occurred_at
    except (MappingError, ValueError):
        return None
