"""What people do from the card: written once, with whom it was for, whatever the systems do."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text

from hub.errors import RejectedError
from hub.pipeline import acts
from hub.pipeline.acts import Way, Words
from hub.profiles.document import Profile
from hub.registry import Hub
from hub.store import bulk, leases, outbox, watch
from hub.store.schema import delivery
from tests.story.helpers import account, customer, demo, drain, pull, scalar
from tests.story.test_trace import statements

Open = Callable[..., Hub]
PHONE = "+8613912345670"
RULES = [
    {
        "id": "urgent",
        "when": "Ticket created",
        "if": [{"field": "priority", "is": "urgent"}],
        "then": {"write": "crm/messages", "fields": {"text": "{subject}", "ticket": "{ref}"}},
    }
]


@pytest.fixture
def hub(open_with: Open) -> Hub:
    """A customer of the desk with one open ticket; the crm has never heard of them."""
    hub = open_with({"desk": demo(), "crm": demo()}, RULES)
    desk = account(hub, "desk")
    desk.put("customers", {"id": "C1", "name": "李娜", "phone": "13912345670"})
    desk.put("tickets", {"id": "T1", "subject": "异响", "status": "open", "customer_id": "C1"})
    pull(hub, "desk", "customers", "tickets")
    return hub


def who(hub: Hub) -> Profile:
    return customer(hub, "phone", PHONE)


def way(hub: Hub, verb: str, **chosen: str) -> Way:
    found = acts.ways(acts.outlets(hub.registry.all().values()), who(hub))
    best = acts.choose(found, verb, **chosen)
    assert best is not None
    return best


def carry_out(hub: Hub, verb: str, words: Words, key: str = "k", **chosen: str) -> int:
    p = who(hub)
    intent = acts.intent_of(way(hub, verb, **chosen), words, p, key=key, actor="mei")
    return acts.carry_out(hub.database, intent, p.id)


def made(hub: Hub) -> list[outbox.Made]:
    with hub.database.read() as conn:
        return outbox.made_by_hand(conn, who(hub).id)


def stamp(hub: Hub) -> str:
    id_ = who(hub).id
    with hub.database.read() as conn:
        return watch.stamps(conn, [id_])[id_]


def effects(hub: Hub, connection: str, stream: str) -> list[dict[str, Any]]:
    return [e.values or {} for e in account(hub, connection).effects() if e.stream == stream]


def test_a_request_pressed_many_times_is_one_ticket_and_shows_on_the_profile(hub: Hub) -> None:
    words, before = Words("下午能来吗？", "上门检修"), stamp(hub)
    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(lambda _: carry_out(hub, "request", words), range(8)))
    assert len(ids) == 1
    (queued,) = made(hub)
    seen = "SELECT s.party FROM seen s JOIN delivery d ON d.key = s.row WHERE s.place = 'delivery'"
    assert scalar(hub, seen) == "desk/customers/C1"  # so erasure finds what was written
    assert (queued.verb, queued.actor, queued.state) == ("request", "mei", "queued")
    assert scalar(hub, "SELECT count(*) FROM audit WHERE verb = 'request' AND actor = 'mei'") == 1
    between = stamp(hub)
    assert between != before
    drain(hub)
    (written,) = effects(hub, "desk", "tickets")
    assert (written["subject"], written["customer_id"]) == ("上门检修", "C1")
    (confirmed,) = made(hub)
    assert confirmed.state == "confirmed"
    assert stamp(hub) not in (before, between)
    assert confirmed.copy_ref in {fact.source.ref for fact in who(hub).open_requests}


def test_other_words_under_the_same_key_are_not_lost(hub: Hub) -> None:
    first = carry_out(hub, "request", Words("eins", "A"))
    assert carry_out(hub, "request", Words("zwei", "A")) != first


def test_a_desk_that_does_not_know_the_customer_is_told_who_asks(hub: Hub) -> None:
    carry_out(hub, "request", Words("报价", "新询价"), connection="crm")
    drain(hub)
    (written,) = effects(hub, "crm", "tickets")
    assert "customer_id" not in written
    assert "李娜" in written["description"]
    assert PHONE in written["description"]
    shown = {fact.source.connection for fact in who(hub).open_requests}
    assert shown == {"desk", "crm"}, "it belongs to the customer all the same"


def test_a_reply_goes_to_the_ticket_and_a_note_stays_inside(hub: Hub) -> None:
    carry_out(hub, "reply", Words("工程师已出发"), answers="desk/tickets/T1")
    carry_out(hub, "note", Words("客户很着急"))
    drain(hub)
    reply, note = effects(hub, "desk", "messages")
    assert (reply["ticket_id"], reply["direction"], reply["text"]) == ("T1", "out", "工程师已出发")
    assert (note["channel"], note["about_id"]) == ("note", "C1")
    kinds = [fact.fields.get("channel") for fact in who(hub).timeline if fact.kind == "Message"]
    assert "note" in kinds


def test_what_a_person_made_is_news_to_rules_and_what_a_rule_made_is_not(hub: Hub) -> None:
    carry_out(hub, "request", Words("停机", "停机"), key="a")
    urgent = Words("停机", "停机", acts.Priority.URGENT)
    carry_out(hub, "request", urgent, key="b")
    drain(hub)
    assert [written["text"] for written in effects(hub, "crm", "messages")] == ["停机"]


def test_a_refusal_is_told_with_its_hint_until_somebody_has_looked(hub: Hub) -> None:
    account(hub, "desk").plan("push", RejectedError("no", hint="The desk wants a category."))
    id_ = carry_out(hub, "request", Words("x", "x"))
    drain(hub)
    (failed,) = made(hub)
    assert (failed.state, failed.hint) == ("dead", "The desk wants a category.")
    with hub.database.write() as conn:
        outbox.replay(conn, [id_])
    drain(hub)
    (again,) = made(hub)
    assert (again.state, again.hint) == ("confirmed", "")


def test_a_ticket_made_by_hand_is_kept_alike_by_a_sync_too(open_with: Open) -> None:
    sync = {"id": "tickets", "streams": ["desk/tickets", "crm/tickets"], "create": ["crm/tickets"]}
    hub = open_with({"desk": demo(), "crm": demo()}, syncs=[{**sync, "fields": ["subject"]}])
    account(hub, "desk").put("customers", {"id": "C1", "name": "李娜", "phone": "13912345670"})
    pull(hub, "desk")
    pull(hub, "crm")
    carry_out(hub, "request", Words("x", "备件"), connection="desk")
    drain(hub)
    assert [written["subject"] for written in effects(hub, "crm", "tickets")] == ["备件"]
    assert len(effects(hub, "desk", "tickets")) == 1


@pytest.mark.fresh_database
def test_a_card_that_is_watched_does_not_read_what_syncs_wrote(hub: Hub) -> None:
    carry_out(hub, "request", Words("下午能来吗？"))
    row = {"connection": "crm", "stream": "customers", "order_key": "", "lane": "x", "cause": "{}"}
    row |= {"cause_ref": "desk/customers/C1", "fields": "{}", "state": "confirmed"}
    at = {"available_at": leases.now(), "created_at": leases.now()}
    rows = [{**row, **at, "key": f"k{n}", "subject": f"desk/customers/{n}"} for n in range(3000)]
    with hub.database.write() as conn:
        bulk.insert(conn, delivery, rows)
        conn.execute(text("ANALYZE"))
    with statements(hub) as sent:
        stamp(hub)
        made(hub)
    asked = [(told, values) for told, values in sent if "@people" in told]
    assert len(asked) == 2
    explain = "EXPLAIN QUERY PLAN" if hub.database.is_sqlite else "EXPLAIN"
    with hub.database.read() as conn:
        for told, values in asked:
            plan = str(conn.exec_driver_sql(f"{explain} {told}", values).all())
            assert "ix_delivery_by_hand" in plan


def test_a_card_is_told_what_changes_of_a_company(hub: Hub) -> None:
    desk = account(hub, "desk")
    company = {"id": "C9", "kind": "organization", "name": "山海设备有限公司"}
    desk.put("customers", company)
    desk.put("customers", {"id": "C1", "name": "李娜", "phone": "13912345670", "company_id": "C9"})
    pull(hub, "desk", "customers")
    before = stamp(hub)
    desk.put("customers", {**company, "tier": "gold"})
    pull(hub, "desk", "customers")
    assert stamp(hub) != before
