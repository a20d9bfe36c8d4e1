"""Which party records are one customer, decided from evidence alone.

Order of arrival does not matter: edges are laid strongest first, in one fixed order, and every
guard looks at all holders of a value, never at clusters made so far.

1. A person's word (confirm, reject) is never overridden.
2. Equal strong identifiers join records, unless a guard forbids it:
   a value on the block list; a value with more than ``HOLDERS_MAX`` holders; a phone or mailbox
   shared under differing names (then it joins only records of the same name); a person and an
   organisation; two customers with contradicting unique identifiers.
3. A record with nothing but claimed identifiers joins the customer who holds the value, if there is
   exactly one, and never bridges two.
"""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from hub.models import Level, Party
from hub.models.normalise import (
    STRONG_TYPES,
    UNIQUE_TYPES,
    identifier_value,
    is_blocked,
    name_key,
)

HOLDERS_MAX = 50

Key = tuple[str, str]
"""(type, normalised value) of an identifier."""


class Evidence(NamedTuple):
    """What one party record knows that can tell whose it is.

    Attributes:
        keys: strong identifiers by (type, value), with how sure they are.
    """

    ref: str
    kind: str
    name_key: str
    keys: Mapping[Key, Level]

    @property
    def is_claim(self) -> bool:
        """Whether all it knows was merely claimed."""
        return all(level is Level.CLAIMED for level in self.keys.values())

    def sure_keys(self) -> list[Key]:
        """The keys that may join it to others."""
        return [key for key, level in self.keys.items() if level is not Level.CLAIMED]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A person's word on two records: ``confirm`` they are one customer, or ``reject`` it."""

    verb: str
    a: str
    b: str


@dataclass(slots=True)
class Part:
    """Records that are one customer, and why."""

    refs: set[str]
    evidence: list[dict[str, Any]] = field(default_factory=list)


def evidence_of(party: Party, region: str) -> Evidence:
    """The evidence in a party record; identifiers that cannot be read are left out."""
    keys: dict[Key, Level] = {}
    for point in party.contact_points:
        if point.type not in STRONG_TYPES:
            continue
        if value := identifier_value(point.type, point.value, region):
            key = (point.type, value)
            if keys.get(key, Level.CLAIMED) is Level.CLAIMED:
                keys[key] = point.level
    return Evidence(str(party.ref), party.kind, name_key(party.name, party.kind), keys)


def partition(evidence: Iterable[Evidence], verdicts: Sequence[Verdict] = ()) -> list[Part]:
    """The records grouped into customers.

    ``evidence`` must hold every record that shares an unblocked key with any other in it.
    """
    items = sorted(evidence, key=lambda item: item.ref)
    holders = _holders(items)
    shared = {key for key, held in holders.items() if len(held) > 1}
    spoken = {ref for v in verdicts for ref in (v.a, v.b)}
    by_ref, alone = {}, []
    for item in items:
        if item.ref in spoken or not shared.isdisjoint(item.keys):
            by_ref[item.ref] = item
        else:  # most, in a first load: nothing can join it to anybody
            alone.append(Part({item.ref}))
    clusters = _Clusters(by_ref, {_pair(v.a, v.b) for v in verdicts if v.verb == "reject"})
    for verdict in sorted(verdicts, key=lambda v: (v.a, v.b)):
        if verdict.verb == "confirm" and verdict.a in by_ref and verdict.b in by_ref:
            clusters.join(verdict.a, verdict.b, {"rule": "confirmed"}, forced=True)
    for key in sorted(shared, key=_strength):
        for group in _joinable(key, holders[key]):
            for a, b in pairwise(group):
                clusters.join(a.ref, b.ref, {"rule": "same", "type": key[0]})
    _attach_claims(by_ref, holders, clusters)
    return alone + clusters.parts()


def _holders(evidence: Iterable[Evidence]) -> dict[Key, list[Evidence]]:
    holders: dict[Key, list[Evidence]] = defaultdict(list)
    for item in evidence:
        for key in item.keys:
            if not is_blocked(*key):
                holders[key].append(item)
    return {key: held for key, held in holders.items() if len(held) <= HOLDERS_MAX}


def _strength(key: Key) -> tuple[bool, bool, str]:
    """Unique identifiers before mailboxes before phones; then by value, so that order is fixed."""
    return key[0] not in UNIQUE_TYPES, key[0] != "email", key[1]


def _joinable(key: Key, held: Sequence[Evidence]) -> list[list[Evidence]]:
    """The holders of a value that it makes one, in groups."""
    sure = [item for item in held if item.keys[key] is not Level.CLAIMED]
    groups: dict[tuple[str, str], list[Evidence]] = defaultdict(list)
    for item in sure:
        groups[item.kind, "" if key[0] in UNIQUE_TYPES else item.name_key].append(item)
    for kind in {item.kind for item in sure}:
        named = [group for group in groups if group[0] == kind and group[1]]
        if len(named) == 1:  # one name only: the nameless holders are the same party
            groups[named[0]] += groups.pop((kind, ""), [])
    return list(groups.values())


