"""A storm of webhooks over real processes that are killed meanwhile, and what must hold after it.

The senders do as vendors do: they repeat an event until it is acknowledged, send some twice and
some in the wrong order. The vendor written to keeps an append-only file of what happened there.
"""

from __future__ import annotations

import http.client
import itertools
import json
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zstandard
from sqlalchemy import select

from adapters.demo.webhook import sign
from hub.profiles.build import build
from hub.profiles.traits import since
from hub.registry import Hub, apply, open_hub
from hub.sdk import Item
from hub.settings import Settings
from hub.store import leases, profiles, schema
from hub.store.migrate import migrate
from tests.story.helpers import drain, receive
from tests.story.processes import Installation, wait_until

SECRET = "storm-secret"
LEDGER = "ledger.jsonl"
SENDERS = 6
DUPLICATES = 0.1
REORDERED = 0.15
RULES = [
    {
        "id": "order-copy",
        "when": "Order changed",
        "if": [{"field": "connection", "is": "shop"}],
        "then": {
            "write": "desk/orders",
            "fields": {"reference": "{reference}", "customer": "{party}"},
        },
    }
]


def settings(folder: Path) -> dict[str, Any]:
    """A shop that sends, and a desk that is written to and pulled."""
    # What it sends is in no account that could be compared with.
    shop = {"adapter": "demo", "webhook_secrets": [SECRET], "fresh_s": 0}
    desk = {"adapter": "demo", "ledger_path": str(folder / LEDGER), "every_s": 2}
    return {"connections": {"shop": shop, "desk": desk}, "rules": RULES}


@dataclass(frozen=True, slots=True)
class Event:
    """One version of one record, as the shop tells of it."""

    stream: str
    id: str
    version: int

    @property
    def name(self) -> str:
        return f"{self.id}-{self.version}"

    @property
    def ref(self) -> str:
        return f"shop/{self.stream}/{self.id}"

    @property
    def record(self) -> dict[str, Any]:
        n = int(self.id[1:])
        row = {"id": self.id, "version": f"{self.version:012d}"}
        if self.stream == "orders":
            said = {
                "number": f"SO{n}",
                "reference": self.name,
                "customer_id": f"C{n // 40 * 40 + 1:04d}",
            }
            return {**row, **said}
        # Three customers turn out to be one, and every third version says that they do not.
        shared = n // 4 if self.version % 3 else 10_000 + n
        return {**row, "name": f"客户{n // 4}", "phone": f"139{shared:08d}", "member_no": f"M{n}"}

    @property
    def body(self) -> bytes:
        said = {"event_id": self.name, "stream": self.stream, "record": self.record}
        return json.dumps(said).encode()


