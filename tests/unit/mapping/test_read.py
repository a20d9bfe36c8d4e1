from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from hub.errors import MappingError
from hub.mapping import load, to_canonical
from hub.models import (
    Address,
    ContactPoint,
    Level,
    Message,
    Money,
    Order,
    Organization,
    Person,
    Record,
    Ref,
    Telemetry,
    Ticket,
)
from tests.unit.mapping.specs import MAILS, ORDERS, PARTIES, TICKETS, ticket_spec

PARTY = load(PARTIES, name="parties.yaml")
TICKET = load(TICKETS, name="tickets.yaml")
ORDER = load(ORDERS, name="orders.yaml")
MAIL = load(MAILS, name="mails.yaml")


def read(mapping: Any, raw: Any) -> Any:
    return to_canonical(mapping, raw, connection="c")[0]


def fault(mapping: Any, raw: Any) -> MappingError:
    with pytest.raises(MappingError) as caught:
        to_canonical(mapping, raw, connection="c")
    return caught.value


def test_a_ticket() -> None:
    raw = {
        "id": 35,
        "updated_at": "2026-11-21T10:00:00Z",
        "subject": "屏幕不亮",
        "status": "pending",
        "requester_id": 20978392,
        "created_at": "2026-11-20T09:00:00Z",
        "custom_fields": [{"id": 1, "value": "x"}, {"id": 360001, "value": " SN-9 "}],
        "tags": ["a", "b"],
        "via": {"channel": "web"},
        "brand_id": None,
    }
    assert to_canonical(TICKET, raw, connection="desk") == [
        Ticket(
            ref=Ref(connection="desk", stream="tickets", id="35"),
            version="2026-11-21T10:00:00Z",
            subject="屏幕不亮",
            status="waiting",
            requester=Ref(connection="desk", stream="users", id="20978392"),
            opened_at=datetime(2026, 11, 20, 9, tzinfo=UTC),
            product_sn="SN-9",
            tags=("a", "b"),
            extra={"via": {"channel": "web"}, "brand_id": None},
        )
    ]


def test_an_order_with_lines() -> None:
    raw = {
        "id": 7,
        "sale_date": {"__class__": "date", "year": 2026, "month": 11, "day": 21},
        "state": "done",
        "total_amount": {"__class__": "Decimal", "decimal": "412.00"},
        "currency": {"code": "CNY"},
        "lines": [
            {"product": {"id": 4, "rec_name": "净化器"}, "quantity": 2, "unit_price": "103"},
            {"product": None, "quantity": None, "unit_price": None},
            {"quantity": 0.5},
        ],
    }
    order = read(ORDER, raw)
    assert order == Order(
        ref=Ref(connection="c", stream="sales", id="7"),
        ordered_on=date(2026, 11, 21),
        status="done",
        total=Money(amount_minor=41200, currency="CNY"),
        lines=[
            {
                "product": Ref(connection="c", stream="products", id="4"),
                "description": "净化器",
                "quantity": Decimal(2),
                "unit_price": Money(amount_minor=10300, currency="CNY"),
            },
            {"quantity": Decimal("0.5")},
        ],
    )


def test_contact_points_are_concatenated_and_empty_ones_dropped() -> None:
    raw = {
        "id": 1,
        "name": "刘洋",
        "phone": " 13800000000 ",
        "address": "  ",
        "contact_mechanisms": [
            {"type": "skype", "value": "live:x"},
            {"type": "mobile", "value": "139"},
            {"type": "email", "value": ""},
            {"type": "email", "value": "a@b.c"},
        ],
        "addresses": [{"street": None, "city": ""}, {"street": "南京路 1 号", "city": "上海"}],
    }
    person = read(PARTY, raw)
    assert person.contact_points == (
        ContactPoint(type="phone", value="13800000000", level=Level.RECORDED),
        ContactPoint(type="phone", value="139", label="mobile"),
        ContactPoint(type="email", value="a@b.c", label="email"),
    )
    assert person.addresses == (Address(street="南京路 1 号", city="上海"),)


def test_the_kind_may_depend_on_the_row() -> None:
    assert isinstance(read(PARTY, {"id": 1, "name": "刘洋"}), Person)
    assert isinstance(read(PARTY, {"id": 1, "name": "刘洋（上海）有限公司"}), Organization)
    assert isinstance(read(PARTY, {"id": 1}), Person)
    kindless = load(PARTIES.replace(", default: Person", ""), name="p")
    assert fault(kindless, {"id": 1}).path == "name"