def _attach_claims(
    by_ref: Mapping[str, Evidence], holders: Mapping[Key, list[Evidence]], clusters: _Clusters
) -> None:
    """Give what is claimed to its one owner; strangers meet by one key each, never by two."""
    claims = [item for item in by_ref.values() if item.keys and item.is_claim]
    owners = {claim.ref: _owners(claim, holders, clusters) for claim in claims}
    strangers: dict[Key, list[str]] = defaultdict(list)
    for claim in claims:
        usable = [key for key in claim.keys if key in holders]
        if len(owners[claim.ref]) == 1:
            why = {"rule": "claims", "type": min(usable, key=_strength)[0]}
            clusters.join(min(owners[claim.ref]), claim.ref, why)
        elif not owners[claim.ref] and usable:
            strangers[min(usable, key=_strength)].append(claim.ref)
    for key, refs in sorted(strangers.items()):
        for a, b in pairwise(refs):
            clusters.join(a, b, {"rule": "same claim", "type": key[0]})


def _owners(
    claim: Evidence, holders: Mapping[Key, list[Evidence]], clusters: _Clusters
) -> set[str]:
    """The customers who surely hold what this record claims, by their first record."""
    sure = (h for key in claim.keys for h in holders.get(key, ()) if key in h.sure_keys())
    return {clusters.root(holder.ref) for holder in sure}


def _pair(a: str, b: str) -> tuple[str, str]:
    return (a, b) if a < b else (b, a)


class _Clusters:
    """Union-find that refuses contradictions."""

    def __init__(self, by_ref: Mapping[str, Evidence], rejected: set[tuple[str, str]]) -> None:
        self._parent = {ref: ref for ref in by_ref}
        self._parts = {ref: Part({ref}) for ref in by_ref}
        self._rejected = rejected
        self._unique: dict[str, dict[str, set[str]]] = {
            ref: _unique_values(item) for ref, item in by_ref.items()
        }

    def root(self, ref: str) -> str:
        while self._parent[ref] != ref:
            self._parent[ref] = self._parent[self._parent[ref]]
            ref = self._parent[ref]
        return ref

    def join(self, a: str, b: str, why: dict[str, Any], *, forced: bool = False) -> None:
        root, other = sorted((self.root(a), self.root(b)))
        if root == other or not (forced or self._allowed(root, other)):
            return
        self._parent[other] = root
        gone = self._parts.pop(other)
        part = self._parts[root]
        part.refs |= gone.refs
        part.evidence += [*gone.evidence, {"a": a, "b": b, **why}]
        for type_, values in self._unique.pop(other).items():
            self._unique[root].setdefault(type_, set()).update(values)

    def _allowed(self, root: str, other: str) -> bool:
        mine, theirs = self._unique[root], self._unique[other]
        if any(not mine[type_] & theirs[type_] for type_ in mine.keys() & theirs.keys()):
            return False
        return (
            not any(
                _pair(a, b) in self._rejected
                for a in self._parts[root].refs
                for b in self._parts[other].refs
            )
            if self._rejected
            else True
        )

    def parts(self) -> list[Part]:
        return [self._parts[root] for root in sorted(self._parts)]


def _unique_values(item: Evidence) -> dict[str, set[str]]:
    values: dict[str, set[str]] = {}
    for type_, value in item.sure_keys():
        if type_ in UNIQUE_TYPES:
            values.setdefault(type_, set()).add(value)
    return values


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
    parts: Sequence[Part], current: Mapping[str, str], *, fresh: Callable[[], str] = new_id
) -> Resolution:
    """Ids for the parts: an id stays where most of its records went.

    Args:
        parts: from ``partition``.
        current: party record → customer as of now; every record of those customers is in a part.
        fresh: makes the id of a new customer.
    """
    found = Resolution()
    if not current:
        for part in parts:
            _found(part, None, found, fresh)
        return found
    claims = [(n, id_, i) for i, part in enumerate(parts) for id_, n in _overlap(part, current)]
    owner_of: dict[int, str] = {}
    taken: set[str] = set()
    for _, id_, i in sorted(claims, key=lambda c: (-c[0], c[1], c[2])):
        if i not in owner_of and id_ not in taken:
            owner_of[i] = id_
            taken.add(id_)
    for i, part in enumerate(parts):
        _settle(part, owner_of.get(i), current, taken, found, fresh)
    return found


def _overlap(part: Part, current: Mapping[str, str]) -> list[tuple[str, int]]:
    return list(Counter(current[ref] for ref in part.refs if ref in current).items())


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
