"""Instants as vendors write them, read and written in one place."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any
from zoneinfo import ZoneInfo

_MICROSECONDS = ((1e11, 1_000_000), (1e14, 1_000), (1e17, 1))
"""A number below the first is in seconds, below the next in milliseconds, then microseconds."""

_WRITTEN = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?"
    r"(?:[ T.]*(\d{1,2})[:时](\d{1,2})(?:[:分](\d{1,2}))?(?:\.\d+)?[秒分]?)?"
)
_UNIX = re.compile(r"0|-?\d{9,17}(\.\d+)?")
_RUBY = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (UTC|[-+]\d\d:?\d\d)")
_DOTNET = re.compile(r"/Date\((-?\d+)(?:[-+]\d{4})?\)/")
_COMPACT = {8: "%Y%m%d", 14: "%Y%m%d%H%M%S"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(value: Any) -> datetime | date | None:
    """A time as written: aware, naive or a date alone; None for the ways to write "never"."""
    if isinstance(value, str):
        found = _from_text(value.strip())
    elif isinstance(value, date):
        found = value
    elif isinstance(value, dict):  # as google.type.DateTime: {"year": 2026, "month": 11, …}
        found = _from_parts(value)
    else:
        found = _from_number(Decimal(str(value)))
    return None if found is None or found.year == 1 else found  # .NET's empty date


def _from_text(text: str) -> datetime | date | None:
    if text[4:5] != "-" and text[8:9] != "T":  # not ISO 8601
        return _from_other_text(text)
    if text.startswith("0000"):  # MySQL's empty date
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return _from_other_text(text)
    return found if len(text) > 10 else found.date()


def _from_other_text(text: str) -> datetime | date | None:
    if form := text.isdecimal() and _COMPACT.get(len(text)):
        found = datetime.strptime(text, form)  # noqa: DTZ007 - the caller knows the zone
        return found.date() if len(text) == 8 else found
    if _UNIX.fullmatch(text):
        return _from_number(Decimal(text))
    if match := _WRITTEN.fullmatch(text):
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
        if match[4] is None:
            return date(year, month, day)
        return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - the caller knows
    if match := _DOTNET.fullmatch(text):
        return _EPOCH + timedelta(milliseconds=int(match[1]))
    if match := _RUBY.fullmatch(text):
        return datetime.fromisoformat(match[1] + match[2].replace("UTC", "Z"))
    return parsedate_to_datetime(text)


def _from_parts(parts: dict[str, Any]) -> datetime | date:
    day = date(parts["year"], parts["month"], parts["day"])
    if "hour" not in parts:
        return day
    names = ("hour", "minute", "second", "microsecond")
    return datetime(day.year, day.month, day.day, *(parts.get(name, 0) for name in names))  # noqa: DTZ001


def _from_number(number: Decimal) -> datetime | None:
    if number == 0:
        return None
    for limit, microseconds in _MICROSECONDS:
        if abs(number) < limit:
            return _EPOCH + timedelta(microseconds=int(number * microseconds))
    raise ValueError


def zone_of(name: str) -> tzinfo:
    """A time zone by its name in the tz database, such as Asia/Shanghai."""
    return UTC if name == "UTC" else ZoneInfo(name)


def instant(value: Any, zone: tzinfo = UTC) -> datetime | None:
    """The instant, in UTC; text that names no zone is of this one. None for "never".

    Raises:
        ValueError, TypeError, ArithmeticError, LookupError: it is no instant.
    """
    found = moment(value)
    if found is None:
        return None
    if not isinstance(found, datetime):
        found = datetime(found.year, found.month, found.day, tzinfo=zone)
    elif found.tzinfo is None:
        found = found.replace(tzinfo=zone)
    return found if found.tzinfo is UTC else found.astimezone(UTC)


def written(at: datetime, form: str = "iso", zone: tzinfo = UTC) -> str:
    """An instant as a vendor wants it.

    Args:
        form: ``iso`` (2026-11-21T10:50:57Z), ``local`` (2026-11-21 18:50:57), ``s`` or ``ms``
            (Unix time), or a pattern of strftime.
        zone: whose wall clock ``local`` and a pattern show.
    """
    if form == "iso":
        return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    if form in ("s", "ms"):
        return str((at - _EPOCH) // timedelta(milliseconds=1 if form == "ms" else 1000))
    pattern = "%Y-%m-%d %H:%M:%S" if form == "local" else form
    return at.astimezone(zone).strftime(pattern)


def as_version(value: Any, zone: tzinfo = UTC) -> str:
    """A time of change as a mapping with ``version: … | utc`` reads it, for what surveys tell.

    What is no time stays as it is: the mapping puts that row into quarantine.
    """
    if value is None or not str(value).strip():
        return ""
    try:
        at = instant(value, zone)
    except (ValueError, TypeError, ArithmeticError, LookupError):
        return str(value)
    return written(at, "%Y-%m-%dT%H:%M:%S.%fZ") if at else ""
