"""Two systems that may both be edited, kept alike."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select

from adapters.demo.account import Account
from hub.errors import RejectedError, RetryableError, UnknownOutcomeError
from hub.pipeline import absorb, align, due, jobs, react, replay
from hub.pipeline.deliver import deliver
from hub.pipeline.lane import leased
from hub.registry import Hub, open_hub
from hub.sdk import Change
from hub.store import alerts, breaker, connections, customers, kept, leases, outbox
from hub.store import jobs as store_jobs
from hub.store.schema import delivery
from tests.story.helpers import account, customer, demo, drain, pull, scalar
from tests.story.test_deliver import Forgetful, Searching, free_lanes

SYNC: dict[str, Any] = {
    "id": "customers",
    "streams": ["crm/customers", "erp/customers"],
    "create": ["crm/customers", "erp/customers"],
    "fields": ["name", "tier", "owner", "contact_points[type=phone].value"],
}
TICKETS = {
    "id": "matters",
    "streams": ["crm/tickets", "erp/tickets"],
    "create": ["crm/tickets", "erp/tickets"],
}


@pytest.fixture
def hub(open_with: Callable[..., Hub]) -> Hub:
    return open_with({"crm": demo(), "erp": demo()}, syncs=[SYNC])


def sides(hub: Hub) -> tuple[Account, Account]:
    return account(hub, "crm"), account(hub, "erp")


def work(hub: Hub) -> None:
    """Pull everything, then run jobs and lanes until nothing is left to do."""
    for name in hub.registry.all():
        pull(hub, name, "customers", "tickets")
    for _ in range(50):
        ids = due.jobs(hub)
        for id_ in ids:
            with leased(hub, jobs.lease_name(id_)) as lane:
                assert lane is not None
                with suppress(RetryableError):  # it is due again later
                    jobs.run(hub, lane, id_)
        if not drain(hub) and not ids:
            return
    raise AssertionError("it does not come to rest")


def rows(vendor: Account, stream: str = "customers") -> list[dict[str, Any]]:
    return [row for _, _, row in vendor.changes(stream) if row is not None]


def writes(vendor: Account) -> int:
    return len(vendor.effects())


WANG = {"id": "1", "kind": "person", "name": "王伟", "phone": "+86 138 1234 0001", "tier": "gold"}


def test_a_missing_copy_is_made_once_in_each_direction(hub: Hub) -> None:
    crm, erp = sides(hub)
    crm.put("customers", WANG)
    erp.put("customers", {"id": "9", "kind": "person", "name": "李娜", "phone": "+8613812340002"})
    work(hub)
    work(hub)
    assert sorted(row["name"] for row in rows(crm)) == ["李娜", "王伟"]
    assert sorted(row["name"] for row in rows(erp)) == ["李娜", "王伟"]
    assert writes(crm) == writes(erp) == 1
    assert scalar(hub, "SELECT count(*) FROM link") == 4
    assert scalar(hub, "SELECT count(DISTINCT customer_id) FROM link") == 2


def test_an_edit_on_either_side_reaches_the_other(hub: Hub) -> None:
    crm, erp = sides(hub)
    crm.put("customers", WANG)
    work(hub)
    (copy,) = rows(erp)
    erp.put("customers", {"id": copy["id"], "tier": "VIP"})
    work(hub)
    assert rows(crm)[0]["tier"] == "VIP"
    crm.put("customers", {"id": "1", "owner": "客服二号"})
    work(hub)
    assert rows(erp)[0]["owner"] == "客服二号"
    before = writes(crm), writes(erp)
    work(hub)
    assert (writes(crm), writes(erp)) == before


def test_only_what_differs_is_written(hub: Hub) -> None:
    crm, erp = sides(hub)
    crm.put("customers", WANG)
    work(hub)
    crm.put("customers", {"id": "1", "owner": "客服二号"})
    work(hub)
    assert set(erp.effects()[-1].values or {}) - {"marker"} == {"owner"}


def test_records_of_one_customer_are_brought_in_line_and_none_is_made(hub: Hub) -> None:
    crm, erp = sides(hub)
    crm.put("customers", WANG)
    erp.put("customers", {"id": "9", "kind": "person", "name": "王伟", "phone": "13812340001"})
    work(hub)
    assert len(rows(crm)) == len(rows(erp)) == 1
    assert rows(erp)[0]["tier"] == "gold"


def test_namesakes_with_numbered_mailboxes_keep_their_own(
    open_with: Callable[..., Hub],
) -> None:
    fields = ["name", "contact_points[type=email].value"]
    hub = open_with({"crm": demo(), "erp": demo()}, syncs=[{**SYNC, "fields": fields}])
    crm, erp = sides(hub)
    for n in (1, 2):
        row = {"id": f"{n}", "kind": "person", "name": "王伟", "email": f"wei{n}@acme.cn"}
        crm.put("customers", row)
    work(hub)
    for vendor in (crm, erp):
        assert {row["email"] for row in rows(vendor)} == {"wei1@acme.cn", "wei2@acme.cn"}


def test_what_a_system_owns_is_never_written_there(
    open_with: Callable[..., Hub], own_settings: Any
) -> None:
    overlay = own_settings.parent / "overlays" / "erp" / "customers.yaml"
    overlay.parent.mkdir(parents=True)
    overlay.write_text("fields:\n  tier: {path: tier, owner: self}\n")
    hub = open_with({"crm": demo(), "erp": demo()}, syncs=[SYNC])
    crm, erp = sides(hub)
    crm.put("customers", WANG)
    erp.put("customers", {**WANG, "id": "9", "tier": "silver"})
    work(hub)
    assert rows(crm)[0]["tier"] == "silver"
    crm.put("customers", {"id": "1", "tier": "mine"})
    work(hub)
    assert rows(crm)[0]["tier"] == "silver"
    assert rows(erp)[0]["tier"] == "silver"
    assert writes(erp) == 0


class Lowering(Account):
    """A vendor that rewrites what it saves."""

    def write(self, stream: str, change: Change) -> dict[str, Any]:
        values = {k: v.lower() if isinstance(v, str) else v for k, v in change.values.items()}
        changed = Change(change.id, values, change.key, change.marker, change.version)
        return super().write(stream, changed)


def test_what_a_vendor_makes_of_a_value_is_no_news(hub: Hub) -> None:
    crm, erp = sides(hub)
    erp.__class__ = Lowering
    crm.put("customers", {**WANG, "tier": "GOLD", "name": "Tom Smith"})
    work(hub)
    work(hub)
    assert rows(crm)[0]["tier"] == "GOLD"
    assert rows(erp)[0]["tier"] == "gold"
    assert writes(crm) == 0
    crm.put("customers", {"id": "1", "tier": "VIP"})
    work(hub)
    work(hub)
    assert (rows(crm)[0]["tier"], rows(erp)[0]["tier"]) == ("VIP", "vip")
    erp.put("customers", {"id": rows(erp)[0]["id"], "tier": "new"})
    work(hub)
    assert rows(crm)[0]["tier"] == "new"


def test_an_edit_that_was_made_meanwhile_is_not_overwritten_unseen(hub: Hub) -> None:
    crm, erp = sides(hub)
    crm.put("customers", WANG)
    work(hub)
    crm.put("customers", {"id": "1", "tier": "from crm"})
    erp.put("customers", {"id": rows(erp)[0]["id"], "owner": "from erp"})
    pull(hub, "crm", "customers")  # the hub has not seen the other edit when it writes
    drain(hub)
    work(hub)
    for row in (*rows(crm), *rows(erp)):
        assert (row["tier"], row["owner"]) == ("from crm", "from erp")


def test_a_deleted_copy_is_not_made_again(hub: Hub) -> None:
    crm, erp = sides(hub)
    crm.put("customers", WANG)
    work(hub)
    erp.remove("customers", rows(erp)[0]["id"])
    work(hub)
    crm.put("customers", {"id": "1", "tier": "VIP"})
    work(hub)
    assert rows(erp) == []
    assert len(rows(crm)) == 1


def states(hub: Hub) -> list[str]:
    with hub.database.read() as conn:
        return [row["state"] for row in outbox.page(conn) if row["state"] != "confirmed"]


def test_one_customer_whose_copy_is_made_twice_at_once_gets_one(
    open_with: Callable[..., Hub], clock: Callable[[timedelta], None]
) -> None:
    three = {**SYNC, "streams": [*SYNC["streams"], "shop/customers"], "create": ["erp/customers"]}
    hub = open_with({"crm": demo(), "erp": demo(), "shop": demo()}, syncs=[three])
    crm, erp, shop = account(hub, "crm"), account(hub, "erp"), account(hub, "shop")
    work(hub)
    crm.put("customers", WANG)
    shop.put("customers", {**WANG, "id": "7", "phone": "+86 138 1234 0002"})
    erp.plan("push", UnknownOutcomeError("the answer was lost"))
    erp.plan("push", RetryableError("busy", maybe_done=False))
    for name in ("crm", "shop"):
        pull(hub, name, "customers")
    drain(hub)
    shop.put("customers", {"id": "7", "phone": WANG["phone"]})  # it is the same person
    pull(hub, "shop", "customers")
    with hub.database.read() as conn:
        found = {
            row["under_way"]: row for row in map(dict, conn.execute(select(delivery)).mappings())
        }
    clock(timedelta(seconds=10))
    with leased(hub, found[None]["lane"]) as lane:
        assert lane is not None
        deliver(hub, lane)  # the other one is not through yet
    assert rows(erp) == []
    clock(timedelta(minutes=5))
    work(hub)
    assert len(rows(erp)) == 1
    assert states(hub) == []


def test_a_copy_made_behind_a_failing_gateway_is_not_copied_back(
    hub: Hub, clock: Callable[[timedelta], None]
) -> None:
    crm, erp = sides(hub)
    work(hub)
    erp.plan("push", RetryableError("answered 502"), after=True)
    crm.put("customers", {**WANG, "phone": ""})  # nothing says that the two are one
    pull(hub, "crm", "customers")
    drain(hub)
    assert len(rows(erp)) == 1  # made, and nobody told us
    pull(hub, "erp", "customers")
    work(hub)
    clock(timedelta(minutes=1))
    work(hub)
    assert (len(rows(crm)), len(rows(erp))) == (1, 1)
    assert states(hub) == []
    erp.put("customers", {"id": rows(erp)[0]["id"], "tier": "VIP"})
    work(hub)
    assert rows(crm)[0]["tier"] == "VIP"


def test_a_write_to_what_was_deleted_unseen_ends_by_itself(hub: Hub) -> None:
    crm, erp = sides(hub)
    crm.put("customers", WANG)
    work(hub)
    erp.remove("customers", rows(erp)[0]["id"])
    crm.put("customers", {"id": "1", "tier": "VIP"})
    pull(hub, "crm", "customers")  # the hub does not know of the deletion yet
    drain(hub)
    assert states(hub) == []
    assert scalar(hub, "SELECT count(*) FROM record WHERE deleted_at IS NOT NULL") == 1
    assert rows(erp) == []


def test_a_refused_write_ends_when_its_record_turns_out_to_be_deleted(hub: Hub) -> None:
    crm, erp = sides(hub)
    crm.put("customers", WANG)
    work(hub)
    erp.plan("push", RejectedError("the record is locked"))
    crm.put("customers", {"id": "1", "tier": "VIP"})
    work(hub)
    assert states(hub) == ["dead"]
    erp.remove("customers", rows(erp)[0]["id"])
    work(hub)
    assert states(hub) == ["skipped"]


def test_merging_two_customers_brings_their_records_in_line(hub: Hub) -> None:
    crm, erp = sides(hub)
    crm.put("customers", WANG)
    erp.put("customers", {"id": "9", "kind": "person", "name": "王伟", "owner": "客服一号"})
    work(hub)
    assert len(rows(crm)) == len(rows(erp)) == 2
    crm_copy = next(row for row in rows(crm) if row["id"] != "1")
    crm.put("customers", {"id": crm_copy["id"], "phone": WANG["phone"]})
    work(hub)
    work(hub)
    told = {(row["name"], row["phone"], row["tier"], row["owner"]) for row in rows(crm) + rows(erp)}
    assert told == {("王伟", WANG["phone"], "gold", "客服一号")}
    assert len(customer(hub, "phone", "+8613812340001").members) == 4


def test_a_copy_seen_before_its_makers_answer_is_not_copied_back(hub: Hub) -> None:
    crm, erp = sides(hub)
    work(hub)
    crm.put("customers", {"id": "1", "kind": "person", "name": "没有电话的人"})
    erp.plan("push", UnknownOutcomeError("the answer was lost"), after=True)
    work(hub)
    work(hub)  # it was made, and pulled, before anybody could say that it is ours
    assert len(rows(crm)) == 1
    with hub.database.write() as conn:
        outbox.hasten(conn, "erp")
    work(hub)
    assert len(rows(crm)) == len(rows(erp)) == 1
    assert scalar(hub, "SELECT count(DISTINCT customer_id) FROM link") == 1


def test_an_edit_made_while_the_answer_was_lost_is_no_rewriting(hub: Hub) -> None:
    crm, erp = sides(hub)
    work(hub)
    crm.put("customers", WANG)
    erp.plan("push", UnknownOutcomeError("the answer was lost"), after=True)
    work(hub)
    erp.put("customers", {"id": rows(erp)[0]["id"], "tier": "VIP"})
    with hub.database.write() as conn:
        outbox.hasten(conn, "erp")
    work(hub)
    assert rows(crm)[0]["tier"] == rows(erp)[0]["tier"] == "VIP"


def test_what_a_stranger_claims_reaches_no_customer(hub: Hub) -> None:
    crm, erp = sides(hub)
    crm.put("customers", {**WANG, "email": "wang@example.com"})
    erp.put("customers", {"id": "9", "name": "Mallory", "claimed_email": "wang@example.com"})
    work(hub)
    erp.put("customers", {"id": "9", "tier": "admin"})
    work(hub)
    assert (rows(crm)[0]["name"], rows(crm)[0]["tier"]) == ("王伟", "gold")
    assert erp.row("customers", "9")["name"] == "Mallory"  # type: ignore[index]


class Rounding(Account):
    """A vendor whose answers nobody foresees: each write comes out different."""

    def write(self, stream: str, change: Change) -> dict[str, Any]:
        row = super().write(stream, change)
        self.put(stream, {"id": row["id"], "tier": f"{row.get('tier')}!"})
        return row


def test_systems_that_answer_each_other_are_stopped(hub: Hub) -> None:
    crm, erp = sides(hub)
    crm.put("customers", WANG)
    other = {"id": "2", "kind": "person", "name": "李娜", "phone": "+8613812340002"}
    crm.put("customers", other)
    work(hub)
    crm.__class__ = erp.__class__ = Rounding
    crm.put("customers", {"id": "1", "tier": "x"})
    for _ in range(40):
        work(hub)
    with hub.database.read() as conn:
        (alarm,) = alerts.every(conn)
    assert alarm["kind"] == "loop"
    assert writes(crm) <= 12
    crm.__class__ = erp.__class__ = Account
    crm.put("customers", {"id": "2", "tier": "silver"})
    work(hub)
    assert {row["tier"] for row in rows(erp) if row["name"] == "李娜"} == {"silver"}


def test_a_copy_that_comes_later_is_named_by_what_named_its_original(
    open_with: Callable[..., Hub],
) -> None:
    people = {**SYNC, "create": []}
    streams = ["erp/tickets", "crm/tickets"]
    matters = {"id": "matters", "streams": streams, "create": ["crm/tickets"]}
    hub = open_with({"crm": demo(), "erp": demo()}, syncs=[people, matters])
    crm, erp = sides(hub)
    erp.put("customers", WANG)
    erp.put("tickets", {"id": "T1", "subject": "loud", "customer_id": "1"})
    work(hub)
    assert rows(crm, "tickets")[0].get("customer_id") is None
    crm.put("customers", {**WANG, "id": "9"})
    work(hub)
    assert rows(crm, "tickets")[0]["customer_id"] == "9"


@pytest.fixture
def both(open_with: Callable[..., Hub]) -> Hub:
    return open_with({"crm": demo(), "erp": demo()}, syncs=[SYNC, TICKETS])


def later(hub: Hub, *names: str) -> None:
    with hub.database.write() as conn:
        for name in names or ("crm", "erp"):
            outbox.hasten(conn, name)
    free_lanes(hub)


def deliveries(hub: Hub) -> list[dict[str, Any]]:
    with hub.database.read() as conn:
        return [outbox.get(conn, r["id"]) or {} for r in reversed(outbox.page(conn, limit=500))]


def test_a_creation_that_fails_for_long_holds_back_nobody_else(
    hub: Hub, clock: Callable[[timedelta], None]
) -> None:
    crm, erp = sides(hub)
    work(hub)
    crm.put("customers", {"id": "1", "kind": "person", "name": "poison"})
    for _ in range(100):
        erp.plan("push", UnknownOutcomeError("500"))
    for _ in range(6):
        work(hub)
        clock(timedelta(hours=1))
    erp.put("customers", {"id": "9", "kind": "person", "name": "李娜"})
    work(hub)
    clock(timedelta(seconds=1))
    work(hub)
    assert "李娜" in [row["name"] for row in rows(crm)]


def test_nor_when_it_was_given_up(hub: Hub, clock: Callable[[timedelta], None]) -> None:
    crm, erp = sides(hub)
    work(hub)
    crm.put("customers", {"id": "1", "kind": "person", "name": "poison"})
    for _ in range(100):
        erp.plan("push", UnknownOutcomeError("500"))
    for _ in range(40):
        work(hub)
        clock(timedelta(hours=4))
    assert [d["state"] for d in deliveries(hub)] == ["dead"]
    erp.forgive("push")
    erp.put("customers", {"id": "9", "kind": "person", "name": "李娜"})
    work(hub)
    assert "李娜" in [row["name"] for row in rows(crm)]


def test_the_copy_a_person_names_is_adopted_by_a_sync(hub: Hub) -> None:
    crm, erp = sides(hub)
    hub.registry.get("erp").adapter.__class__ = Searching
    work(hub)
    for id_ in ("8", "9"):
        erp.put("customers", {"id": id_, "name": "Wang", "email": "w@example.com", "owner": id_})
    crm.put("customers", {"id": "1", "name": "王伟", "email": "w@example.com", "tier": "gold"})
    pull(hub, "crm", "customers")
    drain(hub)
    (dead,) = deliveries(hub)
    assert dead["state"] == "dead"
    with hub.database.write() as conn:
        assert outbox.adopt(conn, dead["id"], "8")
    drain(hub)
    told = {row["id"]: (row["name"], row.get("tier"), row["owner"]) for row in rows(erp)}
    assert told == {"8": ("王伟", "gold", "8"), "9": ("Wang", None, "9")}
    drain(hub)
    assert rows(crm)[0]["owner"] == "8"


def test_what_is_another_records_copy_cannot_be_adopted(hub: Hub) -> None:
    crm, erp = sides(hub)
    crm.put("customers", WANG)
    work(hub)
    (copy,) = rows(erp)
    erp.plan("push", RejectedError("no"))
    crm.put("customers", {"id": "2", "kind": "person", "name": "李娜"})
    work(hub)
    dead = deliveries(hub)[-1]
    with hub.database.write() as conn:
        assert not outbox.adopt(conn, dead["id"], copy["id"])
    drain(hub)
    assert len(rows(erp)) == 1
    assert deliveries(hub)[-1]["state"] == "dead"


class Editing(Account):
    """Somebody edits a row while it is being written, and the hub hears of it; then it fails."""

    meanwhile: Callable[[], None]

    def write(self, stream: str, change: Change) -> dict[str, Any]:
        self.__class__ = Account  # type: ignore[assignment]
        self.meanwhile()
        raise RejectedError("no")


def test_what_was_edited_while_a_write_failed_is_not_forgotten(hub: Hub) -> None:
    crm, erp = sides(hub)
    crm.put("customers", WANG)
    work(hub)
    id_ = rows(erp)[0]["id"]

    def edit() -> None:
        erp.put("customers", {"id": id_, "owner": "from erp"})
        pull(hub, "erp", "customers")

    erp.meanwhile, erp.__class__ = edit, Editing  # type: ignore[attr-defined]
    crm.put("customers", {"id": "1", "tier": "VIP"})
    pull(hub, "crm", "customers")
    drain(hub)
    later(hub)
    drain(hub)
    assert rows(crm)[0]["owner"] == "from erp"


def test_what_was_deleted_before_its_copy_was_made_does_not_come_back(hub: Hub) -> None:
    crm, erp = sides(hub)
    work(hub)
    erp.plan("push", RetryableError("busy"))
    crm.put("customers", WANG)
    work(hub)
    crm.remove("customers", "1")
    work(hub)
    later(hub)
    work(hub)
    assert rows(crm) == []
    assert rows(erp) == []


def test_a_stream_that_joins_later_is_kept_alike_with_the_original(
    open_with: Callable[..., Hub],
) -> None:
    given = {"zen": demo(), "crm": demo(), "erp": demo()}
    streams = ["zen/tickets", "crm/tickets", "erp/tickets"]
    hub = open_with(given, syncs=[{"id": "matters", "streams": streams[:2], "create": streams[:2]}])
    zen = account(hub, "zen")
    zen.put("tickets", {"id": "1", "subject": "one"})
    work(hub)
    hub = open_with(given, syncs=[{"id": "matters", "streams": streams, "create": streams}])
    work(hub)
    (row,) = rows(account(hub, "erp"), "tickets")
    assert row["subject"] == "one"
    zen.put("tickets", {"id": "1", "subject": "two"})
    work(hub)
    assert [r["subject"] for r in rows(account(hub, "erp"), "tickets")] == ["two"]
    account(hub, "erp").put("tickets", {"id": row["id"], "subject": "three"})
    work(hub)
    for name in given:
        assert [r["subject"] for r in rows(account(hub, name), "tickets")] == ["three"]


def test_what_may_be_ours_is_told_by_parts_of_lists_too(hub: Hub) -> None:
    crm, erp = sides(hub)
    hub.registry.get("erp").adapter.__class__ = Forgetful
    work(hub)
    crm.put("customers", {"id": "1", "kind": "person", "name": "王伟", "phone": "13800138000"})
    erp.plan("push", UnknownOutcomeError("the answer was lost"), after=True)
    work(hub)
    work(hub)
    assert len(rows(crm)) == 1


def test_a_reaction_that_was_put_off_happens_once(open_with: Callable[..., Hub]) -> None:
    """The process may end between the reaction and the end of its job."""
    then = {"write": "desk/tickets", "fields": {"subject": "{name}"}}
    rule = {"id": "told", "when": "Person changed", "then": then}
    hub = open_with({"crm": demo(), "desk": demo()}, [rule])
    pull(hub, "crm", "customers")
    account(hub, "crm").put("customers", {"id": "0", "kind": "person", "name": "x"})
    pull(hub, "crm", "customers")
    before = scalar(hub, "SELECT count(*) FROM delivery")
    with hub.database.write() as conn:
        align.defer(conn, ["crm/customers/0"], quiet=False)
        (id_,) = store_jobs.due(conn)
        leases.ensure(conn, [jobs.lease_name(id_)])
        job = store_jobs.get(conn, id_)
    with leased(hub, jobs.lease_name(id_)) as lane:
        assert job is not None
        assert lane is not None
        react.step(hub, lane, job)
    with hub.database.read() as conn:
        assert store_jobs.due(conn) == []
    assert scalar(hub, "SELECT count(*) FROM delivery") == before + 1


def test_of_two_reactions_for_one_customer_one_sees_the_other(
    open_with: Callable[..., Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    then = {"write": "crm/customers", "fields": {"tier": "VIP"}, "keep": True}
    hub = open_with({"crm": demo()}, [{"id": "told", "when": "Person changed", "then": then}])
    account(hub, "crm").put("customers", {"id": "0", "kind": "person", "name": "x"})
    pull(hub, "crm", "customers")
    took: list[object] = []
    monkeypatch.setattr(customers, "lock", lambda _, ids: took.extend(ids))
    monkeypatch.setattr(kept, "aim", lambda _, __: took.append("aimed") or [])
    with hub.database.write() as conn:
        absorb.react(conn, hub, ["crm/customers/0"], quiet=False)
        (id_,) = customers.customers_of(conn, ["crm/customers/0"])
    assert took == [id_, "aimed"]


def test_what_a_stranger_claims_adopts_nobodys_record(hub: Hub) -> None:
    crm, erp = sides(hub)
    hub.registry.get("erp").adapter.__class__ = Searching
    work(hub)
    erp.put("customers", {"id": "9", "kind": "person", "name": "王伟", "email": "w@example.com"})
    claim = {"kind": "person", "name": "Mallory", "claimed_email": "w@example.com"}
    crm.put("customers", {"id": "1", **claim})
    pull(hub, "crm", "customers")
    drain(hub)
    assert erp.row("customers", "9")["name"] == "王伟"  # type: ignore[index]


def test_a_field_that_is_kept_alike_again_begins_anew(
    open_with: Callable[..., Hub],
) -> None:
    given = {"crm": demo(), "erp": demo()}
    full = open_with(given, syncs=[SYNC])
    crm, erp = sides(full)
    crm.put("customers", WANG)
    work(full)
    less = open_with(given, syncs=[{**SYNC, "fields": ["name"]}])
    work(less)
    for vendor in (crm, erp):
        vendor.put("customers", {"id": rows(vendor)[0]["id"], "tier": "new"})
    work(less)
    again = open_with(given, syncs=[SYNC])
    work(again)
    crm.put("customers", {"id": "1", "name": "王小伟"})
    work(again)
    assert {row["tier"] for row in (*rows(crm), *rows(erp))} == {"new"}


def test_a_plan_that_comes_back_walks_again(open_with: Callable[..., Hub]) -> None:
    given = {"crm": demo(), "erp": demo()}
    full = open_with(given, syncs=[SYNC])
    crm, erp = sides(full)
    crm.put("customers", WANG)
    work(full)
    less = open_with(given, syncs=[{**SYNC, "fields": ["name"]}])
    work(less)
    crm.put("customers", {"id": "1", "tier": "new"})
    work(less)
    work(open_with(given, syncs=[SYNC]))
    assert rows(erp)[0]["tier"] == "new"


class Unreadable(Account):
    def write(self, stream: str, change: Change) -> dict[str, Any]:
        row = super().write(stream, change)
        return {**row, "opened_at": "never"}


def test_an_unreadable_answer_is_no_reason_to_write_again(both: Hub) -> None:
    crm, erp = sides(both)
    work(both)
    erp.__class__ = Unreadable
    crm.put("tickets", {"id": "1", "subject": "broken"})
    work(both)
    assert [d["state"] for d in deliveries(both)] == ["confirmed"]
    assert scalar(both, "SELECT count(*) FROM binding") == 1


def test_an_unreadable_answer_does_not_turn_the_old_value_into_news(both: Hub) -> None:
    crm, erp = sides(both)
    work(both)
    crm.put("tickets", {"id": "1", "subject": "old"})
    work(both)
    erp.__class__ = Unreadable
    crm.put("tickets", {"id": "1", "subject": "new"})
    work(both)
    crm.put("tickets", {"id": "1", "priority": "high"})
    work(both)
    assert rows(crm, "tickets")[0]["subject"] == "new"


def test_a_reference_that_had_no_copy_is_written_when_it_has_one(both: Hub) -> None:
    crm, erp = sides(both)
    work(both)
    erp.plan("push", RejectedError("no"))
    crm.put("customers", {"id": "1", "kind": "person", "name": "王伟"})
    work(both)
    crm.put("tickets", {"id": "7", "subject": "s", "customer_id": "1"})
    work(both)
    assert not rows(erp, "tickets")[0].get("customer_id")
    with both.database.write() as conn:
        outbox.replay(conn, [deliveries(both)[0]["id"]])
    work(both)
    crm.put("tickets", {"id": "7", "subject": "t"})
    work(both)
    (made,) = rows(erp)
    assert rows(erp, "tickets")[0]["customer_id"] == made["id"]


def test_a_record_that_refers_to_itself_waits_for_nobody(
    open_with: Callable[..., Hub], own_settings: Path
) -> None:
    overlay(own_settings, "erp", "push:\n  organization: company_id | deref customers\n")
    sync = {**SYNC, "fields": ["name", "organization"]}
    hub = open_with({"crm": demo(), "erp": demo()}, syncs=[sync])
    crm, erp = sides(hub)
    work(hub)
    crm.put("customers", {"id": "1", "kind": "person", "name": "王伟", "company_id": "1"})
    work(hub)
    work(hub)
    (copy,) = rows(erp)
    assert copy["company_id"] == copy["id"]


def test_records_read_by_another_mapping_are_kept_alike_as_they_are_read_now(
    open_with: Callable[..., Hub], own_settings: Path
) -> None:
    hub = open_with({"crm": demo(), "erp": demo()}, syncs=[SYNC])
    crm, erp = sides(hub)
    crm.put("customers", {**WANG, "rank": "A"})
    work(hub)
    overlay(own_settings, "crm", "fields:\n  tier: rank\npush:\n  tier: rank\n")
    later_hub = open_hub(hub.settings)
    replay.remap(later_hub, "crm", "customers")
    work(later_hub)
    later_hub.close()
    assert rows(erp)[0]["tier"] == "A"


def overlay(settings: Path, connection: str, text: str) -> None:
    path = settings.parent / "overlays" / connection / "customers.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_what_needs_no_vendor_goes_on_while_a_connection_is_paused(hub: Hub) -> None:
    with hub.database.write() as conn:
        connections.set_state(conn, "erp", "paused")
        for kind in ("align", "react", "remap", "reconcile", "resync"):
            store_jobs.add(conn, kind, "erp", "customers")
        found = [store_jobs.get(conn, id_) for id_ in store_jobs.due(conn)]
    assert [job.kind for job in found if job] == ["align", "react", "remap"]


def test_an_edit_of_a_customer_looks_at_nothing_that_names_it(both: Hub) -> None:
    crm, _ = sides(both)
    crm.put("customers", WANG)
    for n in range(3):
        crm.put("tickets", {"id": f"{n}", "subject": "s", "customer_id": "1"})
    work(both)
    crm.put("customers", {"id": "1", "tier": "VIP"})
    told: list[str] = []
    event.listen(
        both.database.engine, "before_cursor_execute", lambda *a: told.append(f"{a[2]} {a[3]}")
    )
    pull(both, "crm", "customers")
    assert [one for one in told if "agreement" in one and "crm/tickets/" in one] == []
    assert [one for one in told if "agreement" in one] != []


def test_lanes_that_count_at_once_lose_no_call(hub: Hub) -> None:
    def count(_: int) -> None:
        hub.database.run(lambda conn: breaker.note(conn, "erp", failed=True))

    count(0)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(60)))
    assert scalar(hub, "SELECT calls FROM breaker") == 61


def test_a_reaction_is_put_off_again_when_a_creation_begins_meanwhile(hub: Hub) -> None:
    crm, erp = sides(hub)
    work(hub)
    erp.put("customers", {"id": "9", "kind": "person", "name": "李娜"})
    pull(hub, "erp", "customers")
    mark(hub, "'sending', under_way = 'create'")
    crm.put("customers", WANG)
    pull(hub, "crm", "customers")
    mark(hub, "'queued', under_way = NULL")

    def begin(conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FROM mirror" in statement:  # after the look whether anything is under way
            conn.connection.cursor().execute(MARK.format("'sending', under_way = 'create'"))

    event.listen(hub.database.engine, "before_cursor_execute", begin)
    for id_ in due.jobs(hub):
        with leased(hub, jobs.lease_name(id_)) as lane:
            assert lane is not None
            jobs.run(hub, lane, id_)
        mark(hub, "'queued', under_way = NULL")
    event.remove(hub.database.engine, "before_cursor_execute", begin)
    work(hub)
    assert sorted(row["name"] for row in rows(erp)) == ["李娜", "王伟"]


MARK = "UPDATE delivery SET state = {}"


def mark(hub: Hub, how: str) -> None:
    with hub.database.write() as conn:
        conn.exec_driver_sql(MARK.format(how))
