"""Values as JSON has them, and ids that can be taken apart again."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.sdk import id_of, parts_of, plain


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (2**62, 2**62),
        (2**64, "18446744073709551616"),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (Decimal("12345678901234567.10"), "12345678901234567.10"),
        (Decimal("1E+3"), "1000"),
        (datetime.fromisoformat("2026-11-21T10:00:00.000005"), "2026-11-21T10:00:00.000005"),
        (datetime(2026, 11, 21, tzinfo=UTC), "2026-11-21T00:00:00+00:00"),
        (date(2026, 11, 21), "2026-11-21"),
        (time(8, 30), "08:30:00"),
        (timedelta(hours=26), "1 day, 2:00:00"),
        (b"\x00\xff", "00ff"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({1: [Decimal("0.1"), {"深": b"a"}]}, {"1": ["0.1", {"深": "61"}]}),
        ("🌟", "🌟"),
    ],
)
def test_a_value_as_json_has_it(value: Any, expected: Any) -> None:
    assert plain(value) == expected
    assert orjson.loads(orjson.dumps(plain(value))) == expected


def test_one_value_is_its_own_id() -> None:
    assert id_of(["a|b"]) == "a|b"
    assert id_of([Decimal("7.00")]) == id_of([7.0]) == id_of([7]) == "7"
    assert id_of(["A01   "]) == "A01"  # as CHAR columns are padded


def test_a_missing_part_makes_no_id() -> None:
    assert id_of([None]) == id_of([1, None]) == ""


def test_an_id_of_other_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="parts"):
        parts_of("a|b|c", 2)


@given(st.lists(st.text(alphabet="ab|\\中"), min_size=2, max_size=4))
def test_an_id_is_taken_apart_as_it_was_joined(parts: list[str]) -> None:
    assert parts_of(id_of(parts), len(parts)) == parts
