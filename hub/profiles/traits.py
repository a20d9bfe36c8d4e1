"""Traits: what a profile keeps of the sums behind it, and what that comes to on a given day.

A profile that nobody touches must not lie: what depends on the day is kept by day and worked out
when it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from hub.profiles.catalogue import Catalogue, Trait
from hub.profiles.tally import Tally, day_from, day_of

Document = dict[str, Any]
Row = Sequence[Any]
"""Day (None: all), unit, count, total."""


def bases(catalogue: Catalogue, tallies: Sequence[Tally], now: datetime) -> dict[str, Document]:
    """What is kept of the sums for each trait that has any."""
    today = day_of(now)
    kept = {id_: _rows(trait, tallies, today) for id_, trait in catalogue.traits.items()}
    return {
        id_: {**_shape(catalogue.traits[id_]), "rows": rows} for id_, rows in kept.items() if rows
    }


def since(catalogue: Catalogue, now: datetime) -> int:
    """The first day that must be known by itself."""
    return day_of(now) - catalogue.past_days - 1


def values(catalogue: Catalogue, kept: Mapping[str, Document], today: int) -> dict[str, Document]:
    """What each trait is on a day; one of which nothing is known is left out."""
    found: dict[str, Document] = {}
    for id_, trait in catalogue.traits.items():
        shape = kept.get(id_) or {**_shape(trait), "rows": ()}
        if (value := value_of(shape, today)) is not None:
            label = trait.label.model_dump()
            found[id_] = {"label": label, "aggregate": shape["aggregate"], **value}
    return found


def value_of(basis: Document, today: int) -> Document | None:
    """What a trait's basis comes to on a day; None when there is nothing to tell."""
    rows = [row for row in basis["rows"] if _is_within(basis, row[0], today)]
    match basis["aggregate"]:
        case "count":
            return {"value": sum(row[2] for row in rows)}
        case "newest":
            last = max((row[0] for row in rows), default=None)
            return None if last is None else _on(last, max(0, today - last))
        case "soonest":
            next_ = min((row[0] for row in rows if row[0] >= today), default=None)
            return None if next_ is None else _on(next_, next_ - today)
        case "sum":
            return _by_unit(rows, lambda count, total: total) or {"value": 0}
    return _by_unit(rows, lambda count, total: round(total / count, 2))


def _shape(trait: Trait) -> Document:
    named = {"past_days": trait.past_days, "next_days": trait.next_days}
    return {"aggregate": trait.aggregate} | {name: n for name, n in named.items() if n}


def _rows(trait: Trait, tallies: Iterable[Tally], today: int) -> list[list[Any]]:
    taken = [t for t in tallies if trait.takes(t)]
    if trait.aggregate == "newest":
        known = [t.last for t in taken if t.last]  # day 0: nobody knows when
        return [[max(known), "", len(known), 0]] if known else []
    first = _first_day(trait, today)
    sums: dict[tuple[int | None, str], list[int]] = {}
    for t in taken:
        if first is None or (t.day is not None and t.day >= first):
            one = sums.setdefault((None if first is None else t.day, t.unit), [0, 0])
            one[0] += t.count
            one[1] += t.total
    return [[*key, *sums[key]] for key in sorted(sums, key=lambda key: (key[0] or 0, key[1]))]


def _first_day(trait: Trait, today: int) -> int | None:
    """The first day that can still matter; None when days do not."""
    if trait.past_days:
        return today - trait.past_days
    return today - 1 if trait.next_days or trait.aggregate == "soonest" else None


def _is_within(basis: Document, day: int | None, today: int) -> bool:
    if day is None:
        return True
    if past := basis.get("past_days"):
        return today - int(past) < day <= today
    if ahead := basis.get("next_days"):
        return today <= day <= today + int(ahead)
    return True


def _on(day: int, days: int) -> Document:
    return {"value": days, "falls_on": day_from(day).isoformat()}


def _by_unit(rows: Iterable[Row], figure: Any) -> Document | None:
    """The figure in the unit of most facts; those in other units beside it."""
    sums: dict[str, list[int]] = {}
    for _, unit, count, total in rows:
        one = sums.setdefault(unit, [0, 0])
        one[0] += count
        one[1] += total
    if len(sums) > 1:
        sums.pop("", None)  # facts without an amount
    ordered = sorted(sums, key=lambda unit: (-sums[unit][0], unit))
    told = [{"value": figure(*sums[unit]), "unit": unit} for unit in ordered if sums[unit][0]]
    if not told:
        return None
    first, *others = told
    return {**first, **({"others": others} if others else {})}
