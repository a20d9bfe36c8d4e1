"""A summary of the customer and the way to the card, kept in a field of another system."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hub.registry import Hub
from hub.store import customers
from tests.story.helpers import account, demo, drain, pull, scalar

Open = Callable[..., Hub]

OVERLAY = """
push:
  extra.card_summary: card_summary
  extra.card_url: card_url
"""
FIELDS = {"extra": {"card_summary": "{customer.summary}", "card_url": "{customer.card_url}"}}
WRITE = {"write": "crm/customers", "fields": FIELDS, "keep": True}
RULES: list[dict[str, Any]] = [
    {
        "id": "card-in-crm",
        "when": "Person changed",
        "if": [{"field": "connection", "is": "crm"}],
        "then": WRITE,
    },
    {"id": "orders-in-crm", "when": "Order changed", "then": {**WRITE, "subject": "{party}"}},
]


@pytest.fixture
def hub(open_with: Open, own_settings: Path) -> Hub:
    overlay = own_settings.parent / "overlays" / "crm" / "customers.yaml"
    overlay.parent.mkdir(parents=True)
    overlay.write_text(OVERLAY, "utf-8")
    given = {"crm": demo(), "erp": demo()}
    hub = open_with(given, RULES, public_url="https://hub.example/", language="en")
    pull(hub, "crm")
    pull(hub, "erp")
    return hub


def writes(hub: Hub) -> int:
    return int(scalar(hub, "SELECT count(*) FROM delivery WHERE state = 'confirmed'"))


def settle(hub: Hub) -> None:
    """Until the vendors have nothing new and nothing is left to write."""
    for _ in range(6):
        for name in ("crm", "erp"):
            pull(hub, name)
        drain(hub)


def row(hub: Hub, id_: str = "1") -> dict[str, Any]:
    found = account(hub, "crm").row("customers", id_)
    assert found is not None
    return found


def test_the_field_follows_the_customer_and_its_echo_causes_nothing(hub: Hub) -> None:
    crm, erp = account(hub, "crm"), account(hub, "erp")
    crm.put("customers", {"id": "1", "name": "李娜", "phone": "13912345678", "tier": "VIP"})
    settle(hub)
    assert row(hub)["card_summary"] == "VIP · no open requests"
    with hub.database.read() as conn:
        (id_,) = customers.links(conn, ["crm/customers/1"]).values()
    assert row(hub)["card_url"] == f"https://hub.example/card?customer={id_}"
    assert writes(hub) == 1
    erp.put("customers", {"id": "7", "name": "李娜", "phone": "139 1234 5678"})
    for number, said in ((1, "orders: 1"), (2, "orders: 2")):
        erp.put("orders", {"id": f"o{number}", "number": f"SO-{number}", "customer_id": "7"})
        settle(hub)
        assert row(hub)["card_summary"] == f"VIP · no open requests · {said}"
        assert writes(hub) == 1 + number
    erp.remove("orders", "o2")  # and back to what it said once before
    pull(hub, "erp")
    erp.put("orders", {"id": "o1", "number": "SO-1b", "customer_id": "7"})
    settle(hub)
    assert row(hub)["card_summary"] == "VIP · no open requests · orders: 1"
    assert writes(hub) == 4


def test_a_vendor_that_rewrites_the_value_and_a_person_who_does_are_left_alone(hub: Hub) -> None:
    crm = account(hub, "crm")
    crm.put("customers", {"id": "1", "name": "李娜", "phone": "13912345678", "tier": "VIP"})
    settle(hub)
    assert writes(hub) == 1
    crm.put("customers", {**row(hub), "card_summary": "VIP · no o"})  # cut to ten letters
    settle(hub)
    assert writes(hub) == 1
    crm.put("customers", {**row(hub), "tier": "gold"})
    settle(hub)
    assert row(hub)["card_summary"] == "gold · no open requests"
    crm.put("customers", {**row(hub), "tier": "VIP"})
    settle(hub)
    assert row(hub)["card_summary"] == "VIP · no open requests"
    assert writes(hub) == 3


def test_a_customer_without_a_record_there_gets_none(hub: Hub) -> None:
    erp = account(hub, "erp")
    erp.put("customers", {"id": "9", "name": "王强", "phone": "13812345678"})
    erp.put("orders", {"id": "o9", "number": "SO-9", "customer_id": "9"})
    settle(hub)
    assert account(hub, "crm").effects() == []
    assert scalar(hub, "SELECT count(*) FROM delivery") == 0
