"""What one fact adds to the sums that are kept of a customer: by day, status and unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import NamedTuple

from hub.models import Call, Feedback, Message, Money, Record

MEASURES: dict[str, tuple[str, ...]] = {
    "Order": ("total",),
    "Invoice": ("total", "open_amount", "due_on"),
    "Payment": ("amount",),
    "Contract": ("value", "ends_on"),
    "Opportunity": ("amount",),
    "Feedback": ("score",),
    "Call": ("duration_s",),
    "Asset": ("", "warranty_until"),
    "Ticket": ("",),
    "Message": ("",),
    "WorkOrder": ("",),
}
"""The kinds that are counted, and what of each is summed. The first is their own count too: it is
kept of every fact, whether there is a value or not. A day is not summed but counted under."""

_DATED = {"Order": "ordered_on", "Invoice": "issued_on", "Contract": "starts_on"}
"""The day of a fact whose source does not tell the instant."""

AMOUNT_MAX = 10**15
"""A larger amount is a slip, and the sum of many would not fit into a column."""

_EPOCH = date(1970, 1, 1)


class Share(NamedTuple):
    """Which sum a fact belongs to, and what it adds beside one to the count.

    Attributes:
        field: what is summed, "" where facts of the kind are only counted.
        day: when it happened, in days since 1970 in UTC (0: nobody knows), or the day the field
            holds.
        status: canonical; of messages and calls the direction.
        unit: currency, or the scale of a score.
    """

    kind: str
    field: str
    day: int
    status: str
    unit: str
    total: int


@dataclass(frozen=True, slots=True)
class Tally:
    """The sum over some facts of a customer.

    Attributes:
        day: None for all the days before those asked for.
        last: the newest day in it.
    """

    kind: str
    field: str
    status: str
    unit: str
    day: int | None
    count: int
    total: int
    last: int


def shares(r: Record) -> Iterator[Share]:
    """What a fact adds; nothing when its kind is not counted."""
    fields = MEASURES.get(r.kind, ())
    if not fields:
        return
    on = _day(r)
    status = str(r.direction if isinstance(r, Message | Call) else getattr(r, "status", ""))
    for place, field in enumerate(fields):
        value = getattr(r, field) if field else None
        if isinstance(value, date):
            yield Share(r.kind, field, day_number(value), status, "", 0)
        elif value is not None or place == 0:
            yield Share(r.kind, field, on, status, *_amount(r, value))


def _day(r: Record) -> int:
    if r.occurred_at:
        return day_of(r.occurred_at)
    known = getattr(r, _DATED.get(r.kind, ""), None)
    return day_number(known) if known else 0


def day_of(at: datetime) -> int:
    """The day of an instant in UTC, in days since 1970."""
    return day_number(at.astimezone(UTC).date())


def day_number(on: date) -> int:
    """A day in days since 1970."""
    return (on - _EPOCH).days


def day_from(number: int) -> date:
    """The day behind ``day_number``."""
    return date.fromordinal(_EPOCH.toordinal() + number)


def _amount(r: Record, value: object) -> tuple[str, int]:
    """Unit and amount."""
    if isinstance(value, Money):
        return (
            (value.currency, value.amount_minor)
            if abs(value.amount_minor) < AMOUNT_MAX
            else ("", 0)
        )
    unit = r.scale if isinstance(r, Feedback) else "s" if isinstance(r, Call) else ""
    return unit, value if isinstance(value, int) and abs(value) < AMOUNT_MAX else 0
