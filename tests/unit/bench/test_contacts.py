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


@pytest.mark.parametrize("edition", [0, 1, 3])
def test_the_order_of_change_holds_every_row_once_and_goes_on_from_any_of_them(
    edition: int,
) -> None:
    order = list(contacts.changed_since("", 500, edition))
    stamps = [contacts.contact(n, edition)["updated_at"] for n in order]
    assert sorted(order) == list(range(500))
    assert stamps == sorted(set(stamps))
    for at in (0, 6, 7, 250, 493, 494, 495, 498, 499):
        assert list(contacts.changed_since(stamps[at], 500, edition)) == order[at + 1 :]


def test_after_an_edition_only_what_it_changed_is_left() -> None:
    *_, last = contacts.changed_since("", 500)
    since = contacts.contact(last)["updated_at"]
    assert list(contacts.changed_since(since, 500, 1)) == [7, 107, 207, 307, 407]


def test_an_edition_changes_one_row_in_a_hundred(rows: list[dict[str, object]]) -> None:
    changed = [n for n in range(SIZE) if contacts.contact(n, edition=1) != rows[n]]
    assert changed == list(range(contacts.CHANGED, SIZE, contacts.CHANGED_EVERY))
    assert all(
        str(contacts.contact(n, 1)["updated_at"]) > str(rows[n]["updated_at"]) for n in changed
    )
