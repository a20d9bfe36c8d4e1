"""The CRM of the benchmarks: always the same, and as large as it says."""

from __future__ import annotations

import json

import pytest

from bench import contacts
from hub.models.normalise import identifier_value, is_blocked

SIZE = 5000


@pytest.fixture(scope="module")
def rows() -> list[dict[str, object]]:
    return [contacts.contact(n) for n in range(SIZE)]


def test_a_row_is_the_same_every_time(rows: list[dict[str, object]]) -> None:
    assert [contacts.contact(n) for n in range(SIZE)] == rows
    assert json.loads(json.dumps(rows)) == rows


def test_every_phone_and_address_can_be_used(rows: list[dict[str, object]]) -> None:
    for type_ in ("phone", "email"):
        for row in rows:
            value = identifier_value(type_, str(row[type_]))
            assert value is not None
            assert not is_blocked(type_, value)


def test_as_many_people_as_told_and_twins_agree_on_their_name(
    rows: list[dict[str, object]],
) -> None:
    names: dict[str | None, set[object]] = {}
    for row in rows:
        names.setdefault(identifier_value("phone", str(row["phone"])), set()).add(row["name"])
    assert len(names) == contacts.customers(SIZE)
    assert {len(known) for known in names.values()} == {1}


def test_an_edition_changes_one_row_in_a_hundred(rows: list[dict[str, object]]) -> None:
    changed = [n for n in range(SIZE) if contacts.contact(n, edition=1) != rows[n]]
    assert changed == list(range(contacts.CHANGED, SIZE, contacts.CHANGED_EVERY))
    assert all(
        str(contacts.contact(n, 1)["updated_at"]) > str(rows[n]["updated_at"]) for n in changed
    )
