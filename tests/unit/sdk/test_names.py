"""Names in two parts."""

from __future__ import annotations

import pytest

from hub.mapping.transforms import full_name
from hub.sdk import parted


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Mary Ann Smith", ("Mary Ann", "Smith")),
        ("Smith", ("", "Smith")),
        (" 王小明 ", ("", "王小明")),
        ("Ming 王", ("", "Ming 王")),
        ("", ("", "")),
    ],
)
def test_a_name_is_parted_and_put_together_again(name: str, parts: tuple[str, str]) -> None:
    assert parted(name) == parts
    assert full_name(*parts) == name.strip()
