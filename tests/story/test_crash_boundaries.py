"""Crash at every commit and every call of a vendor, come back, and nothing is lost or done twice.

A walk is told once undisturbed, to number its boundaries: before each commit, right after it,
before each call of a vendor, right after its answer. Then it is told again for every boundary: the
process ends there, and once more a little later while it recovers. What the hub then holds, and
what the vendors were told, must be what the undisturbed walk left.
"""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import pytest
from sqlalchemy import event, select

from adapters.demo import account as demo_accounts
from adapters.demo.account import Account
from hub.registry import Hub, Registry
from hub.sdk import Change, Item, Raw
from hub.store import leases, schema
from tests.story.helpers import demo, drain, pull, receive

Open = Callable[..., Hub]

SLICES = 4
ALL = os.environ.get("HUB_TEST_BOUNDARIES") == "all"
STEPS = {"sqlite": 2, "postgresql": 8}
"""Every second boundary of a slice, on PostgreSQL every eighth; all of them with
``HUB_TEST_BOUNDARIES=all``, as in ``make soak``."""

RULES = [
    {
        "id": "order-copy",
        "when": "Order changed",
        "if": [{"field": "connection", "is": "shop"}],
        "then": {
            "write": "desk/orders",
            "fields": {"reference": "{number}", "status": "{status}", "customer": "{party}"},
        },
    },
    {
        "id": "message-to-ticket",
        "when": "Message created",
        "if": [{"field": "connection", "is": "shop"}],
        "then": {"write": "desk/tickets", "fields": {"subject": "{text}", "requester": "{party}"}},
    },
]


class Crash(BaseException):
    """The process ends here: nothing may catch this."""


@dataclass
class Process:
    """What a process does to the world, numbered; at the boundary ``ends_at`` it ends.

    What follows a commit begins with the next contact with the world, so "right after a commit" is
    told apart from "before the next one" there. A process that ended reaches nothing any more: its
    clean-up runs into the same wall as the rest of it.
    """

    ends_at: int | None = None
    passed: list[str] = field(default_factory=list)
    ended: bool = False
    _committed: bool = False

    def commits(self) -> None:
        self.touches()
        self._boundary("before a commit")
        self._committed = True

    def touches(self) -> None:
        """Any contact with the world."""
        if self.ended:
            raise Crash
        if self._committed:
            self._committed = False
            self._boundary("after a commit")

    def calls(self, what: str) -> None:
        self.touches()
        self._boundary(what)

    def _boundary(self, what: str) -> None:
        self.passed.append(what)
        if self.ends_at == len(self.passed) - 1:
            self.ended = True
            raise Crash


class Vendor(Account):
    """A demo account that a process calls; it names new rows alike in every telling."""

    def __init__(self) -> None:
        super().__init__()
        self.caller = Process()
        self._naming = ""

    @contextmanager
    def failing(self, verb: str) -> Iterator[None]:
        self.caller.calls(f"before {verb}")
        with super().failing(verb):
            yield
        self.caller.calls(f"after {verb}")

    def write(self, stream: str, change: Change) -> Raw:
        self._naming = str(change.values.get("reference") or change.values.get("subject"))
        return super().write(stream, change)

    def _new_id(self, stream: str) -> str:
        return self._naming


def _fill(shop: Vendor, desk: Vendor) -> None:
    desk.put("customers", {"id": "7", "name": "李娜", "phone": "13912345678"})
    for n, name in enumerate(("李娜", "王强", "张敏"), start=1):
        shop.put("customers", {"id": f"C{n}", "name": name, "phone": f"1391234567{9 - n}"})
        shop.put("orders", {"id": f"O{n}", "number": f"SO{n}", "customer_id": f"C{n}"})
    shop.put("customers", {"id": "C4", "name": "刘洋"})


def _change(shop: Vendor) -> None:
    shop.put("orders", {"id": "O1", "status": "quoted"})
    shop.put("orders", {"id": "O4", "number": "SO4", "customer_id": "C2"})
    shop.put("orders", {"id": "O5", "number": "SO5", "total": "much", "currency": "CNY"})


