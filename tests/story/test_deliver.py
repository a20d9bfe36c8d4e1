"""Writes that are made once, whatever vendors and processes do in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from adapters.demo.account import Account
from adapters.demo.adapter import DemoAdapter
from hub.errors import AuthError, RejectedError, RetryableError, UnknownOutcomeError
from hub.registry import Hub
from hub.rules.decide import Intent
from hub.sdk import Change, Raw, Stream
from hub.store import alerts, breaker, connections, outbox
from hub.store.schema import EPOCH, lease
from tests.story.helpers import account, demo, drain, pull, scalar


@pytest.fixture
def hub(open_with: Callable[..., Hub]) -> Hub:
    return open_with({"crm": demo(), "erp": demo(), "desk": demo()})


_keys = iter(range(10**6))


def queue(hub: Hub, of: str, stream: str = "tickets", to: str = "desk", **fields: Any) -> None:
    key = f"{next(_keys):032x}"
    with hub.database.write() as conn:
        outbox.enqueue(conn, [Intent(key, to, stream, of, fields, {"rule": "test"})])


def states(hub: Hub) -> list[str]:
    with hub.database.read() as conn:
        return [row["state"] for row in reversed(outbox.page(conn, limit=500))]


def subjects(hub: Hub, connection: str = "desk", stream: str = "tickets") -> list[str]:
    vendor = account(hub, connection)
    return [row["subject"] for _, _, row in vendor.changes(stream) if row is not None]


def test_a_system_that_is_down_for_a_day_gets_it_once_in_order_when_it_is_back(
    hub: Hub, clock: Callable[[timedelta], None]
) -> None:
    desk, erp = account(hub, "desk"), account(hub, "erp")
    down = RetryableError("connection refused")
    for n in range(5):
        queue(hub, "crm/tickets/1", subject=f"change {n}")
        queue(hub, f"crm/tickets/{n + 10}", subject=f"other {n}")
    for hour in range(24):
        for _ in range(500):
            desk.plan("push", down)
        queue(hub, f"crm/tickets/{hour}", to="erp", subject=f"hour {hour}")
        drain(hub)
        assert len(erp.effects()) == hour + 1  # nothing else is delayed by it
        clock(timedelta(hours=1))
    assert desk.effects() == []
    desk.forgive("push")
    for _ in range(12):
        drain(hub)
        clock(timedelta(hours=1))
    assert set(states(hub)) == {"confirmed"}
    one = [
        e.values["subject"] for e in desk.effects() if e.values and "change" in e.values["subject"]
    ]
    assert one == [f"change {n}" for n in range(5)]
    assert len(desk.effects()) == 10


def test_a_vendor_that_fails_most_of_the_time_is_left_alone_for_a_moment(
    hub: Hub, clock: Callable[[timedelta], None]
) -> None:
    desk = account(hub, "desk")
    for n in range(40):
        queue(hub, f"crm/tickets/{n}", subject=f"{n}")
    for _ in range(10):
        desk.plan("push", RetryableError("busy"))
    drain(hub)
    assert scalar(hub, "SELECT count(*) FROM attempt") == 10
    with hub.database.read() as conn:
        assert breaker.open_until(conn, "desk") is not None
    clock(timedelta(seconds=31))
    drain(hub)
    clock(timedelta(seconds=31))
    drain(hub)
    assert len(desk.effects()) == 40


def test_one_failed_call_after_the_rest_begins_another(
    hub: Hub, clock: Callable[[timedelta], None]
) -> None:
    desk = account(hub, "desk")
    for n in range(20):
        queue(hub, f"crm/tickets/{n}", subject=f"{n}")
    for _ in range(11):
        desk.plan("push", RetryableError("busy"))
    drain(hub)
    clock(timedelta(seconds=31))
    drain(hub)
    assert desk.effects() == []
    with hub.database.read() as conn:
        assert breaker.open_until(conn, "desk") is not None


def test_what_was_being_written_when_the_hub_was_killed_is_looked_up_not_repeated(
    hub: Hub,
) -> None:
    desk = account(hub, "desk")
    queue(hub, "crm/tickets/1", subject="once")
    desk.plan("push", KeyboardInterrupt("killed"), after=True)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        drain(hub)
    assert states(hub) == ["sending"]
    free_lanes(hub)
    drain(hub)
    assert states(hub) == ["confirmed"]
    assert len(desk.effects()) == 1


class Forgetful(DemoAdapter):
    """It cannot look up what it wrote before."""

    looks_up = False


def test_where_nothing_can_be_looked_up_a_person_is_asked(hub: Hub) -> None:
    desk = account(hub, "desk")
    hub.registry.get("desk").adapter.__class__ = Forgetful
    queue(hub, "crm/tickets/1", subject="once")
    queue(hub, "crm/tickets/1", subject="later")
    desk.plan("push", KeyboardInterrupt("killed"), after=True)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        drain(hub)
    free_lanes(hub)
    drain(hub)
    assert states(hub) == ["unknown", "queued"]
    (made,) = desk.changes("tickets")
    with hub.database.write() as conn:
        (first, *_) = reversed(outbox.page(conn))
        assert outbox.adopt(conn, first["id"], made[1])
    free_lanes(hub)
    drain(hub)
    assert states(hub) == ["confirmed", "confirmed"]
    assert subjects(hub) == ["later"]


def test_a_stream_says_itself_whether_it_can_look_up(hub: Hub) -> None:
    desk = account(hub, "desk")
    streams = hub.registry.get("desk").streams
    streams["tickets"] = replace(streams["tickets"], looks_up=False)
    queue(hub, "crm/tickets/1", subject="once")
    desk.plan("push", UnknownOutcomeError("no answer"), after=True)
    drain(hub)
    assert states(hub) == ["unknown"]


def free_lanes(hub: Hub) -> None:
    """What a dead process held is given back, and no lane rests."""
    with hub.database.write() as conn:
        conn.execute(update(lease).values(owner="", until=EPOCH))


def test_a_copy_waits_for_the_copy_it_refers_to(hub: Hub) -> None:
    crm, erp = account(hub, "crm"), account(hub, "erp")
    crm.put("customers", {"id": "1", "kind": "person", "name": "王伟"})
    pull(hub, "crm", "customers")
    customer = {"connection": "crm", "stream": "customers", "id": "1"}
    erp.plan("push", RetryableError("busy"))
    queue(hub, "crm/customers/1", "customers", "erp", name="王伟")
    queue(hub, "crm/orders/7", "orders", "erp", reference="R7", customer=customer)
    drain(hub)
    assert [e.stream for e in erp.effects()] == []
    with hub.database.write() as conn:
        outbox.hasten(conn, "erp")
    drain(hub)
    with hub.database.write() as conn:
        outbox.hasten(conn, "erp")
    drain(hub)
    assert [e.stream for e in erp.effects()] == ["customers", "orders"]
    order, made = erp.effects()[1], erp.effects()[0]
    assert order.values is not None
    assert order.values["customer_id"] == made.id


class Searching(DemoAdapter):
    """It finds rows by what they say."""

    def find(self, stream: Stream, values: Raw) -> Sequence[Raw]:
        changes = self.account.changes(stream.name)
        rows = [row for _, _, row in changes if row is not None]
        return [r for r in rows if any(r.get(k) == v for k, v in values.items() if v)]


def test_a_record_that_is_there_already_is_adopted(hub: Hub) -> None:
    crm, erp = account(hub, "crm"), account(hub, "erp")
    hub.registry.get("erp").adapter.__class__ = Searching
    crm.put("customers", {"id": "1", "name": "王伟", "email": "wang@example.com"})
    erp.put("customers", {"id": "9", "name": "Wang", "email": "wang@example.com"})
    pull(hub, "crm", "customers")
    queue(hub, "crm/customers/1", "customers", "erp", name="王伟")
    drain(hub)
    assert [row["name"] for _, _, row in erp.changes("customers") if row] == ["王伟"]
    assert scalar(hub, "SELECT external_id FROM binding") == "9"


def test_several_that_look_alike_are_a_persons_choice(hub: Hub) -> None:
    crm, erp = account(hub, "crm"), account(hub, "erp")
    hub.registry.get("erp").adapter.__class__ = Searching
    crm.put("customers", {"id": "1", "name": "王伟", "email": "wang@example.com"})
    for id_ in ("8", "9"):
        erp.put("customers", {"id": id_, "name": "Wang", "email": "wang@example.com"})
    pull(hub, "crm", "customers")
    queue(hub, "crm/customers/1", "customers", "erp", name="王伟")
    drain(hub)
    (row,) = _all(hub)
    assert row["state"] == "dead"
    assert "hub deliveries adopt" in row["hint"]
    with hub.database.write() as conn:
        outbox.adopt(conn, row["id"], "8")
    drain(hub)
    assert erp.row("customers", "8")["name"] == "王伟"  # type: ignore[index]


def _all(hub: Hub) -> list[dict[str, Any]]:
    with hub.database.read() as conn:
        return outbox.page(conn)


def test_a_rejected_write_keeps_the_vendors_words_and_lets_later_ones_pass(hub: Hub) -> None:
    desk = account(hub, "desk")
    desk.plan("push", RejectedError("subject is too long", hint="at most 10 characters"))
    queue(hub, "crm/tickets/1", subject="a very long subject")
    queue(hub, "crm/tickets/1", subject="short")
    drain(hub)
    later, dead = _all(hub)
    assert (dead["state"], dead["error"], dead["hint"]) == (
        "dead",
        "subject is too long",
        "at most 10 characters",
    )
    assert later["state"] == "confirmed"


def test_refused_credentials_stop_all_writes_and_lose_none(hub: Hub) -> None:
    desk = account(hub, "desk")
    for n in range(20):
        queue(hub, f"crm/tickets/{n}", subject=f"{n}")
    desk.plan("push", AuthError("401"))
    drain(hub)
    tried = scalar(hub, "SELECT count(*) FROM attempt WHERE outcome = 'AuthError'")
    assert tried == 1
    drain(hub)
    assert scalar(hub, "SELECT count(*) FROM attempt WHERE outcome = 'AuthError'") == tried
    with hub.database.write() as conn:
        connections.readmit(conn, "desk")
    free_lanes(hub)
    drain(hub)
    assert sorted(subjects(hub), key=int) == [f"{n}" for n in range(20)]


def test_too_many_writes_behind_one_are_told(hub: Hub, clock: Callable[[timedelta], None]) -> None:
    desk = account(hub, "desk")
    for n in range(202):
        queue(hub, "crm/tickets/1", subject=f"{n}")
    desk.plan("push", RetryableError("busy"))
    drain(hub)
    with hub.database.read() as conn:
        (alarm,) = alerts.every(conn, "desk")
    assert (alarm["kind"], alarm["subject"]) == ("backlog", "crm/tickets/1")


def test_an_unknown_outcome_that_can_be_looked_up_is_tried_again(
    hub: Hub, clock: Callable[[timedelta], None]
) -> None:
    desk = account(hub, "desk")
    desk.plan("push", UnknownOutcomeError("no answer"), after=True)
    queue(hub, "crm/tickets/1", subject="once")
    drain(hub)
    assert states(hub) == ["retry"]
    clock(timedelta(seconds=10))
    drain(hub)
    assert states(hub) == ["confirmed"]
    assert len(desk.effects()) == 1


def test_refused_credentials_never_make_a_write_give_up(
    hub: Hub, clock: Callable[[timedelta], None]
) -> None:
    queue(hub, "crm/tickets/1", subject="once")
    for _ in range(10):
        account(hub, "desk").plan("push", AuthError("401"))
        drain(hub)
        with hub.database.write() as conn:
            connections.readmit(conn, "desk")
        clock(timedelta(hours=4))
    assert states(hub) == ["retry"]


def test_a_value_that_cannot_be_said_over_there_is_a_dead_letter_at_once(hub: Hub) -> None:
    queue(hub, "crm/tickets/1", status="unheard of")
    queue(hub, "crm/tickets/1", subject="later")
    drain(hub)
    assert states(hub) == ["dead", "confirmed"]


class Skipping(Account):
    """While it is written to, a person skips something; then it fails."""

    meanwhile: Callable[[], None]

    def write(self, stream: str, change: Change) -> dict[str, Any]:
        self.__class__ = Account  # type: ignore[assignment]
        self.meanwhile()
        raise RetryableError("busy")


def test_what_a_person_skips_while_it_is_written_stays_skipped(hub: Hub) -> None:
    for n in range(3):
        queue(hub, "crm/tickets/1", subject=f"{n}")
    ids = [row["id"] for row in reversed(_all(hub))]

    def skip() -> None:
        with hub.database.write() as conn:
            outbox.skip(conn, ids[:2])

    desk = account(hub, "desk")
    desk.meanwhile, desk.__class__ = skip, Skipping  # type: ignore[attr-defined]
    drain(hub)
    assert states(hub) == ["skipped", "skipped", "confirmed"]
    assert subjects(hub) == ["2"]
