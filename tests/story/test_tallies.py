"""The sums kept of a party equal what a reading of its records says, whatever happened to them."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, delete, select, update

from hub.errors import ContentionError
from hub.models import Asset, Message, Money, Order, OrderStatus, Organization, Record, Ref, Ticket
from hub.pipeline.customer import rebuild_all
from hub.registry import Hub
from hub.store import records, tallies
from hub.store.records import Cut
from hub.store.schema import customer, tally
from tests.story.helpers import account, demo, pull, scalar

START = datetime(2026, 1, 1, tzinfo=UTC)


def ref(stream: str, n: int) -> Ref:
    return Ref(connection="erp", stream=stream, id=str(n))


class Life:
    """Random changes to few records of few parties; most of what they meet is there already."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def step(self, conn: Connection) -> None:
        if self.chance.random() < 0.1:
            names = [f"erp/orders/{self.chance.randrange(12)}" for _ in range(3)]
            records.settle(conn, names)
            return
        made = [self.record() for _ in range(self.chance.randint(1, 6))]
        gone = [f"erp/{s}/{self.chance.randrange(12)}" for s in ("orders", "tickets", "parties")]
        cuts = {str(r.ref): Cut(str(r.ref), "m", [r]) for r in made}
        chosen = self.chance.sample(gone, self.chance.choice((0, 0, 1)))
        records.save(conn, list(cuts.values()), [name for name in chosen if name not in cuts])

    def record(self) -> Record:
        chance, n = self.chance, self.chance.randrange(12)
        at = chance.choice((None, START + timedelta(days=chance.randrange(5))))
        party = ref("parties", chance.randrange(4))
        match chance.choice(("party", "order", "order", "ticket", "message", "asset")):
            case "party":
                return Organization(ref=party, name="山海")
            case "order":
                total = chance.choice(
                    (None, Money(amount_minor=chance.randrange(-5, 900), currency="CNY"))
                )
                status = chance.choice(list(OrderStatus))
                return Order(
                    ref=ref("orders", n), customer=party, total=total, status=status, occurred_at=at
                )
            case "ticket":
                return Ticket(ref=ref("tickets", n), subject="x", requester=party, occurred_at=at)
            case "message":
                about = ref("tickets", chance.randrange(12))
                return Message(
                    ref=ref("messages", n), channel="chat", direction="in", ticket=about,
                    occurred_at=at,
                )  # fmt: skip
            case _:
                until = (START + timedelta(days=n)).date()
                return Asset(
                    ref=ref("assets", n), serial_number="s", customer=party, warranty_until=until
                )


def parties() -> list[str]:
    return [f"erp/parties/{n}" for n in range(4)]


def check(hub: Hub) -> None:
    with hub.database.write() as conn:
        kept, true = tallies.stored(conn, parties()), tallies.count_again(conn, parties())
        strays = conn.execute(select(tally).where(tally.c.party.not_in(parties()))).all()
    assert true
    assert kept == true
    assert strays == []


def test_sums_equal_what_a_reading_of_the_records_says(open_with: Callable[..., Hub]) -> None:
    hub = open_with({})
    for seed in range(6):
        life = Life(seed)
        for _ in range(25):
            hub.database.run(life.step)
        check(hub)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer
def test_sums_stay_true_when_several_write_at_once(open_with: Callable[..., Hub]) -> None:
    hub = open_with({})

    def live(seed: int) -> None:
        life = Life(seed)
        for _ in range(40):
            hub.database.run(life.step)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(live, range(100, 104)))
    check(hub)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_rebuild_takes_sums_before_customers_as_whoever_saves(
    open_with: Callable[..., Hub],
) -> None:
    hub = open_with({"crm": demo()})
    account(hub, "crm").put("customers", {"id": "1", "name": "李娜", "phone": "13912345671"})
    account(hub, "crm").put("orders", {"id": "O1", "number": "SO1", "customer_id": "1"})
    pull(hub, "crm", "customers", "orders")
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND datname = current_database()"
    )
    with ThreadPoolExecutor(1) as pool:
        with hub.database.write() as conn:
            conn.execute(update(tally).values(total=tally.c.total))
            rebuilt = pool.submit(rebuild_all, hub)
            while not scalar(hub, waiting):
                assert not rebuilt.done()
            conn.execute(select(customer).with_for_update(nowait=True))
        assert rebuilt.result() == (1, 0)


def test_a_rebuild_goes_on_with_fewer_where_others_are_in_the_way(
    open_with: Callable[..., Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = open_with({"crm": demo()})
    for n in range(3):
        account(hub, "crm").put(
            "customers", {"id": str(n), "name": "李娜", "phone": f"1391234567{n}"}
        )
    pull(hub, "crm", "customers")
    mend = tallies.mend

    def crowded(conn: Connection, parties: list[str]) -> set[str]:
        if len(parties) > 1:
            raise ContentionError("others were in the way every time")
        return mend(conn, parties)

    monkeypatch.setattr(tallies, "mend", crowded)
    assert rebuild_all(hub) == (3, 0)


def test_what_was_spoilt_is_mended(open_with: Callable[..., Hub]) -> None:
    hub = open_with({})
    hub.database.run(lambda conn: records.save(conn, [
        Cut(str(r.ref), "m", [r])
        for r in (
            Organization(ref=ref("parties", 0), name="山海"),
            Organization(ref=ref("parties", 1), name="星河"),
            Order(ref=ref("orders", 0), customer=ref("parties", 0), occurred_at=START),
            Order(ref=ref("orders", 1), customer=ref("parties", 1), occurred_at=START),
        )
    ]))  # fmt: skip
    with hub.database.write() as conn:
        conn.execute(update(tally).where(tally.c.party == "erp/parties/0").values(count=7))
        assert tallies.mend(conn, parties()) == {"erp/parties/0"}
        conn.execute(delete(tally).where(tally.c.party == "erp/parties/1"))
        assert tallies.mend(conn, parties()) == {"erp/parties/1"}
        assert tallies.mend(conn, parties()) == set()
    check(hub)
