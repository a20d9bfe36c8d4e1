"""Drafts load, whatever the fields are called, and guess the ordinary ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.mapping import load, to_canonical
from hub.mapping.draft import draft


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=8, unique=True))
def test_every_draft_loads(names: list[str]) -> None:
    load(draft("acme/things", dict.fromkeys(names, "")), name="draft")


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ("id full_name phone_number email company updated_at", "Person"),
        ("编号 公司名称 统一社会信用代码 联系电话 更新时间", "Organization"),
        ("ticketId subject status priority requester_id created_at body", "Ticket"),
        ("orderNo totalAmount orderDate customerId", "Order"),
        ("cInvCode cInvName unit price", "Product"),
        ("id serialNumber customer", "Asset"),
    ],
)
def test_the_kind_is_guessed(fields: str, kind: str) -> None:
    assert load(draft("acme/things", dict.fromkeys(fields.split(), "")), name="d").kinds == (kind,)


def test_a_row_goes_through_a_draft() -> None:
    row = {
        "rowid": 7,
        "客户名称": "李娜 🎉",
        "联系 电话": "138",
        "备注": None,
        "utime": "2026-11-21",
    }
    spec = load(draft("acme/people", row), name="draft")
    [record] = to_canonical(spec, row, connection="acme")
    assert (record.kind, record.name, record.ref.id) == ("Person", "李娜 🎉", "7")
    assert spec.raw_version(row) == "2026-11-21"
    assert "备注" in draft("acme/people", row)


def test_what_is_known_is_not_guessed() -> None:
    text = draft("acme/a", {"id": 1, "gid": 2, "seq": 3}, key="gid", version="seq")
    assert "key: gid\nversion: seq\n" in text
