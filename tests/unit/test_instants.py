"""Instants as vendors write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from hub import mapping
from hub.instants import as_version, instant, written, zone_of

AT = datetime(2026, 11, 21, 10, 50, 57, tzinfo=UTC)
SHANGHAI = zone_of("Asia/Shanghai")


@pytest.mark.parametrize(
    "value",
    [
        1795258257,
        1795258257000,
        "1795258257",
        "2026-11-21T10:50:57Z",
        "2026-11-21 18:50:57",
        "2026/11/21 18:50:57",
        "2026年11月21日 18时50分57秒",
        "20261121185057",
        "/Date(1795258257000)/",
        "Sat, 21 Nov 2026 10:50:57 GMT",
    ],
)
def test_one_instant_in_many_writings(value: Any) -> None:
    assert instant(value, SHANGHAI) == AT


@pytest.mark.parametrize("value", [0, "0001-01-01T00:00:00", "0000-00-00 00:00:00"])
def test_never(value: Any) -> None:
    assert instant(value) is None


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("iso", "2026-11-21T10:50:57Z"),
        ("local", "2026-11-21 18:50:57"),
        ("s", "1795258257"),
        ("ms", "1795258257000"),
        ("%Y-%m-%d", "2026-11-21"),
    ],
)
def test_as_a_vendor_wants_it(form: str, text: str) -> None:
    assert written(AT, form, SHANGHAI) == text
    assert instant(text, SHANGHAI) == (
        AT if form != "%Y-%m-%d" else AT.replace(hour=16, minute=0, second=0, day=20)
    )


ROWS = """
from: acme/rows
to: Product
key: id
version: at | utc Asia/Shanghai
fields: {name: id}
"""


@pytest.mark.parametrize(
    "value",
    ["2026-11-21T18:50:57.123", "2026-11-21 18:50:57", 1795258257000, 0, None, "", " "],
)
def test_a_survey_tells_the_version_a_mapping_reads(value: Any) -> None:
    rows = mapping.load(ROWS, name="rows.yaml")
    assert as_version(value, SHANGHAI) == rows.raw_version({"id": "1", "at": value})


def test_what_is_no_time_is_its_own_version() -> None:
    assert as_version("昨天", SHANGHAI) == "昨天"