def test_what_only_another_kind_reads_stays_in_extra() -> None:
    raw = {"id": 1, "name": "A Ltd", "company": 3}
    assert read(PARTY, raw).extra == {"company": 3}
    assert read(PARTY, raw | {"name": "B"}).extra == {}


def test_further_records_are_cut_from_the_row() -> None:
    raw = {
        "id": "m1",
        "uid": 7,
        "other_uid": 9,
        "date": "Sat, 21 Nov 2026 18:50:57 +0800",
        "from": {"name": "Li", "address": "Li@Example.com"},
        "to": ["Desk@Example.com", ""],
        "subject": "hi",
    }
    message, sender, receiver = to_canonical(MAIL, raw, connection="mail")
    assert isinstance(message, Message)
    assert message.sender == sender.ref
    assert message.to == (
        ContactPoint(type="email", value="desk@example.com", level=Level.CLAIMED),
    )
    assert (sender.version, sender.occurred_at) == (message.version, message.occurred_at)
    assert sender.ref == Ref(connection="mail", stream="addresses", id="li@example.com")
    assert receiver.ref.id == "desk@example.com"
    assert receiver.version == "9".zfill(20)
    assert message.extra == sender.extra == receiver.extra == {}


def test_an_also_without_key_makes_no_record() -> None:
    assert len(to_canonical(MAIL, {"id": 1}, connection="c")) == 1


def test_a_fault_in_an_also_says_which_item() -> None:
    raw = {"id": 1, "to": ["a@b.c", ["x"]]}
    assert fault(MAIL, raw).path == "to[1]"


@pytest.mark.parametrize(
    "key", [None, "", "  ", {}, [], True, 1e400, pytest.param(10**5000, id="huge")]
)
def test_a_row_without_key_is_refused(key: Any) -> None:
    with pytest.raises(MappingError) as caught:
        TICKET.external_id({"id": key})
    assert caught.value.path == "id"


def test_the_key_is_text() -> None:
    assert TICKET.external_id({"id": 35}) == "35"
    assert TICKET.external_id({"id": 35.0}) == "35"
    assert TICKET.external_id({"id": " a/b "}) == "a/b"
    assert read(ticket_spec(""), {"id": " a/b "}).ref.id == "a/b"


@pytest.mark.parametrize("raw", [None, 3, "x", [], [{"id": 1}]])
def test_a_row_that_is_no_object_is_refused(raw: Any) -> None:
    assert fault(TICKET, raw).path == "$"


@pytest.mark.parametrize(
    ("raw", "version"),
    [
        (None, ""),
        ("", ""),
        ("2026-11-21T10:00:00Z", "2026-11-21T10:00:00Z"),
        (42, "00000000000000000042"),
        (1700000000.25, "00000000001700000000.25"),
    ],
)
def test_versions_sort_as_text(raw: Any, version: str) -> None:
    assert TICKET.raw_version({"updated_at": raw}) == version


def test_an_instant_as_version_has_a_fixed_width() -> None:
    assert PARTY.raw_version({"write_date": 1700000000}) == "2023-11-14T22:13:20.000000Z"
    created = {"write_date": None, "create_date": "2026-11-21T10:00:00+08:00"}
    assert PARTY.raw_version(created) == "2026-11-21T02:00:00.000000Z"
    assert ORDER.raw_version({"id": 1}) == ""


def test_a_version_that_is_no_single_value_is_refused() -> None:
    with pytest.raises(MappingError) as caught:
        TICKET.raw_version({"updated_at": ["x"]})
    assert caught.value.path == "updated_at"


def test_empty_values_leave_the_models_default() -> None:
    ticket = read(TICKET, {"id": 1, "subject": "x", "status": "", "tags": [], "description": None})
    assert (ticket.status, ticket.priority, ticket.tags) == ("new", "normal", ())
    assert ticket.description == ""
    assert not ticket.model_fields_set & {"status", "tags", "description"}


@pytest.mark.parametrize("subject", [{}, {"subject": None}, {"subject": ""}])
def test_what_the_model_needs_must_be_there(subject: dict[str, Any]) -> None:
    found = fault(TICKET, {"id": 1} | subject)
    assert found.path == "subject"
    assert str(found) == "subject: Ticket.subject: Field required"
    assert "default" in found.hint


def test_an_unlisted_value_is_an_error_naming_the_path() -> None:
    found = fault(TICKET, {"id": 1, "subject": "x", "status": "deleted-by-李雷"})
    assert found.path == "status"
    assert "李雷" not in str(found) + found.hint


