"""Which records are one customer: candidates by key, scored, and grouped.

``resolve`` takes all records; ``settle`` takes one that changed and looks up what it can reach.
Both see the same edges, because an edge depends on two records and on the holders of the contact
keys they share, and on nothing else; so both come to the same customers.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple, Protocol

from hub.identity.cluster import COMPANY_IDS, Edge, Group, Join, Verdict, clusters, refusals
from hub.identity.compare import GUARDS, UNIQUE, Evidence, Spread, compare, is_same_name, total
from hub.identity.keys import CONTACT_HOLDERS_MAX, blocking_keys, holders_max, recent_keys
from hub.identity.names import Name
from hub.identity.traits import Ref, Traits
from hub.identity.weights import Weights

MATCH_BITS = 1.5
"""From here on two records are one customer, unless a guard says otherwise."""

REVIEW_BITS = -2.0
"""From here on a person should look."""

CERTAIN_BITS = 40.0
"""A number of which everybody has one goes before anything that was weighed."""

CERTAIN_NAMES_MAX = 3
"""A number that stands under more names than this is a placeholder, and no more than evidence."""

CONTRADICTION_BITS = -4.0
"""Below, what two records say of themselves rules out that they are one, whoever joins them."""

CONTACTS = frozenset("pei")
"""What contact keys begin with."""

_ALONE = Spread()

NAMES_MAX = 8
"""Names behind one value that are told apart; where there are more, it weighs as little as can be.

So one more name behind a popular number is no reason to weigh all its holders again.
"""


RECENT_MAX = 4096
"""Pairs whose evidence is kept: guards and reasons ask for it again after it was weighed."""

NOBODY: Ref = ("", "")
"""The name of a stand-in for a record nobody asks for by name."""


class Beside(NamedTuple):
    """What was decided of some records and others.

    Attributes:
        companions: the records that are of the same customers now.
        verdicts: what people said; the newest word on each pair.
    """

    companions: Collection[Ref]
    verdicts: Sequence[Verdict]


class Index(Protocol):
    """Where records are found by key: a table in the hub, a dictionary in the command line."""

    def holders(self, keys: Sequence[str]) -> Mapping[str, Sequence[Traits]]:
        """The records under each key.

        Of those who are too many to be compared, stand-ins named ``NOBODY`` suffice, as many as are
        too many.
        """

    def claims(self, keys: Sequence[str]) -> Mapping[str, Sequence[Traits]]:
        """All who merely claim each key, however many they are."""

    def records(self, refs: Sequence[Ref]) -> Mapping[Ref, Traits]:
        """Those of the records that there are."""

    def beside(self, refs: Sequence[Ref], alone: Collection[Ref]) -> Beside:
        """What was decided of these records and any other; nobody's companions who stand alone."""


class Scorer:
    """Weighs pairs under one version of the weights."""

    def __init__(self, weights: Weights, spreads: Mapping[str, Spread]) -> None:
        self.weights, self.spreads = weights, spreads
        self._recent: dict[tuple[Ref, Ref], list[Evidence]] = {}

    def rows(self, a: Traits, b: Traits) -> Sequence[Evidence]:
        """The evidence table; the same whichever record is named first."""
        if b.ref < a.ref:
            a, b = b, a
        found = self._recent.get((a.ref, b.ref))
        if found is None:
            if len(self._recent) >= RECENT_MAX:
                self._recent.clear()
            found = compare(a, b, self.weights, self.spreads)
            self._recent[a.ref, b.ref] = found
        return found

    def bits(self, a: Traits, b: Traits) -> float:
        """Log2 of the odds that the two are one customer; a number issued once is certain."""
        weighed = total(self.rows(a, b), self.weights, a.kind)
        return max(weighed, CERTAIN_BITS) if self._share_number(a, b) else weighed

    def _share_number(self, a: Traits, b: Traits) -> bool:
        if not a.ids or not b.ids:
            return False
        kind = a.kind[0]
        return any(
            self.spreads.get(f"i{kind}{type_}:{value}", _ALONE).names <= CERTAIN_NAMES_MAX
            for type_, value in {*a.ids} & {*b.ids}
            if type_ in UNIQUE and (kind == "o" or type_ not in COMPANY_IDS)
        )

    def contradict(self, a: Traits, b: Traits) -> bool:
        """Whether the two cannot be one customer."""
        rows = self.rows(a, b)
        return bool(rows) and sum(row.bits for row in rows) < CONTRADICTION_BITS


