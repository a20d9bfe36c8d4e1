"""Weights learned from records without labels, by expectation and maximisation.

The chance that a candidate pair is one customer comes from all fields but the one being learned:
candidates meet under a key, so a field that is a key agrees too often among them. What was shipped
counts as so many pairs seen before, so a small set moves the weights little.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from hub.identity.compare import GUARDS, Evidence, compare
from hub.identity.matching import Batch, Scorer
from hub.identity.traits import Traits
from hub.identity.weights import SHARED, Level, Weights

ROUNDS = 6
PAIRS_MAX = 40_000
RANDOM_PAIRS = 10_000
SEEN_BEFORE = 40.0
"""Pairs that what was shipped counts for, in each field."""

CHANCE_MIN = 0.02
Table = Sequence[Evidence]
Seen = dict[str, dict[str, float]]


def learn(batch: Batch, start: Weights) -> Weights:
    """The weights with what these records teach, their frequencies among it."""
    counted_ = counted(batch.records, start)
    candidates = batch.candidates
    step = max(1, len(candidates) // PAIRS_MAX)
    scorer = Scorer(counted_, batch.spreads)
    tables = [(a.kind, scorer.rows(a, b)) for a, b in batch.pairs(candidates[::step])]
    if not tables:
        return counted_
    share = len(tables) / len(candidates)
    weights = _with_u(counted_, batch)
    for _ in range(ROUNDS):
        weights = _round(tables, weights, counted_, share)
    return weights


def counted(records: Iterable[Traits], weights: Weights) -> Weights:
    """The weights with the frequencies of these records."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    kinds: Counter[str] = Counter()
    for t in records:
        kinds[t.kind] += 1
        for table, value in said(t):
            counts[table][value] += 1
    totals = {table: found.total() for table, found in counts.items()}
    often = {table: {v: n for v, n in found.items() if n > 1} for table, found in counts.items()}
    return Weights(weights.fields, dict(kinds), weights.per_customer, totals, often)


def said(t: Traits) -> Iterator[tuple[str, str]]:
    """(table, value) of everything whose frequency weighs."""
    if name := t.name:
        script = "_han" if name.is_han else ""
        for table in ("family", "given"):
            if value := getattr(name, table):
                yield table + script, value
                yield f"{table}_sound", getattr(name, f"{table}_sound")
        if name.nick:
            yield "nick", name.nick
    if t.company:
        yield ("org" if t.kind == "org" else "company"), t.company.sound
        if t.kind == "org":
            yield from (("word", word) for word in set(t.company.words))
    if t.place and t.place.numbers:
        yield "place", f"{t.place.street}|{t.place.numbers[0]}"
    for table in ("born", "city", "postcode"):
        if value := getattr(t, table):
            yield table, value
    for key, value in t.more:
        yield f"more.{key}", value


def _round(
    tables: Sequence[tuple[str, Table]], before: Weights, gathered: Weights, share: float
) -> Weights:
    """One expectation and maximisation; ``gathered`` are the weights the tables were made under."""
    seen: Seen = defaultdict(lambda: defaultdict(float))
    matches: dict[str, float] = defaultdict(float)
    moved = _Moved(before, gathered)
    for kind, rows in tables:
        bits = [row.bits + moved[row.field, row.level] for row in rows]
        whole = sum(bits) - before.prior_bits(kind)
        matches[kind] += _chance(whole)
        for row, own in zip(rows, bits, strict=True):
            chance = _chance(whole - own)
            if chance > CHANCE_MIN and row.field not in GUARDS and before.knows(row.field):
                seen[row.field][row.level] += chance
    return _maximised(before, gathered, seen, {kind: n / share for kind, n in matches.items()})


class _Moved(dict[tuple[str, str], float]):
    """By how many bits a level weighs more than when its evidence was gathered."""

    def __init__(self, now: Weights, then: Weights) -> None:
        super().__init__()
        self._now, self._then = now, then

    def __missing__(self, key: tuple[str, str]) -> float:
        field, level = key
        if not self._now.knows(field) or level not in self._now.levels(field):
            bits = 0.0
        elif level in SHARED:
            bits = self._now.m_bits(field, level) - self._then.m_bits(field, level)
        else:
            bits = self._now.bits(field, level) - self._then.bits(field, level)
        self[key] = bits
        return bits


def _chance(bits: float) -> float:
    return 1 / (1 + math.exp2(-max(min(bits, 60.0), -60.0)))


def _maximised(
    before: Weights, shipped: Weights, seen: Seen, matches: Mapping[str, float]
) -> Weights:
    fields = dict(before.fields)
    for field, found in seen.items():
        known = shipped.levels(field)
        total = sum(found.values()) + SEEN_BEFORE
        fields[field] = {
            name: Level(m=_share(found.get(name, 0.0), known[name].m, total, 0.002), u=level.u)
            for name, level in before.levels(field).items()
        }
    per = {
        kind: 1 + min(max(2 * n / max(before.records.get(kind, 1), 1), 0.05), 8.0)
        for kind, n in matches.items()
    }
    return Weights(
        fields, before.records, {**before.per_customer, **per}, before.totals, before.counts
    )


def _share(seen: float, known: float, total: float, least: float) -> float:
    return min(max((seen + SEEN_BEFORE * known) / total, least), 0.995)


def _with_u(weights: Weights, batch: Batch) -> Weights:
    """How often records picked at random stand at each level."""
    chance = random.Random(1)  # noqa: S311 - the same records give the same weights
    seen: Seen = defaultdict(lambda: defaultdict(float))
    for kind in ("person", "org"):
        group = [t for t in batch.records if t.kind == kind]
        group.sort(key=lambda t: t.ref)
        for _ in range(RANDOM_PAIRS if len(group) > COUNT_MIN else 0):
            a, b = chance.choice(group), chance.choice(group)
            if a is not b:
                for row in compare(a, b, weights, batch.spreads):
                    seen[row.field][row.level] += 1
    fields = dict(weights.fields)
    for field, found in seen.items():
        if field in GUARDS or not weights.knows(field):
            continue
        total = sum(found.values()) + SEEN_BEFORE
        fields[field] = {
            name: Level(m=level.m, u=_share(found.get(name, 0.0), level.u, total, 1e-4))
            for name, level in weights.levels(field).items()
        }
    return Weights(fields, weights.records, weights.per_customer, weights.totals, weights.counts)


COUNT_MIN = 50
"""Of fewer records, pairs picked at random are too often one customer."""
