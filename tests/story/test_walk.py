"""The main walk: what a vendor holds becomes profiles, and rules write to others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hub import pipeline
from hub.errors import AuthError, RetryableError
from hub.pipeline import due
from hub.registry import Hub
from hub.sdk import Item
from tests.story.helpers import account, customer, demo, drain, pull, receive, scalar

Open = Callable[..., Hub]


def test_pull_builds_profiles_and_a_second_pull_changes_nothing(open_with: Open) -> None:
    hub = open_with({"crm": demo(sample=40, page_size=7)})
    pull(hub, "crm")
    assert scalar(hub, "SELECT count(*) FROM profile") == 40
    before = scalar(hub, "SELECT max(built_at) FROM profile")
    profile = customer(hub, "phone", "+8613812340001")
    assert profile.name is not None
    assert profile.name.value == "李娜01"
    assert [fact.summary for fact in profile.orders] == ["WEB-00001"]
    assert {fact.kind for fact in profile.timeline} == {"Order", "Ticket", "Message"}
    pull(hub, "crm")
    assert scalar(hub, "SELECT max(built_at) FROM profile") == before
    assert scalar(hub, "SELECT count(*) FROM history") == 0


def test_facts_that_arrive_before_their_customer_find_it(open_with: Open) -> None:
    hub = open_with({"crm": demo(sample=3)})
    for stream in ("messages", "tickets", "orders", "customers"):
        pull(hub, "crm", stream)
    profile = customer(hub, "email", "customer0001@example.com")
    assert {fact.kind for fact in profile.timeline} == {"Order", "Ticket", "Message"}
    assert scalar(hub, "SELECT count(*) FROM record WHERE party IS NULL") == 0


def test_two_systems_become_one_customer(open_with: Open) -> None:
    hub = open_with({"erp": demo(), "desk": demo()}, source_priority=["erp"])
    erp, desk = account(hub, "erp"), account(hub, "desk")
    erp.put("customers", {"id": "1", "name": "李娜", "phone": "13912345678"})
    desk.put("customers", {"id": "7", "name": "Li Na", "phone": "+86 139-1234-5678"})
    desk.put("customers", {"id": "8", "name": "王强", "phone": "+86 139-1234-5678"})
    pull(hub, "erp", "customers")
    pull(hub, "desk", "customers")
    assert scalar(hub, "SELECT count(*) FROM profile") == 2
    with hub.database.read() as conn:
        from hub.store import customers

        ids = customers.links(conn, ["erp/customers/1", "desk/customers/7", "desk/customers/8"])
    assert ids["erp/customers/1"] == ids["desk/customers/7"] != ids["desk/customers/8"]


def event(stream: str, n: int, **record: object) -> Item:
    body = {"event_id": f"e{n}", "stream": stream, "record": record}
    return Item(json.dumps(body).encode(), f"e{n}", f"{stream}/{record.get('id')}")


def test_a_webhook_changes_the_profile_and_its_repeat_does_not(open_with: Open) -> None:
    hub = open_with({"crm": demo(sample=2)})
    pull(hub, "crm")
    item = event("orders", 1, id="O9", version="000000000099", number="SO9", customer_id="C0001")
    receive(hub, "crm", item)
    receive(hub, "crm", item)
    assert scalar(hub, "SELECT count(*) FROM inbox") == 1
    drain(hub)
    assert scalar(hub, "SELECT state FROM inbox") == "done"
    orders = customer(hub, "phone", "+8613812340001").orders
    assert [fact.summary for fact in orders] == ["WEB-00001", "SO9"]


def test_a_bad_event_goes_to_quarantine_and_its_neighbours_go_on(open_with: Open) -> None:
    hub = open_with({"crm": demo(sample=2)})
    pull(hub, "crm")
    receive(
        hub,
        "crm",
        Item(b"not json", "bad1"),
        event("tickets", 2, id="T9", version="9", customer_id="C0001"),  # no subject
        event("orders", 3, id="O9", version="9", number="SO9", customer_id="C0001"),
    )
    drain(hub)
    assert scalar(hub, "SELECT state FROM inbox WHERE event_id = 'bad1'") == "quarantined"
    assert scalar(hub, "SELECT path FROM quarantine") == "subject"
    assert scalar(hub, "SELECT count(*) FROM record WHERE ref = 'crm/orders/O9'") == 1


RULES = [
    {
        "id": "order-to-ticket",
        "when": "Order created",
        "if": [{"field": "connection", "is": "shop"}],
        "then": {
            "write": "desk/tickets",
            "fields": {"subject": "Order {number}", "requester": "{party}"},
        },
    }
]


def test_a_rule_writes_once_and_the_copy_belongs_to_the_customer(open_with: Open) -> None:
    hub = open_with({"shop": demo(), "desk": demo()}, RULES)
    account(hub, "shop").put("customers", {"id": "1", "name": "李娜", "phone": "13912345678"})
    account(hub, "desk").put("customers", {"id": "7", "name": "李娜", "phone": "13912345678"})
    pull(hub, "desk")
    pull(hub, "shop")
    order = event("orders", 1, id="O1", version="5", number="SO1", customer_id="1")
    receive(hub, "shop", order)
    drain(hub)
    (effect,) = account(hub, "desk").effects()
    assert effect.values is not None
    assert effect.values["subject"] == "Order SO1"
    assert effect.values["customer_id"] == "7"
    pull(hub, "desk")
    tickets = customer(hub, "phone", "+8613912345678").open_requests
    assert [fact.summary for fact in tickets] == ["Order SO1"]
    receive(hub, "shop", event("orders", 2, id="O1", version="6", number="SO1b", customer_id="1"))
    drain(hub)
    assert len(account(hub, "desk").effects()) == 1


def test_a_vendor_that_is_down_gets_its_write_once_when_it_is_back(open_with: Open) -> None:
    hub = open_with({"shop": demo(), "desk": demo()}, RULES)
    account(hub, "desk").plan("push", RetryableError("down", retry_after_s=0.0))
    receive(hub, "shop", event("orders", 1, id="O1", version="5", number="SO1"))
    drain(hub)
    assert scalar(hub, "SELECT state FROM delivery") == "retry"
    with hub.database.write() as conn:
        conn.exec_driver_sql("UPDATE delivery SET available_at = 0")
    drain(hub)
    assert scalar(hub, "SELECT state FROM delivery") == "confirmed"
    assert scalar(hub, "SELECT count(*) FROM attempt") == 2
    assert len(account(hub, "desk").effects()) == 1


def test_refused_credentials_stop_the_connection_and_a_check_resumes_it(open_with: Open) -> None:
    hub = open_with({"crm": demo(sample=2)})
    account(hub, "crm").plan("pull", AuthError("refused"))
    with pytest.raises(AuthError):
        pull(hub, "crm", "customers")
    assert scalar(hub, "SELECT state FROM connection") == "auth_failed"

    assert due.pulls(hub) == []


def test_a_changed_mapping_reaches_what_is_stored_and_rules_stay_silent(
    open_with: Open, own_settings: Path
) -> None:
    connections = {"shop": demo(sample=3), "desk": demo()}
    hub = open_with(connections, RULES)
    pull(hub, "shop")
    overlay = own_settings.parent / "overlays" / "shop" / "customers.yaml"
    overlay.parent.mkdir(parents=True)
    overlay.write_text("fields:\n  owner: {value: Key Accounts}\n")
    again = open_with(connections, RULES)
    assert pipeline.remap(again, "shop", "customers") == 3
    assert pipeline.remap(again, "shop", "customers") == 0
    profile = customer(again, "phone", "+8613812340001")
    assert profile.owner is not None
    assert profile.owner.value == "Key Accounts"
    assert [fact.summary for fact in profile.orders] == ["WEB-00001"]
    assert scalar(again, "SELECT count(*) FROM delivery") == 0


def test_quarantined_rows_are_taken_in_once_their_mapping_is_mended(
    open_with: Open, own_settings: Path
) -> None:
    connections = {"crm": demo()}
    hub = open_with(connections)
    account(hub, "crm").put("tickets", {"id": "1", "title": "坏了"})
    pull(hub, "crm", "tickets")
    assert scalar(hub, "SELECT count(*) FROM quarantine WHERE state = 'held'") == 1
    assert pipeline.replay_quarantine(hub, "crm") == (0, 1)
    overlay = own_settings.parent / "overlays" / "crm" / "tickets.yaml"
    overlay.parent.mkdir(parents=True)
    overlay.write_text("fields:\n  subject: title\n")
    assert pipeline.replay_quarantine(open_with(connections), "crm") == (1, 0)
    assert scalar(hub, "SELECT kind FROM record") == "Ticket"


def test_facts_committed_beside_each_other_still_find_their_party(open_with: Open) -> None:
    """What two transactions that cannot see each other leave behind, the sweep settles."""
    hub = open_with({"crm": demo(sample=2)})
    pull(hub, "crm")
    with hub.database.write() as conn:
        conn.exec_driver_sql("UPDATE record SET party = NULL WHERE ref = 'crm/orders/O0001'")
    due.sweep(hub)
    assert scalar(hub, "SELECT party FROM record WHERE ref = 'crm/orders/O0001'") is not None


def test_two_records_of_one_customer_may_both_change_the_same_copy(open_with: Open) -> None:
    rules = [
        {
            "id": "shop-to-erp",
            "when": "Person changed",
            "if": [{"field": "connection", "is": "shop"}],
            "then": {"write": "erp/customers", "fields": {"name": "{name}"}},
        }
    ]
    hub = open_with({"shop": demo(), "erp": demo()}, rules)
    account(hub, "erp").put("customers", {"id": "1", "name": "李娜", "phone": "13912345670"})
    pull(hub, "erp")
    for n in (1, 2):
        row = {"id": f"S{n}", "version": "1", "name": "李娜", "phone": "13912345670"}
        receive(hub, "shop", event("customers", n, **row))
    drain(hub)
    assert scalar(hub, "SELECT count(*) FROM delivery WHERE state = 'confirmed'") == 2
    drain(hub)
    assert [effect.id for effect in account(hub, "erp").effects()] == ["1", "1"]


def test_a_ticket_closed_twice_is_told_twice(open_with: Open) -> None:
    rules = [
        {
            "id": "mirror",
            "when": "Ticket changed",
            "if": [{"field": "connection", "is": "desk"}],
            "then": {"write": "crm/tickets", "fields": {"subject": "x", "status": "{status}"}},
        }
    ]
    hub = open_with({"desk": demo(), "crm": demo()}, rules)
    statuses = ["open", "closed", "open", "closed"]
    for n, status in enumerate(statuses):
        row = {"id": "T1", "version": str(n), "subject": "坏了", "status": status}
        receive(hub, "desk", event("tickets", n, **row))
        drain(hub)
    told = [effect.values["status"] for effect in account(hub, "crm").effects() if effect.values]
    assert told == statuses


@pytest.mark.parametrize("odd", ["\\u0000", "\\ud800"])
def test_a_value_no_database_can_hold_stops_nobody(open_with: Open, odd: str) -> None:
    hub = open_with({"crm": demo()})
    body = f'{{"stream": "customers", "record": {{"id": "1", "version": "1", "name": "{odd}"}}}}'
    receive(hub, "crm", Item(body.encode(), f"bad{odd}\x00", "key\ud800"))
    receive(hub, "crm", event("customers", 2, id="2", version="1", name="李娜"))
    drain(hub)
    assert scalar(hub, "SELECT count(*) FROM quarantine WHERE state = 'held'") == 1
    assert scalar(hub, "SELECT count(*) FROM profile") == 1
    assert scalar(hub, "SELECT count(*) FROM inbox WHERE state IN ('received', 'retry')") == 0


def test_refused_credentials_are_tried_once_not_once_per_write(open_with: Open) -> None:
    hub = open_with({"shop": demo(), "desk": demo()}, RULES)
    for n in range(5):
        account(hub, "desk").plan("push", AuthError("refused"))
        order = event("orders", n, id=f"O{n}", version="1", number=f"SO{n}")
        receive(hub, "shop", order)
    drain(hub)
    assert scalar(hub, "SELECT state FROM connection WHERE name = 'desk'") == "auth_failed"
    assert scalar(hub, "SELECT count(*) FROM attempt") <= 5
    assert scalar(hub, "SELECT count(*) FROM delivery WHERE state = 'dead'") == 0
