"""The city, its people and one hub, told step by step on a clock of their own.

What the hub does is what its tasks do: whatever is due, one after the other. A process can end at
any commit and at any call of a vendor; the next one knows what the database says.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import ColumnElement, event, func, select

from demo.city.faults import FAULTS
from demo.city.life import Life, disagreements, living
from demo.city.site import shown
from hub import pipeline
from hub.errors import HubError
from hub.pipeline import due, jobs, reconcile
from hub.pipeline.lane import LEASE_S, leased
from hub.registry import Hub, open_hub
from hub.sdk import HookRequest, Http
from hub.store import alerts, certificates, connections, credentials, inbox, schema
from hub.store import jobs as store_jobs
from tests.city import City

Open = Callable[..., Hub]

SYNCS: list[dict[str, Any]] = [
    {
        "id": "customers",
        "streams": ["crm/contacts", "erp/parties", "desk/requesters"],
        "create": ["crm/contacts", "erp/parties", "desk/requesters"],
    },
    {
        "id": "matters",
        "streams": ["desk/tickets", "crm/cases"],
        "create": ["desk/tickets", "crm/cases"],
    },
]
ROUNDS_MAX = 60
IDLE_S, PAUSE_MAX_S = 70.0, 16 * 3600.0
"""All that is pulled is due again after the one; whatever waits is, after the other."""

FOR_A_PERSON = ("renamed", "nested")
"""Faults that only another mapping mends."""

BOUNDARIES = ("before a commit", "after a commit", "before a call", "after a call")


class Killed(BaseException):
    """The process ends here: nothing may catch this."""


@dataclass
class Process:
    """What a process does to the world; it ends at the n-th boundary of one kind from now on.

    What follows a commit begins with the next contact with the world. A process that has ended
    reaches nothing any more: its clean-up runs into the same wall as the rest of it.
    """

    kind: str = ""
    left: int = 0
    ended: bool = False
    _committed: bool = False

    def commits(self) -> None:
        self.touches()
        self._boundary("before a commit")
        self._committed = True

    def touches(self) -> None:
        """Any contact with the world."""
        if self.ended:
            raise Killed
        if self._committed:
            self._committed = False
            self._boundary("after a commit")

    @contextmanager
    def calls(self) -> Iterator[None]:
        """A request to a vendor within the block."""
        self.touches()
        self._boundary("before a call")
        yield
        self._boundary("after a call")

    def _boundary(self, kind: str) -> None:
        if kind == self.kind:
            self.left -= 1
            if self.left < 0:
                self.ended = True
                raise Killed


@dataclass
class World:
    """One hub in the city.

    Args:
        open_with: the fixture.
        only: the connections there are.
        given: as ``City`` takes it.
    """

    open_with: Open
    seed: int = 0
    syncs: Sequence[dict[str, Any]] = ()
    only: Sequence[str] = ("crm", "erp", "desk")
    page_size: int = 3
    given: dict[str, Any] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.city = City(self.seed, **self.given)
        self.life = Life(*self.city.sites, seed=self.seed)
        self.process = Process()
        self.kills = 0

    @contextmanager
    def open(self) -> Iterator[World]:
        """Within the block there is such a world."""
        with self.city.open(around=self._called):
            told = self.city.connections(page_size=self.page_size)
            _empty(self.open_with({}))
            given = {name: told[name] for name in self.only}
            self.hub = self.open_with(given, syncs=list(self.syncs))
            self._watch()
            try:
                yield self
            finally:
                self.process = Process()
                self.hub.close()

    def _called(self) -> AbstractContextManager[None]:
        return self.process.calls()

    def _watch(self) -> None:
        engine = self.hub.database.engine
        event.listen(engine, "commit", lambda _: self.process.commits())
        event.listen(engine, "checkout", lambda *_: self.process.touches())
        engine.dispose()  # what is open already was not told to hurry

    @property
    def streams(self) -> list[tuple[str, str]]:
        """Every (connection, stream) there is."""
        return [(name, stream) for name in self.only for stream in self.city.site(name).streams]

    # Processes

    def kill_soon(self) -> None:
        """Let the process end at some boundary that is not far."""
        self.process.kind = self.random.choice(BOUNDARIES)
        self.process.left = self.random.randrange(25)

    def restart(self) -> None:
        """A new process, once the leases of the dead have run out; it knows only the database."""
        self.kills += 1
        self.process = Process()
        self.hub.close()
        self.city.clock.wait(LEASE_S + 1)
        self.hub = open_hub(self.hub.settings)
        self._watch()

    # What happens

    def step(self) -> None:
        """One thing of all that can happen."""
        deeds: list[tuple[int, Callable[[], Any]]] = [
            (6, self.live),
            (2, self.trouble),
            (3, self.receive),
            (6, self.work),
            (2, lambda: self.pass_time(self.random.choice((1, 20, 61, 400, 4000)))),
            (1, self.kill_soon),
        ]
        deed = self.random.choices([d for _, d in deeds], [w for w, _ in deeds])[0]
        self.alive(deed)

    def alive(self, deed: Callable[[], Any]) -> None:
        """Do it; when the process ends within it, the next one goes on from the database."""
        try:
            deed()
        except Killed:
            self.log.append("killed")
            self.restart()

    def live(self) -> None:
        """Somebody does something in one of the systems."""
        self.log.append(self.life.step())

    def trouble(self) -> None:
        """One system gets better, or worse in a new way."""
        site = self.random.choice(self.city.sites)
        if site.faults.on and self.random.random() < 0.5:
            site.faults.clear()
            self.log.append(f"{site.name} is well")
            return
        name = self.random.choice([name for name in FAULTS if name not in FOR_A_PERSON])
        chance = self.random.choice((0.1, 0.3, 0.8))
        site.faults.set(**{name: chance})
        self.log.append(f"{site.name} {name} {chance}")

    def pass_time(self, seconds: float) -> None:
        """Nothing happens for a while."""
        self.log.append(f"{seconds} s")
        self.city.clock.wait(seconds)

    def receive(self) -> None:
        """The systems send the webhooks they have."""
        for site in map(self.city.site, self.only):
            site.send_hooks(
                lambda headers, body, name=site.name: self._receive(name, headers, body)
            )

    def _receive(self, connection: str, headers: dict[str, str], body: bytes) -> int:
        now = self.city.clock.now()
        request = HookRequest("POST", headers, {}, body, now)
        opened: Any = self.hub.registry.get(connection).receiver.open(request)
        with self.hub.database.write() as conn:
            inbox.save(conn, inbox.rows_for(connection, opened.items, headers, now))
        return 202

    def work(self) -> int:
        """Everything that is due now, once; how many tasks that were."""
        ran = 0
        for connection, stream in due.pulls(self.hub):
            lease = pipeline.pull_lease(connection, stream)
            self._task([lease], pipeline.pull, connection, stream)
            ran += 1
        for id_ in due.jobs(self.hub):
            self._task([jobs.lease_name(id_)], jobs.run, id_)
            ran += 1
        for names in due.lanes(self.hub):
            is_in = names[0].startswith("in:")
            self._task(names, pipeline.ingest if is_in else pipeline.deliver)
            ran += 1
        return ran

    def _task(self, names: list[str], story: Callable[..., Any], *told: Any) -> None:
        with leased(self.hub, *names) as lane, suppress(HubError):  # noted, and due again later
            if lane is not None:
                story(self.hub, lane, *told)

    # The end

    def calm(self) -> None:
        """Nothing goes wrong any more, and what searches hid comes to light."""
        for site in self.city.sites:
            site.faults.clear()
        self.city.clock.wait(max(site.ledger.lag_s for site in self.city.sites))
        self.process.kind = ""

    def let_in(self) -> None:
        """An administrator signs in again wherever credentials were refused."""
        with self.hub.database.read() as conn:
            states = {row["name"]: row["state"] for row in connections.overview(conn)}
        if states.get("erp") == schema.REFUSED:
            live = self.hub.registry.get("erp")
            tokens = live.adapter.grants.renew(Http(live.config.url), None)
            with self.hub.database.write() as conn:
                credentials.replace_all(conn, self.hub.registry.vault, "erp", tokens)
                connections.readmit(conn, "erp")

    def settle(self) -> None:
        """Go on until nothing is left to be done: no write for a while, and none waiting."""
        quiet, pause_s = 0, IDLE_S
        for _ in range(ROUNDS_MAX):
            before = self._writes()
            self.let_in()
            self.receive()
            self.work()
            rests = self._writes() == before
            quiet = quiet + 1 if rests and not self._waiting() else 0
            if quiet == 2:
                return
            pause_s = min(pause_s * 2, PAUSE_MAX_S) if rests and not quiet else IDLE_S
            self.city.clock.wait(pause_s)
        raise AssertionError(f"it does not come to rest: {self._waiting()} {self.odd()}")

    def odd(self) -> list[str]:
        """Jobs and writes that are not over, as their rows tell it."""
        d = schema.delivery.c
        with self.hub.database.read() as conn:
            found = [
                f"{j['kind']} {j['stream']}: {j['error']}"
                for j in store_jobs.page(conn, state="open")
            ]
            query = select(d.connection, d.subject, d.state, d.error)
            rows = conn.execute(query.where(d.state.not_in(("confirmed", "skipped"))))
            return found + [" ".join(row) for row in rows]

    def _writes(self) -> int:
        return sum(len(site.ledger.entries) for site in self.city.sites)

    def _waiting(self) -> dict[str, int]:
        """What is still to be done, counted by what it is."""
        tables = (schema.inbox, schema.delivery)
        pending = (schema.inbox_pending, schema.outbox_pending)
        with self.hub.database.read() as conn:
            found = {
                table.name: conn.scalar(select(func.count()).select_from(table).where(one)) or 0
                for table, one in zip(tables, pending, strict=True)
            }
            found["job"] = len(store_jobs.page(conn, state="open"))
            found["pull"] = conn.scalar(select(func.count()).where(_unread())) or 0
        return {name: n for name, n in found.items() if n}

    def reconcile(self) -> None:
        """One cycle: every stream is compared with its source."""
        with self.hub.database.write() as conn:
            for connection, stream in self.streams:
                store_jobs.add(conn, reconcile.KIND, connection, stream)
        self.settle()

    # What is true then

    def certified(self) -> dict[str, tuple[bool, int]]:
        """Of each stream, whether its newest certificate is complete and what was repaired."""
        with self.hub.database.read() as conn:
            found = certificates.newest(conn)
        return {f"{c}/{s}": (one.complete, one.repaired) for (c, s), one in sorted(found.items())}

    def lost(self) -> list[str]:
        """Rows of which the hub holds something else than their system."""
        with self.hub.database.read() as conn:
            stored = {
                row.ref: None if row.deleted_at else orjson.loads(row.payload)
                for row in conn.execute(select(schema.raw))
            }
        found = []
        for site, stream in ((self.city.site(name), stream) for name, stream in self.streams):
            true = {f"{site.name}/{stream}/{row['id']}": row for row in living(site, stream)}
            place = f"{site.name}/{stream}/"
            held = {ref for ref, row in stored.items() if ref.startswith(place) and row}
            found += [f"{ref} is there and not in the hub" for ref in sorted(true.keys() - held)]
            found += [f"{ref} is gone, the hub has it" for ref in sorted(held - true.keys())]
            differing = [ref for ref in true.keys() & held if stored[ref] != shown(true[ref])]
            found += [f"{ref} is not as the hub has it" for ref in sorted(differing)]
        return found

    def faults(self) -> list[str]:
        """Whatever is not as it should be at the end."""
        found = self.lost()
        if self.syncs:
            found += disagreements(tuple(map(self.city.site, self.only)))
        for site in self.city.sites:
            found += [f"{site.name} got twice: {what}" for what in site.ledger.twice()]
        told = self.certified()
        places = [f"{connection}/{stream}" for connection, stream in self.streams]
        found += [f"{place}: no certificate" for place in places if not told.get(place, (0, 0))[0]]
        with self.hub.database.read() as conn:
            found += [f"alert {row['kind']} {row['subject']}" for row in alerts.every(conn)]
            states = conn.execute(select(schema.delivery.c.state)).scalars()
            odd = Counter(state for state in states if state not in ("confirmed", "skipped"))
        return found + [f"{n} writes are {state}" for state, n in odd.items()]


def _empty(hub: Hub) -> None:
    """Leave nothing of another world."""
    with hub.database.write() as conn:
        for table in reversed(schema.metadata.sorted_tables):
            conn.execute(table.delete())
    hub.close()


def _unread() -> ColumnElement[bool]:
    """Streams that were not read to their end, or not the last time."""
    return schema.checkpoint.c.completed_at.is_(None) | (schema.checkpoint.c.failures > 0)
