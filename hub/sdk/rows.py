"""Rows and ids of systems that do not speak JSON: databases, files, programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from typing import Any

BIG = 2**63
"""From here on whole numbers are text: nobody's JSON takes them."""


def plain(value: Any) -> Any:
    """The value as JSON has it, with nothing lost.

    Decimals are text, times ISO text with the zone they had, bytes hexadecimal, whatever is unknown
    the text it gives of itself.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value) if -BIG < value < BIG else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    return str(value)


def id_of(parts: Sequence[Any]) -> str:
    """The id made of the values of key columns; "" when one of them is missing.

    One value is its own id, so that what refers to it by that value finds it.
    """
    if any(value is None for value in parts):
        return ""
    texts = [_part(value) for value in parts]
    if len(texts) == 1:
        return texts[0]
    return "|".join(text.replace("\\", "\\\\").replace("|", "\\|") for text in texts)


def parts_of(id_: str, count: int) -> list[str]:
    """The texts an id was joined of.

    Raises:
        ValueError: it was not joined of so many.
    """
    if count == 1:
        return [id_]
    parts, escaped = [""], False
    for char in id_:
        if escaped or char not in "\\|":
            parts[-1], escaped = parts[-1] + char, False
        elif char == "\\":
            escaped = True
        else:
            parts.append("")
    if len(parts) != count:
        raise ValueError(f"not an id of {count} parts")
    return parts


def _part(value: Any) -> str:
    """A whole number is written the same whatever type a driver gives it."""
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        value = int(value)
    return str(plain(value)).strip()