def _webhooks(shop: Vendor) -> list[list[Item]]:
    """What the shop sends: repeats, an older copy after a newer one, word of an end, garbage."""
    older = shop.put("orders", {"id": "O1", "status": "confirmed"})
    newer = shop.put("orders", {"id": "O1", "status": "shipped"})
    message = shop.put("messages", {"id": "M1", "customer_id": "C1", "text": "坏了"})
    shop.put("orders", {"id": "O3", "status": "confirmed"})
    shop.remove("customers", "C4")
    last = shop.put("orders", {"id": "O1", "status": "done"})
    first = _item("e1", "orders", record=newer)
    return [
        [first, _item("e2", "orders", record=older)],
        [first, _item("e3", "orders", id="O3"), Item(b"garbage", "e5")],
        [_item("e4", "messages", record=message), _item("e6", "customers", id="C4", deleted=True)],
        [_item("e7", "orders", record=last)],
    ]


def _item(event_id: str, stream: str, **said: Any) -> Item:
    body = json.dumps({"event_id": event_id, "stream": stream, **said}).encode()
    record = said.get("record", said)
    return Item(body, event_id, f"{stream}/{record['id']}")


class World:
    """Two vendors, and the hub as its current process has it opened."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.process = Process()
        self.shop, self.desk = Vendor(), Vendor()
        engine = hub.database.engine
        event.listen(engine, "commit", lambda _: self.process.commits())
        event.listen(engine, "checkout", lambda *_: self.process.touches())

    def tell(self, *ends: int) -> dict[str, Any]:
        """What the walk leaves when its first process ends at the first boundary, and so on."""
        self._empty()
        coming = list(ends)
        self._start(coming)
        for step in self._steps():
            while True:
                try:
                    step()
                except Crash:
                    self._recover(coming)
                else:
                    break
        return _left(self)

    def _steps(self) -> Iterator[Callable[[], Any]]:
        """The walk; a step whose process ends is taken again by the next process."""
        _fill(self.shop, self.desk)
        yield lambda: pull(self.hub, "desk", "customers")
        yield lambda: pull(self.hub, "shop", "customers", "orders")
        _change(self.shop)
        yield lambda: pull(self.hub, "shop", "orders")
        for items in _webhooks(self.shop):
            yield lambda items=items: receive(self.hub, "shop", *items)
        yield lambda: drain(self.hub)
        yield lambda: pull(self.hub, "desk", "orders")
        yield lambda: drain(self.hub)
        yield lambda: self.process.touches()

    def _start(self, ends: list[int]) -> None:
        """A new process: it knows nothing but what the database says."""
        self._call(Process())
        self.hub.close()
        self.hub = replace(self.hub, registry=Registry(self.hub.database, self.hub.registry.vault))
        with self.hub.database.write() as conn:  # the leases of the dead run out in time
            conn.execute(schema.lease.update().values(until=schema.EPOCH))
        self._call(Process(ends.pop(0) if ends else None))

    def _call(self, process: Process) -> None:
        self.process = self.shop.caller = self.desk.caller = process

    def _recover(self, ends: list[int]) -> None:
        """The relay finds what is due before anybody repeats anything."""
        self._start(ends)
        try:
            drain(self.hub)
        except Crash:
            self._recover(ends)

    def _empty(self) -> None:
        """Leave nothing but the connections, and give them new accounts."""
        self._call(Process())
        with self.hub.database.write() as conn:
            for table in reversed(schema.metadata.sorted_tables):
                if table.name != "connection":
                    conn.execute(table.delete())
        self.shop, self.desk = Vendor(), Vendor()
        for name in ("shop", "desk"):
            config = self.hub.registry.get(name).settings
            demo_accounts.forget(config["account"])
            demo_accounts._accounts[config["account"], None] = getattr(self, name)


@pytest.mark.parametrize("part", range(SLICES))
def test_a_crash_at_any_boundary_loses_nothing_and_repeats_nothing(
    open_with: Open, part: int
) -> None:
    world = World(open_with({"shop": demo(page_size=2), "desk": demo()}, RULES))
    expected = world.tell()
    _check_undisturbed(world, expected)
    boundaries = world.process.passed
    print(f"{len(boundaries)} boundaries: {dict(Counter(boundaries))}")  # noqa: T201
    every = 1 if ALL else STEPS[world.hub.database.engine.dialect.name]
    for at in range(part, len(boundaries), SLICES * every):
        left = world.tell(at, at % 23)
        for what, value in expected.items():
            assert left[what] == value, f"{what} differs after a crash {boundaries[at]} ({at})"


def _left(world: World) -> dict[str, Any]:
    """What the walk left in the hub and at the vendors, free of clocks and random names."""
    with world.hub.database.read() as conn:
        rows = {
            table.name: [
                dict(row)
                for row in conn.execute(select(table).order_by(*table.primary_key)).mappings()
            ]
            for table in schema.metadata.sorted_tables
        }
    told = defaultdict(list)
    for effect in world.desk.effects():
        told[effect.stream, effect.id].append(_without(effect.values))
    parts = defaultdict(set)
    for row in rows["link"]:
        parts[row["customer_id"]].add(row["ref"])
    return {
        "raw": sorted((r["ref"], _plain(r["payload"]), bool(r["deleted_at"])) for r in rows["raw"]),
        "records": sorted(
            (r["ref"], r["kind"], _plain(r["document"]), str(r["party"]), bool(r["deleted_at"]))
            for r in rows["record"]
        ),
        "history": sorted(r["ref"] for r in rows["history"]),
        "order of history": [r["version"] for r in rows["history"] if r["ref"] == "shop/orders/O1"],
        "refs": sorted((r["source"], r["field"], r["target"]) for r in rows["ref"]),
        "partition": sorted(sorted(refs) for refs in parts.values()),
        "profiles": sorted(
            (sorted(parts[r["customer_id"]]), _plain(r["document"])) for r in rows["profile"]
        ),
        "decisions": sorted(r["verb"] for r in rows["decision"]),
        "inbox": [(r["event_id"], r["state"]) for r in rows["inbox"]],
        "quarantine": sorted((r["stream"], r["path"], r["state"]) for r in rows["quarantine"]),
        "deliveries": sorted((r["subject"], r["fields"], r["state"]) for r in rows["delivery"]),
        "copies": sorted((r["subject"], r["external_id"], r["written"]) for r in rows["binding"]),
        "effects": dict(told),
        "checkpoints": sorted(
            (r["connection"], r["stream"], r["rows"], bool(r["completed_at"]))
            for r in rows["checkpoint"]
        ),
        "seen": sorted((r["party"], r["place"]) for r in rows["seen"]),
        "held leases": [r["name"] for r in rows["lease"] if r["until"] > leases.now()],
    }


def _plain(document: str) -> str:
    """A document without what differs between two tellings: times, ids, a vendor's counters."""
    return orjson.dumps(_without(orjson.loads(document)), option=orjson.OPT_SORT_KEYS).decode()


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        hidden = {"seen_at", "built_at", "version", "marker"} | (
            {"id"} if "members" in value else set()
        )
        return {k: _without(v) for k, v in value.items() if k not in hidden}
    return [_without(v) for v in value] if isinstance(value, list) else value


def _check_undisturbed(world: World, left: dict[str, Any]) -> None:
    """The walk itself does what it is meant to, so that "the same" means something."""
    assert left["partition"] == [
        ["desk/customers/7", "shop/customers/C1"],
        ["shop/customers/C2"],
        ["shop/customers/C3"],
    ]
    assert Counter(state for _, state in left["inbox"]) == {"done": 6, "quarantined": 1}
    assert left["quarantine"] == [("orders", "total", "held")]
    assert {state for *_, state in left["deliveries"]} == {"confirmed"}
    statuses = [e.values["status"] for e in world.desk.effects() if e.id == "SO1"]
    assert statuses == ["quoted", "shipped", "done"]
    assert len(left["effects"]) == 4
    assert left["held leases"] == []
