"""Records into customers: strongest edge first, under constraints, the same for every order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from hub.identity.compare import PER_ACCOUNT, UNIQUE, id_level
from hub.identity.keys import contact_field, holders_max, recent_keys
from hub.identity.traits import Ref, Traits

Edge: TypeAlias = tuple[float, Ref, Ref]
"""(bits, a, b) of two records that may be one customer."""

Contradict: TypeAlias = Callable[[Traits, Traits], bool]
"""Whether two records cannot be one customer, whoever else says so."""

SIZE_MAX = 100
"""Records of one customer that guesses may join; a chain that long is no customer."""

COMPANY_IDS = frozenset({"tax_id", "vat_id"})
"""What people write down of their company: two of them contradict in organisations only."""


class Verdict(NamedTuple):
    """A person's word on two records: ``confirm`` they are one customer, or ``reject`` it.

    Attributes:
        number: rises with each word.
    """

    verb: str
    a: Ref
    b: Ref
    number: int = 0


class Join(NamedTuple):
    """Two records that made one customer of two groups.

    Attributes:
        rule: ``confirmed``, ``weighed``, ``claims`` (one is a stranger's word) or ``same claim``.
        field: what speaks loudest for it.
        bits: what the evidence weighs, where it was weighed.
    """

    a: Ref
    b: Ref
    rule: str
    field: str = ""
    bits: float = 0.0


class Group(NamedTuple):
    """The records of one customer, and what joined them."""

    refs: list[Ref]
    joins: list[Join]


def clusters(
    members: Iterable[Traits],
    edges: Iterable[Edge],
    contradict: Contradict,
    verdicts: Iterable[Verdict] = (),
    claimed: Mapping[str, Sequence[Traits]] = MappingProxyType({}),
) -> list[Group]:
    """The members in groups of one customer each.

    Args:
        verdicts: what people said; only a newer word goes before an older one.
        claimed: the holders of each key that may give a claim its owner.
    """
    made = _Made(members, contradict)
    for verdict in sorted(verdicts, key=lambda v: -v.number):
        made.obey(verdict)
    for bits, a, b in sorted(edges, key=lambda e: (-round(e[0], 6), e[1], e[2])):
        made.join(a, b, bits)
    _attach_claims(made, claimed)
    return made.groups()


def _attach_claims(made: _Made, holders: Mapping[str, Sequence[Traits]]) -> None:
    """Give what is claimed to its one owner; strangers meet by one key each, never by two."""
    found: dict[Ref, tuple[str, set[Ref]]] = {}
    strangers: dict[str, list[Ref]] = {}
    for t in made.claims():
        usable = sorted((key for key in recent_keys(t) if key in holders), key=_rank)
        owners = {made.first(o.ref) for key in usable for o in holders[key] if not o.is_claim}
        if owners:
            found[t.ref] = usable[0], owners
        elif few := [key for key in usable if len(holders[key]) <= holders_max(key)]:
            strangers.setdefault(few[0], []).append(t.ref)
    for ref, (key, owners) in found.items():
        if len(owners) == 1 and made.is_stranger(ref):  # else somebody said whose it is
            made.attach(min(owners), ref, "claims", key)
    for key, refs in sorted(strangers.items()):
        for a, b in pairwise(ref for ref in refs if made.is_stranger(ref)):
            made.attach(a, b, "same claim", key)


def _rank(key: str) -> tuple[int, str, str]:
    """Of the keys of a claim, those that tell most come first."""
    return "iep".index(key[0]), key[2:], key[1]


def refusals(mine: Sequence[Traits], theirs: Sequence[Traits], contradict: Contradict) -> list[str]:
    """The guards that forbid these to be one customer."""
    found = [f"two values of {type_}" for type_ in _clashing_ids(mine, theirs)]
    if any(contradict(x, y) for x in mine for y in theirs if not (x.is_claim or y.is_claim)):
        found.append("what they say of themselves contradicts")
    return found


class _Made:
    """Groups made so far."""

    def __init__(self, members: Iterable[Traits], contradict: Contradict) -> None:
        self._traits = {t.ref: t for t in members}
        self._of = {t.ref: [t] for t in self._traits.values()}
        self._joins: dict[Ref, list[Join]] = {}
        self._apart: dict[Ref, set[Ref]] = {}
        self._contradict = contradict

    def first(self, ref: Ref) -> Ref:
        """What the group of a record is known by."""
        return min(t.ref for t in self._of[ref])

    def claims(self) -> list[Traits]:
        """The members that merely claim, in order of their names."""
        return sorted((t for t in self._traits.values() if t.is_claim), key=lambda t: t.ref)

    def is_stranger(self, ref: Ref) -> bool:
        """Whether nothing in its group is sure."""
        return all(t.is_claim for t in self._of[ref])

    def obey(self, verdict: Verdict) -> None:
        """Do as a person said, unless a newer word forbids it."""
        a, b = verdict.a, verdict.b
        if a not in self._of or b not in self._of:
            return
        if verdict.verb == "reject":
            self._apart.setdefault(a, set()).add(b)
            self._apart.setdefault(b, set()).add(a)
        else:
            self.attach(a, b, "confirmed")

    def attach(self, a: Ref, b: Ref, rule: str, key: str = "") -> None:
        """Join two groups without weighing."""
        if not self._is_forbidden(self._of[a], self._of[b]):
            self._unite(Join(a, b, rule, contact_field(key)))

    def join(self, a: Ref, b: Ref, bits: float) -> None:
        """Join two groups for what their records weigh, unless a guard speaks."""
        mine, theirs = self._of[a], self._of[b]
        if mine is theirs or len(mine) + len(theirs) > SIZE_MAX:
            return
        if self._is_forbidden(mine, theirs) or self._bridges(a, b):
            return
        if not refusals(mine, theirs, self._contradict):
            self._unite(Join(a, b, "weighed", bits=bits))

    def _is_forbidden(self, mine: Sequence[Traits], theirs: Sequence[Traits]) -> bool:
        """Whether somebody said of two of them that they are not one."""
        if not self._apart:
            return False
        others = {t.ref for t in theirs}
        return any(not others.isdisjoint(self._apart.get(t.ref, ())) for t in mine)

    def _unite(self, join: Join) -> None:
        mine, theirs = self._of[join.a], self._of[join.b]
        if mine is theirs:
            return
        if len(mine) < len(theirs):
            mine, theirs = theirs, mine
        mine += theirs
        for t in theirs:
            self._of[t.ref] = mine
        self._joins.setdefault(join.a, []).append(join)

    def _bridges(self, a: Ref, b: Ref) -> bool:
        """Whether somebody nameless would join two who are named, and not alike."""
        known = [t for t in self._of[a] if _is_named(t)]
        others = [t for t in self._of[b] if _is_named(t)]
        if not known or not others:
            return False
        if _is_named(self._traits[a]) and _is_named(self._traits[b]):
            return False
        return not any(_same_name(x, y) for x in known for y in others)

    def groups(self) -> list[Group]:
        """Everybody, each in one group."""
        seen = {id(group): group for group in self._of.values()}
        return [
            Group(
                sorted(t.ref for t in group), [j for t in group for j in self._joins.get(t.ref, ())]
            )
            for group in seen.values()
        ]


def _is_named(t: Traits) -> bool:
    return bool(t.company) if t.kind == "org" else bool(t.name and t.name.is_full)


def _same_name(x: Traits, y: Traits) -> bool:
    if x.name and y.name:
        return x.name.key == y.name.key
    return bool(x.company and y.company and x.company.sound == y.company.sound)


def _clashing_ids(mine: Sequence[Traits], theirs: Sequence[Traits]) -> list[str]:
    """Types of which both have values, and none in common."""
    ours = _ids(mine)
    return [
        type_
        for type_, values in sorted(_ids(theirs).items())
        if (known := ours.get(type_))
        and known.isdisjoint(values)
        and not (type_ in COMPANY_IDS and _is_slip(known, values))
    ]


def _is_slip(known: Iterable[str], values: Iterable[str]) -> bool:
    return any(id_level(x, y) == "near" for x in known for y in values)


def _ids(group: Sequence[Traits]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for t in group:
        for type_, value in () if t.is_claim else t.ids:
            if type_ in UNIQUE - PER_ACCOUNT and (t.kind == "org" or type_ not in COMPANY_IDS):
                found.setdefault(type_, set()).add(value)
    return found