def verdict(a: Traits, b: Traits, scorer: Scorer) -> tuple[str, list[str]]:
    """What two records alone come to (match, review, no match), and the guards that speak."""
    guards = refusals([a], [b], scorer.contradict)
    bits = scorer.bits(a, b)
    if guards or bits < REVIEW_BITS:
        return "no match", guards
    return ("match" if bits >= MATCH_BITS else "review"), guards


# ---- all at once


class Batch:
    """All records, and who meets whom. What it knows depends on the records, not on their order.

    Attributes:
        records: by reference.
        spreads: of the contact keys that are shared.
        candidates: pairs that meet under a key, each as one number; ``pairs`` reads them.
    """

    def __init__(self, records: Iterable[Traits]) -> None:
        self.records = sorted(records, key=lambda t: t.ref)
        held = self._held()
        self.spreads = {
            key: spread([self.records[i] for i in found])
            for key, found in held.items()
            if key[0] in CONTACTS
        }
        self.candidates = self._candidates(held)

    def _held(self) -> dict[str, list[int]]:
        """The records under each key that two or more share, by position."""
        alone: dict[str, int] = {}
        held: dict[str, list[int]] = {}
        for i, t in enumerate(self.records):
            for key in blocking_keys(t):
                if key in held:
                    held[key].append(i)
                elif key in alone:
                    held[key] = [alone.pop(key), i]
                else:
                    alone[key] = i
        return held

    def _candidates(self, held: Mapping[str, list[int]]) -> Sequence[int]:
        size = len(self.records)
        return array("Q", sorted({
            i * size + j
            for key, found in held.items()
            if len(found) <= holders_max(key)
            for i, j in combinations(found, 2)
        }))  # fmt: skip

    def pairs(self, candidates: Iterable[int]) -> Iterator[tuple[Traits, Traits]]:
        """The records behind candidates."""
        size, records = len(self.records), self.records
        for pair in candidates:
            i, j = divmod(pair, size)
            yield records[i], records[j]


def resolve(batch: Batch, weights: Weights) -> list[list[Ref]]:
    """The records in groups of one customer each; the same whatever their order."""
    scorer = Scorer(weights, batch.spreads)
    return grouped(batch.records, edges(batch.pairs(batch.candidates), scorer), scorer)


def grouped(records: Iterable[Traits], found: Iterable[Edge], scorer: Scorer) -> list[list[Ref]]:
    """The records in groups, by their edges."""
    by_ref = {t.ref: t for t in records}
    made: list[list[Ref]] = []
    for part in components(found):
        members = [by_ref[ref] for ref in {r for _, a, b in part for r in (a, b)}]
        made += (group.refs for group in clusters(members, part, scorer.contradict))
    joined = {ref for group in made for ref in group}
    return made + [[ref] for ref in by_ref if ref not in joined]


def components(found: Iterable[Edge]) -> list[list[Edge]]:
    """The edges that hang together."""
    parent: dict[Ref, Ref] = {}

    def root(ref: Ref) -> Ref:
        while (up := parent.setdefault(ref, ref)) != ref:
            parent[ref] = parent[up]
            ref = up
        return ref

    kept = list(found)
    for _, a, b in kept:
        parent[root(a)] = root(b)
    parts: dict[Ref, list[Edge]] = {}
    for edge in kept:
        parts.setdefault(root(edge[1]), []).append(edge)
    return list(parts.values())


def edges(candidates: Iterable[tuple[Traits, Traits]], scorer: Scorer) -> Iterator[Edge]:
    """The pairs that may be one customer."""
    for a, b in candidates:
        if (bits := scorer.bits(a, b)) >= MATCH_BITS:
            yield (bits, a.ref, b.ref) if a.ref < b.ref else (bits, b.ref, a.ref)


def spread(found: Sequence[Traits]) -> Spread:
    """How many different names stand behind a contact key."""
    if len(found) > CONTACT_HOLDERS_MAX:
        return Spread(CONTACT_HOLDERS_MAX)
    ordered = sorted(found, key=lambda t: t.ref)  # of names spelled alike, always the same speaks
    count = _companies if ordered[0].kind == "org" else _people
    names = max(count(ordered), 1)
    return Spread(names if names <= NAMES_MAX else CONTACT_HOLDERS_MAX)


