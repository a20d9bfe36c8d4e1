"""What party records know, and which ids the customers they are get.

Who is one customer is decided in ``matching`` from evidence alone; which id it has is decided here,
from the customers there were.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hub.identity.cluster import Group, Join
from hub.identity.traits import Traits, name_of, party_traits
from hub.models import Level, Party, is_short
from hub.models.normalise import STRONG_TYPES, identifier_value

Key = tuple[str, str]
"""(type, normalised value) of an identifier."""


class Evidence(NamedTuple):
    """What one party record knows.

    Attributes:
        keys: what it is looked up by, with how sure it is.
        traits: what it is matched by.
    """

    ref: str
    keys: Mapping[Key, Level]
    traits: Traits


def evidence_of(party: Party, region: str) -> Evidence:
    """The evidence in a party record; identifiers that cannot be read are left out."""
    keys: dict[Key, Level] = {}
    for point in party.contact_points:
        if point.type not in STRONG_TYPES:
            continue
        value = identifier_value(point.type, point.value, region)
        if value and is_short(value):
            key = (point.type, value)
            if keys.get(key, Level.CLAIMED) is Level.CLAIMED:
                keys[key] = point.level
    return Evidence(str(party.ref), keys, party_traits(party, region))


@dataclass(slots=True)
class Part:
    """Records that are one customer, and why."""

    refs: set[str]
    evidence: list[dict[str, Any]] = field(default_factory=list)


def part_of(group: Group) -> Part:
    """The group with what joined it, as it is kept."""
    return Part({name_of(ref) for ref in group.refs}, [_told(join) for join in group.joins])


def _told(join: Join) -> dict[str, Any]:
    told: dict[str, Any] = {"a": name_of(join.a), "b": name_of(join.b), "rule": join.rule}
    if join.field:
        told["type"] = join.field
    if join.bits:
        told["bits"] = round(join.bits, 1)
    return told


@dataclass(slots=True)
class Resolution:
    """What a batch changes about customers.

    Attributes:
        links: party record → customer, only where it changed.
        created: ids of new customers.
        merged: id → the id it became part of.
        decisions: one entry per new customer, match, merge and split.
        touched: every customer whose records changed.
    """

    links: dict[str, str] = field(default_factory=dict)
    created: list[str] = field(default_factory=list)
    merged: dict[str, str] = field(default_factory=dict)
    decisions: list[dict[str, Any]] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)


def new_id() -> str:
    """A fresh customer id: as a UUID of version 7, so that ids made together lie together.

    Random ids would touch a page of every index each; with a million customers that is the disk.
    """
    ms, chance = time.time_ns() // 1_000_000, int.from_bytes(os.urandom(10))
    bits = ms << 80 | 7 << 76 | (chance >> 66 & 0xFFF) << 64 | 2 << 62 | chance & (1 << 62) - 1
    return f"{bits:032x}"


def assign(
    parts: Sequence[Part],
    current: Mapping[str, str],
    *,
    claims: Collection[str] = (),
    crowded: Collection[str] = (),
    fresh: Callable[[], str] = new_id,
) -> Resolution:
    """Ids for the parts: an id stays where most of its records went, the first ones if as many.

    Args:
        parts: every record is in one of them at most.
        current: party record → customer as of now.
        claims: the records that merely claim.
        crowded: customers with records in no part, all of them claims: their ids go with those who
            are sure, or stay where they are.
        fresh: makes the id of a new customer.
    """
    found = Resolution()
    if not current:
        for part in parts:
            _found(part, None, found, fresh)
        return found
    bids = [
        (id_ not in crowded, -n, id_, min(part.refs), i)
        for i, part in enumerate(parts)
        for id_, n in Counter(current[ref] for ref in part.refs if ref in current).items()
        if id_ not in crowded
        or any(current.get(ref) == id_ for ref in part.refs.difference(claims))
    ]
    owner_of: dict[int, str] = {}
    taken: set[str] = set()
    for *_, id_, _, i in sorted(bids):
        if i not in owner_of and id_ not in taken:
            owner_of[i] = id_
            taken.add(id_)
    for i, part in enumerate(parts):
        _settle(part, owner_of.get(i), current, taken.union(crowded), found, fresh)
    return found


def _settle(
    part: Part,
    id_: str | None,
    current: Mapping[str, str],
    taken: set[str],
    found: Resolution,
    fresh: Callable[[], str],
) -> None:
    before = {current[ref] for ref in part.refs if ref in current}
    moved = {ref for ref in part.refs if current.get(ref) != id_ or id_ is None}
    if id_ is None:
        id_ = _found(part, min(before, default=None), found, fresh)
    elif any(ref not in current for ref in moved):
        found.decisions.append(_decision("match", id_, None, part))
    for gone in sorted(before - taken):
        found.merged[gone] = id_
        found.decisions.append(_decision("merge", id_, gone, part))
    found.links.update(dict.fromkeys(moved, id_))
    if moved:
        found.touched |= {id_, *before}


def _found(part: Part, split_from: str | None, found: Resolution, fresh: Callable[[], str]) -> str:
    """Make a customer of the part."""
    id_ = fresh()
    found.created.append(id_)
    found.decisions.append(_decision("split" if split_from else "new", id_, split_from, part))
    found.links.update(dict.fromkeys(part.refs, id_))
    found.touched.add(id_)
    return id_


def _decision(verb: str, id_: str, other: str | None, part: Part) -> dict[str, Any]:
    return {"verb": verb, "customer_id": id_, "other_id": other, "evidence": part.evidence}