def plan(rng: random.Random, events: int, records: int) -> list[Event]:
    """Rising versions per record, locally out of order, some of them twice."""
    streams = ["customers" if n % 4 else "orders" for n in range(records)]
    ids = [f"{stream[0].upper()}{n:04d}" for n, stream in enumerate(streams)]
    waiting = [
        (stream, id_, _almost_in_order(rng, range(1, events // records + 1)))
        for stream, id_ in zip(streams, ids, strict=True)
    ]
    told: list[Event] = []
    while waiting:
        n = rng.randrange(len(waiting))
        stream, id_, versions = waiting[n]
        told.append(Event(stream, id_, versions.pop(0)))
        if not versions:
            waiting.pop(n)
    for at in sorted(rng.sample(range(len(told)), int(len(told) * DUPLICATES)), reverse=True):
        told.insert(min(len(told), at + rng.randrange(1, 40)), told[at])
    return told


def _almost_in_order(rng: random.Random, versions: Sequence[int]) -> list[int]:
    found = list(versions)
    for n in range(len(found) - 1):
        if rng.random() < REORDERED:
            found[n], found[n + 1] = found[n + 1], found[n]
    return found


@dataclass
class Senders:
    """Threads that send the events, at most ``per_s`` of them a second."""

    port: int
    events: Sequence[Event]
    per_s: float
    acknowledged: Counter[Event] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    took_s: float = 0.0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._coming: Iterator[tuple[int, Event]] = iter(enumerate(self.events))
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    @property
    def done(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        with closing(_Line(self.port)) as line:
            self._send_all(line)

    def _send_all(self, line: _Line) -> None:
        while True:
            with self._lock:
                n, event = next(self._coming, (0, None))
            if event is None:
                return
            time.sleep(max(0.0, self._began + n / self.per_s - time.monotonic()))
            while (answer := line.post(event)) not in ("200", "202"):
                with self._lock:
                    self.refused[answer] += 1
                time.sleep(0.2)
            with self._lock:
                self.acknowledged[event] += 1
                self.took_s = time.monotonic() - self._began


class _Line:
    """One sender's connection; once closed, the next request opens it anew."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def close(self) -> None:
        self._http.close()

    def post(self, event: Event) -> str:
        """The status, or the name of what went wrong."""
        headers = sign(SECRET, event.body, datetime.now(UTC))
        try:
            self._http.request("POST", "/hooks/shop", event.body, headers)
            answer = self._http.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as exc:
            self.close()
            return type(exc).__name__
        return str(answer.status)


@dataclass
class Killer:
    """Kills somebody at random moments, for as long as the senders send.

    Attributes:
        victims: what each kill does, by name; it must bring the victim back, or know who does.
        gap_s: the shortest and longest time between two kills.
    """

    rng: random.Random
    victims: Mapping[str, Callable[[], None]]
    gap_s: tuple[float, float]
    kills: Counter[str] = field(default_factory=Counter)

    def rage_while(self, is_on: Callable[[], bool], deadline_s: float) -> None:
        """Return when it is off."""
        names = itertools.cycle(self.rng.sample(sorted(self.victims), len(self.victims)))
        ends_at = time.monotonic() + deadline_s
        while is_on():
            assert time.monotonic() < ends_at, "the senders never got through"
            pause = time.monotonic() + self.rng.uniform(*self.gap_s)
            while is_on() and time.monotonic() < pause:
                time.sleep(0.05)
            if is_on():
                name = next(names)
                self.victims[name]()
                self.kills[name] += 1


def wait_until_drained(installation: Installation, patience_s: float) -> None:
    """Return when nothing waits any more and nobody works on a lane."""
    with installation.hub() as hub:

        def is_drained() -> bool:
            with hub.database.read() as conn:
                busy = conn.execute(
                    select(schema.lease.c.name).where(
                        schema.lease.c.lane.is_not(None), schema.lease.c.until > leases.now()
                    )
                ).first()
                events = conn.execute(select(schema.inbox.c.id).where(schema.inbox_pending)).first()
                writes = conn.execute(
                    select(schema.delivery.c.id).where(schema.outbox_pending)
                ).first()
            return not (busy or events or writes)

        wait_until("inbox and outbox drained", is_drained, patience_s=patience_s)


def check(hub: Hub, acknowledged: Mapping[Event, int], folder: Path) -> None:
    """Everything acknowledged is there, once and in order, and so is everything it led to."""
    applied = _applied(hub)
    newest: dict[str, int] = {}
    for event in acknowledged:
        newest[event.ref] = max(newest.get(event.ref, 0), event.version)
    assert {ref: versions[-1] for ref, versions in applied.items()} == newest
    assert all(versions == sorted(set(versions)) for versions in applied.values())
    _check_inbox(hub, acknowledged)
    _check_ledger(folder / LEDGER, applied)
    check_profiles(hub)
    with _clean_hub(folder) as clean:
        assert _partition(hub) == _partition_of(clean, newest)


def _applied(hub: Hub) -> dict[str, list[int]]:
    """The versions each record of the shop went through, the newest last."""
    found: dict[str, list[int]] = defaultdict(list)
    unpack = zstandard.ZstdDecompressor().decompress
    with hub.database.read() as conn:
        for row in conn.execute(select(schema.history).order_by(schema.history.c.id)):
            if row.ref.startswith("shop/"):
                assert json.loads(unpack(row.payload))["version"] == row.version
                found[row.ref].append(int(row.version))
        for row in conn.execute(select(schema.raw)):
            if row.ref.startswith("shop/"):
                found[row.ref].append(int(row.version))
    return dict(found)


def _check_inbox(hub: Hub, acknowledged: Mapping[Event, int]) -> None:
    with hub.database.read() as conn:
        rows = conn.execute(select(schema.inbox.c.event_id, schema.inbox.c.state)).all()
        held = conn.execute(select(schema.quarantine.c.id)).all()
    assert Counter(state for _, state in rows) == {"done": len(rows)}
    assert Counter(name for name, _ in rows) == Counter({event.name for event in acknowledged})
    assert held == []


def _check_ledger(ledger: Path, applied: Mapping[str, list[int]]) -> None:
    """The desk was told each version of each order once, in order, and made one copy of each."""
    told: dict[str, list[int]] = defaultdict(list)
    copies: dict[str, set[str]] = defaultdict(set)
    for line in ledger.read_text("utf-8").splitlines():
        effect = json.loads(line)
        id_, _, version = effect["values"]["reference"].partition("-")
        told[f"shop/orders/{id_}"].append(int(version))
        copies[id_].add(effect["id"])
    assert told == {ref: v for ref, v in applied.items() if ref.startswith("shop/orders/")}
    assert {len(ids) for ids in copies.values()} == {1}


def check_profiles(hub: Hub) -> None:
    """Each stored profile is what its records make now, and every fact has found its party."""
    now = leases.now()
    with hub.database.read() as conn:
        orphans = conn.execute(
            select(schema.record.c.ref).where(
                schema.record.c.party.is_(None), schema.record.c.ref.startswith("shop/")
            )
        ).all()
        stored = {
            row.customer_id: row.document for row in conn.execute(select(schema.profile)).all()
        }
        material = profiles.material(conn, stored, since(hub.catalogue, now))
    assert orphans == []
    for id_, document in stored.items():
        built = build(id_, material[id_], hub.manner, now)
        assert built is not None
        assert _timeless(built.model_dump_json(exclude_defaults=True)) == _timeless(document)


def _timeless(document: str) -> dict[str, Any]:
    return {k: v for k, v in json.loads(document).items() if k != "built_at"}


def _partition(hub: Hub) -> set[frozenset[str]]:
    parts: dict[str, set[str]] = defaultdict(set)
    with hub.database.read() as conn:
        for row in conn.execute(select(schema.link)):
            if row.ref.startswith("shop/"):
                parts[row.customer_id].add(row.ref)
    return {frozenset(refs) for refs in parts.values()}


@contextmanager
def _clean_hub(folder: Path) -> Iterator[Hub]:
    """Another hub with the same shop, to which nothing ever happened."""
    given = Settings(
        state_dir=folder / "clean", connections={"shop": {"adapter": "demo", "account": "clean"}}
    )
    hub = open_hub(given)
    try:
        migrate(hub.database)
        apply(hub.registry, given)
        yield hub
    finally:
        hub.close()


def _partition_of(clean: Hub, newest: Mapping[str, int]) -> set[frozenset[str]]:
    """Who is who, as a hub sees it that was told nothing but the newest versions."""
    events = [Event(*ref.split("/")[1:], version) for ref, version in sorted(newest.items())]
    receive(clean, "shop", *(Item(e.body, e.name, e.ref) for e in events if e.id[0] == "C"))
    drain(clean)
    return _partition(clean)