def _companies(found: Sequence[Traits]) -> int:
    named = [t for t in found if t.company]
    seats = {t.company.sound[:4]: t.seat for t in named if t.company and t.seat}
    found_ = {
        (c.sound[:4], c.branch, t.seat or seats.get(c.sound[:4], ""))
        for t in named
        if (c := t.company)
    }
    return len(found_)


def _people(found: Sequence[Traits]) -> int:
    names = {name.key: name for t in found if (name := t.name) and name.is_full}
    different: list[Name] = []
    for _, name in sorted(names.items()):
        if len(different) > NAMES_MAX or not any(is_same_name(name, other) for other in different):
            different.append(name)
    said = {sound for name in different for sound in (name.family_sound, name.given_sound)}
    families = {
        name.family_sound
        for t in found
        if (name := t.name) and name.is_han and name.family and not name.given
    }
    return len(different) + len(families - said)


# ---- those that changed


class Change(NamedTuple):
    """One record before and after; None where it was not, or is no more."""

    ref: Ref
    before: Traits | None
    after: Traits | None


class Pair(NamedTuple):
    """Two records a person should look at."""

    a: Ref
    b: Ref
    bits: float


class Settled(NamedTuple):
    """All records that changes can affect.

    Attributes:
        groups: the customers they are. Who merely has what is claimed is there for the claim: other
            claims of that customer may be missing.
        doubts: pairs of differing customers that are neither alike nor unlike enough; one of each
            is among the records.
        claims: those of the records that merely claim.
    """

    groups: list[Group]
    doubts: list[Pair]
    claims: frozenset[Ref]


def settle(index: Index, changes: Sequence[Change], weights: Weights) -> Settled:
    """The customers of all records that changes can affect, found by look-ups alone.

    Args:
        index: as it is after the changes.
        changes: each record once.
        weights: those the other groups were made under.
    """
    view = _View(index, weights)
    members = view.component(view.start(changes))
    found = clusters(
        members.values(),
        view.edges.values(),
        view.scorer.contradict,
        view.verdicts.values(),
        view.claimed(),
    )
    customer = {ref: n for n, group in enumerate(found) for ref in group.refs}
    return Settled(
        [
            group._replace(joins=[_reasoned(j, members, view.scorer) for j in group.joins])
            for group in found
        ],
        [
            pair
            for pair in view.doubts
            if customer.get(pair.a) != customer.get(pair.b)
            and frozenset((pair.a, pair.b)) not in view.verdicts
        ],
        frozenset(ref for ref, t in members.items() if t.is_claim),
    )


def _reasoned(join: Join, members: Mapping[Ref, Traits], scorer: Scorer) -> Join:
    """With what speaks loudest for it, and ``same`` where that is a contact or number of both."""
    if join.rule != "weighed":
        return join
    rows = scorer.rows(members[join.a], members[join.b])
    best = max(rows, key=lambda row: (row.level == "same" and row.field not in GUARDS, row.bits))
    is_same = best.level == "same" and best.field not in GUARDS
    return join._replace(rule="same" if is_same else "alike", field=best.field)


