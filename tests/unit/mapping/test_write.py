from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from hub.errors import MappingError
from hub.mapping import load, to_vendor
from hub.models import ContactPoint, Money, OrderLine, Ref, TicketStatus
from tests.unit.mapping.specs import ORDERS, PARTIES, TICKETS, ticket_spec

PARTY = load(PARTIES, name="parties.yaml")
TICKET = load(TICKETS, name="tickets.yaml")
ORDER = load(ORDERS, name="orders.yaml")
LI = Ref(connection="crm", stream="contacts", id="7")


def find(ref: Ref, stream: str) -> str | None:
    return {(LI, "users"): "31", (LI, "products"): "32"}.get((ref, stream))


def write(mapping: Any, **fields: Any) -> dict[str, Any]:
    return to_vendor(mapping, fields, find=find)


def test_only_what_push_lists_is_written() -> None:
    assert write(TICKET, subject="x", priority="high", tags=["a"]) == {"subject": "x"}
    assert TICKET.writable == {
        "subject", "status", "requester", "product_sn", "description", "assignee",
    }  # fmt: skip


def test_nested_places_and_list_items() -> None:
    assert write(TICKET, description="help", product_sn="SN-9") == {
        "comment": {"body": "help"},
        "custom_fields": [{"id": 360001, "value": "SN-9"}],
    }


def test_two_items_of_one_list() -> None:
    mapping = ticket_spec(
        "description: d",
        more="push: {subject: 'f[id=1].v', description: 'f[id=2].v', assignee: 'f[id=1].by'}\n",
    )
    assert write(mapping, subject="s", description="d", assignee="a") == {
        "f": [{"id": 1, "v": "s", "by": "a"}, {"id": 2, "v": "d"}]
    }


def test_values_are_translated_back() -> None:
    assert write(TICKET, status=TicketStatus.WAITING) == {"status": "pending"}
    assert write(TICKET, status="open") == {"status": "open"}
    with pytest.raises(MappingError) as caught:
        write(TICKET, status="closed")
    assert caught.value.path == "status"


def test_a_reference_becomes_the_counterparts_id() -> None:
    assert write(TICKET, requester=LI) == {"requester_id": 31}
    assert write(TICKET, requester=LI.model_dump()) == {"requester_id": 31}


def test_a_reference_without_counterpart_is_left_out() -> None:
    unknown = Ref(connection="crm", stream="contacts", id="8")
    assert write(TICKET, requester=unknown) == {}
    assert write(TICKET, requester=None) == {}


def test_none_is_left_out_unless_a_default_says_what_to_write() -> None:
    assert write(TICKET, subject=None, assignee=None) == {"assignee": None}
    assert write(TICKET, subject="", assignee="li") == {"subject": "", "assignee": "li"}


def test_one_of_a_list_is_chosen() -> None:
    points = (ContactPoint(type="phone", value="139"), ContactPoint(type="email", value="a@b.c"))
    assert write(PARTY, name="李", contact_points=points) == {"name": "李", "email": "a@b.c"}
    assert write(PARTY, contact_points=points[:1]) == {}


def test_a_list_of_objects() -> None:
    price = Money(amount_minor=10350, currency="CNY")
    line = OrderLine(product=LI, quantity=Decimal("2.0"), unit_price=price)
    assert write(ORDER, lines=(line, OrderLine()), total=price, number="A-1") == {
        "reference": "A-1",
        "lines": [{"product": 32, "quantity": 2, "unit_price": "103.50"}, {"quantity": 1}],
        "total_amount": "103.50",
        "currency": "CNY",
    }


def test_a_wrong_value_in_a_list_says_where() -> None:
    with pytest.raises(MappingError) as caught:
        write(ORDER, lines=[{}, {"quantity": "many"}])
    assert caught.value.path == "lines[1].quantity"
    with pytest.raises(MappingError) as caught:
        write(ORDER, lines=["x"])
    assert caught.value.path == "lines[0]"


def test_words_that_are_not_to_be_written() -> None:
    mapping = ticket_spec(
        "description: d", more="push: {status: {path: s, values: {new: null, open: o}}}\n"
    )
    assert write(mapping, status="new") == {}
    assert write(mapping, status="open") == {"s": "o"}


def test_times_and_lists_as_a_vendor_wants_them() -> None:
    mapping = ticket_spec(
        "description: d",
        more="push:\n"
        "  opened_at: at | epoch_ms\n"
        "  due_at: due | local Asia/Shanghai\n"
        "  solved_at: solved | epoch\n"
        '  tags: labels | join ";"\n'
        "  assignee: team | list\n"
        '  subject: title | prefix "[CRM] "\n',
    )
    at = "2026-11-21T10:50:57Z"
    assert write(
        mapping, opened_at=at, due_at=at, solved_at=at, tags=["a", "b"], assignee="x", subject="y"
    ) == {
        "at": 1795258257000,
        "due": "2026-11-21 18:50:57",
        "solved": 1795258257,
        "labels": "a;b",
        "team": ["x"],
        "title": "[CRM] y",
    }