def test_default_and_otherwise() -> None:
    lenient = ticket_spec("status: {path: s, values: {a: open}, default: closed}")
    assert read(lenient, {"id": 1, "s": "zz"}).status == "closed"
    assert read(lenient, {"id": 1}).status == "closed"
    exact = ticket_spec("status: {path: s, values: {a: open}, default: closed, otherwise: solved}")
    assert read(exact, {"id": 1, "s": "zz"}).status == "solved"
    assert read(exact, {"id": 1, "s": ""}).status == "closed"
    dropped = ticket_spec("status: {path: s, values: {a: open}, otherwise: null}")
    assert read(dropped, {"id": 1, "s": "zz"}).status == "new"
    plain = ticket_spec("assignee: {path: a, default: nobody}")
    assert read(plain, {"id": 1, "a": " "}).assignee == "nobody"


def test_numbers_and_booleans_are_looked_up_as_text() -> None:
    mapping = ticket_spec('status: {path: s, values: {"4": closed, "true": open}}')
    assert read(mapping, {"id": 1, "s": 4}).status == "closed"
    assert read(mapping, {"id": 1, "s": "4"}).status == "closed"
    assert read(mapping, {"id": 1, "s": True}).status == "open"
    assert fault(mapping, {"id": 1, "s": [4]}).path == "s"


def test_lists_of_words() -> None:
    mapping = ticket_spec(
        "tags:\n- category\n- {each: labels, path: name | lower}\n- words | split ;\n- {value: x}"
    )
    raw = {"id": 1, "category": "a", "labels": [{"name": "B"}, {"name": None}], "words": "c;d;"}
    assert read(mapping, raw).tags == ("a", "b", "c", "d", "x")
    assert read(mapping, {"id": 1}).tags == ("x",)


def test_one_object() -> None:
    text = (
        "from: v/w\nto: WorkOrder\nkey: id\nfields:\n  subject: s\n  address: {fields: {city: c}}\n"
    )
    assert read(load(text, name="w"), {"id": 1, "s": "x", "c": "上海"}).address.city == "上海"
    assert read(load(text, name="w"), {"id": 1, "s": "x"}).address is None
    nested = load(text.replace("{fields", "{path: at, fields"), name="w")
    assert read(nested, {"id": 1, "s": "x", "at": {"c": "上海"}}).address.city == "上海"
    assert read(nested, {"id": 1, "s": "x", "at": "odd"}).address is None


def test_free_names() -> None:
    text = """
from: v/t
to: Telemetry
key: id
fields:
  values:
    fields:
      temperature: t | decimal
      "on": {path: s, values: {"1": true}}
"""
    found = read(load(text, name="t"), {"id": 1, "t": "20.5", "s": 1})
    assert isinstance(found, Telemetry)
    assert found.values == {"temperature": Decimal("20.5"), "on": True}


def test_a_wrong_value_names_transform_and_path() -> None:
    raw = {"id": 1, "lines": [{}, {"unit_price": "secret"}], "currency": {"code": "CNY"}}
    found = fault(ORDER, raw)
    assert found.path == "lines[1].unit_price"
    assert str(found) == (
        'lines[1].unit_price: "money" wants a number and a currency code, this text does not fit'
    )


def test_a_value_the_model_refuses_names_the_vendors_path() -> None:
    mapping = load(ORDERS.replace("quantity | decimal", "amount.value"), name="o")
    found = fault(mapping, {"id": 1, "lines": [{"amount": {"value": "secret"}}]})
    assert found.path == "lines[].amount.value"
    assert "secret" not in str(found) + found.hint
    assert found.__cause__ is None
    assert found.__context__ is None
    assert fault(TICKET, {"id": 1, "subject": 7}).hint == 'Add "| text" in the mapping'
    assert fault(TICKET, {"id": 1, "subject": "x", "tags": "a"}).path == "tags"


def test_a_bad_instant_of_the_row_is_named() -> None:
    mapping = ticket_spec("", more="occurred_at: when\n")
    assert fault(mapping, {"id": 1, "when": "2026-11-21T10:00:00"}).path == "when"


def test_each_wants_a_list() -> None:
    assert fault(ORDER, {"id": 1, "lines": {"a": 1}}).path == "lines"


def test_records_are_what_they_say() -> None:
    assert all(
        isinstance(record, Record) for record in to_canonical(MAIL, {"id": 1}, connection="c")
    )