class _View:
    """What was looked up so far.

    Attributes:
        edges: by the two records, found by ``component``.
        doubts: likewise.
        verdicts: what was said of the records, by pair.
    """

    def __init__(self, index: Index, weights: Weights) -> None:
        self._index = index
        self._held: dict[str, Sequence[Traits]] = {}
        self._weighed: set[tuple[Ref, Ref]] = set()
        self.scorer = Scorer(weights, _Spreads(self._held))
        self.edges: dict[tuple[Ref, Ref], Edge] = {}
        self.doubts: list[Pair] = []
        self.verdicts: dict[frozenset[Ref], Verdict] = {}

    def start(self, changes: Sequence[Change]) -> dict[Ref, Traits]:
        """The changed records, all they may have been joined to, and all whose keys weigh anew."""
        self.fetch([t for _, *both in changes for t in both if t is not None])
        found = {ref: t for ref, _, t in changes if t is not None}
        changed = {change.ref for change in changes}
        claims = {ref for ref, before, _ in changes if before is not None and before.is_claim}
        found |= self._said_of([ref for ref, _, t in changes if t is None], claims, changed)
        was, keys = self._before(changes)
        past = _Past(self.scorer)
        for key in keys:
            now, before = self._held[key], was.get(key, ())
            if len(now) < 2 and not before:
                continue  # nobody else: most keys of most records
            others = [t for t in now if t.ref not in changed]
            then = [*others, *before]
            if len(now) > holders_max(key) and is_usable(key, others) and _sure(then) != _sure(now):
                self._fetch_claims([key])  # what they claim may have another owner now
                others = [t for t in self._held[key] if t.ref not in changed]
            rest = [t for t in others if t.ref != NOBODY]
            if _weighs_anew(key, then, now):
                found.update((t.ref, t) for t in rest)
            elif before and is_usable(key, then):
                found.update((t.ref, t) for t in rest if any(past.meet(b, t) for b in before))
        return found

    @staticmethod
    def _before(changes: Sequence[Change]) -> tuple[dict[str, list[Traits]], dict[str, None]]:
        """The changed records under each key they had, and all keys they had or have."""
        was: dict[str, list[Traits]] = {}
        keys: dict[str, None] = {}
        for _, before, after in changes:
            for key in recent_keys(before) if before else ():
                was.setdefault(key, []).append(before)  # type: ignore[arg-type]
            for t in (before, after):
                keys.update(dict.fromkeys(recent_keys(t) if t else ()))
        return was, keys

    def fetch(self, records: Iterable[Traits]) -> None:
        """Look up what is not known yet under the keys of the records."""
        wanted = {key: None for t in records for key in recent_keys(t) if key not in self._held}
        if wanted:
            self._held.update(dict.fromkeys(wanted, ()))
            self._held.update(self._index.holders(list(wanted)))

    def _fetch_claims(self, keys: Iterable[str]) -> None:
        """Look up all who claim these keys, where only their number is known."""
        wanted = [
            key for key in keys if any(t.is_claim and t.ref == NOBODY for t in self._held[key])
        ]
        if wanted:
            for key, found in self._index.claims(wanted).items():
                self._held[key] = [*_sure(self._held[key]), *found]

    def component(self, start: Mapping[Ref, Traits]) -> dict[Ref, Traits]:
        """All records that hang together with these: by edges, by claims, and by what was said.

        Whoever has what one of them claims is there with all that make up this customer, but for
        other claims: those stay where they are, so that one more costs the same however many.
        """
        members = dict(start)
        self._walk(members, list(start.values()), whole=True)
        self._walk(members, [t for t in members.values() if t.is_claim], whole=False)
        return members

    def _walk(self, members: dict[Ref, Traits], wave: list[Traits], *, whole: bool) -> None:
        while wave:
            self.fetch(wave)
            if whole:
                sure = _sure(wave)
                self._fetch_claims(key for t in sure for key in recent_keys(t) if self._is_few(key))
            alone = {t.ref for t in wave if t.is_claim or not whole}
            following = self._said_of([t.ref for t in wave], alone, members)
            for t in wave:
                following.update((other.ref, other) for other in self._neighbours(t, whole=whole))
            wave = [t for ref, t in following.items() if ref not in members]
            members |= following

    def _said_of(
        self, refs: Sequence[Ref], alone: Collection[Ref], known: Collection[Ref]
    ) -> dict[Ref, Traits]:
        """The records that people, or decisions of before, put beside these."""
        if not refs:
            return {}
        companions, said = self._index.beside(refs, alone)
        self.verdicts |= {frozenset((verdict.a, verdict.b)): verdict for verdict in said}
        wanted = {ref for v in said if v.verb == "confirm" for ref in (v.a, v.b)}
        return dict(self._index.records(sorted(wanted.union(companions).difference(known))))

    def _is_few(self, key: str) -> bool:
        return is_usable(key, self._held[key])

    def _neighbours(self, t: Traits, *, whole: bool) -> list[Traits]:
        """Whom the record is joined to under a key, or may be by what one of the two claims.

        A claim meets its owners (in a walk that is not ``whole``), or strangers where it has none;
        a sure record meets those who claim what it has only in a walk that is.
        """
        keys = [key for key in recent_keys(t) if len(self._held[key]) > 1 and self._is_few(key)]
        if t.is_claim:
            if owners := [other for key in keys for other in _sure(self._held[key])]:
                return [] if whole else owners
            few = [key for key in keys if len(self._held[key]) <= holders_max(key)]
            return [other for key in few for other in self._held[key]]
        found = {o.ref: o for key in keys for o in self._held[key] if whole or not o.is_claim}
        found.pop(t.ref, None)
        return [other for other in found.values() if other.is_claim or self._are_joined(t, other)]

    def _are_joined(self, a: Traits, b: Traits) -> bool:
        pair = (a.ref, b.ref) if a.ref < b.ref else (b.ref, a.ref)
        if pair not in self._weighed:
            self._weighed.add(pair)
            bits = self.scorer.bits(a, b)
            if bits >= MATCH_BITS:
                self.edges[pair] = (bits, *pair)
            elif bits >= REVIEW_BITS:
                self.doubts.append(Pair(*pair, bits))
        return pair in self.edges

    def claimed(self) -> dict[str, Sequence[Traits]]:
        """The holders of keys under which claims may find their owner."""
        return {
            key: held
            for key, held in self._held.items()
            if key[0] in CONTACTS and any(t.is_claim for t in held) and is_usable(key, held)
        }


class _Past:
    """Whom changed records were joined to, where nobody else made their keys weigh anew."""

    def __init__(self, now: Scorer) -> None:
        self._scorer = Scorer(now.weights, now.spreads)  # it knows other records by these names

    def meet(self, before: Traits, other: Traits) -> bool:
        """Whether there was an edge between the two, or a claim that another may concern."""
        if before.is_claim or other.is_claim:
            return other.is_claim
        return self._scorer.bits(before, other) >= MATCH_BITS


def _sure(held: Iterable[Traits]) -> list[Traits]:
    return [t for t in held if not t.is_claim]


def is_usable(key: str, held: Sequence[Traits]) -> bool:
    """Whether the key brings anybody together: not if too many surely have it."""
    return len(held) <= holders_max(key) or len(_sure(held)) <= holders_max(key)


def _weighs_anew(key: str, then: Sequence[Traits], now: Sequence[Traits]) -> bool:
    """Whether a key has grown too popular, or no longer is, or tells otherwise how many have it."""
    most = holders_max(key)
    was, are = _sure(then), _sure(now)
    if (len(was) > most) != (len(are) > most):
        return True
    if not was and not are:
        return (len(then) > most) != (len(now) > most)
    return key[0] in CONTACTS and bool(was and are) and spread(was) != spread(are)


class _Spreads(dict[str, Spread]):
    """Spreads of what was looked up, worked out when asked for."""

    def __init__(self, held: Mapping[str, Sequence[Traits]]) -> None:
        super().__init__()
        self._from = held

    def get(self, key: str, default: Spread | None = None) -> Spread | None:  # type: ignore[override]
        if key not in self:
            held = _sure(self._from.get(key, ()))
            self[key] = spread(held) if len(held) > 1 else default or Spread()
        return self[key]


class MemoryIndex:
    """Records by key, in memory.

    Attributes:
        said: what people said.
    """

    def __init__(self) -> None:
        self._records: dict[Ref, Traits] = {}
        self._held: dict[str, dict[Ref, Traits]] = {}
        self.said: list[Verdict] = []

    def put(self, after: Traits) -> Change:
        """Take the record in."""
        before = self._records.get(after.ref)
        if before is not None:
            self.drop(after.ref)
        self._records[after.ref] = after
        for key in blocking_keys(after):
            self._held.setdefault(key, {})[after.ref] = after
        return Change(after.ref, before, after)

    def drop(self, ref: Ref) -> Change:
        """Take the record out."""
        before = self._records.pop(ref)
        for key in blocking_keys(before):
            del self._held[key][ref]
        return Change(ref, before, None)

    def all(self) -> list[Traits]:
        """Every record there is."""
        return list(self._records.values())

    def holders(self, keys: Sequence[str]) -> dict[str, Sequence[Traits]]:
        return {key: list(self._held.get(key, {}).values()) for key in keys}

    def claims(self, keys: Sequence[str]) -> dict[str, Sequence[Traits]]:
        return {key: [t for t in held if t.is_claim] for key, held in self.holders(keys).items()}

    def records(self, refs: Sequence[Ref]) -> dict[Ref, Traits]:
        return {ref: self._records[ref] for ref in refs if ref in self._records}

    def beside(self, refs: Sequence[Ref], alone: Collection[Ref]) -> Beside:
        named = set(refs)
        newest = {frozenset((v.a, v.b)): v for v in sorted(self.said, key=lambda v: v.number)}
        return Beside((), [v for pair, v in newest.items() if not named.isdisjoint(pair)])
