"""What agreement and disagreement weigh: a versioned document, learned or shipped.

A weight is log2(m / u) bits. *m*: how often records of one customer show this level; *u*: how often
records of two customers do, taken from the frequency of the value where they agree on one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files

import orjson
from pydantic import BaseModel, ConfigDict, Field

RAREST = {
    "family": 1e-4,
    "family_han": 1e-4,
    "family_sound": 1e-4,
    "given": 2e-4,
    "given_han": 2e-4,
    "given_sound": 2e-4,
    "nick": 1e-4,
}
"""No value is taken for rarer than this: the data are a sample, and people name alike."""

RAREST_OTHER = 1e-5
UNKNOWN = {
    "place": 1e-4,
    "born": 1e-4,
    "postcode": 1e-3,
    "company": 1e-3,
    "org": 1e-3,
    "city": 0.02,
}
UNKNOWN_OTHER = 5e-3
"""How frequent a value is where nobody has counted."""

COUNTS_MIN = 20
"""A table of fewer values says nothing about how frequent one is."""

KEPT = 3
"""How often a value must have been seen to be kept in the document; others count as seen once."""

PERSONAL = frozenset({"born", "place"})
"""Tables whose values are personal data: how often each was said is counted, but not kept."""

SHARED = frozenset({"exact", "sound", "spelled"})
"""Levels that agree on a value; it, not the level, tells u."""


class Level(BaseModel):
    """One way in which two values of a field can stand to each other."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    m: float = Field(gt=0, lt=1)
    u: float = Field(gt=0, le=1)


Fields = Mapping[str, Mapping[str, Level]]
Counts = Mapping[str, Mapping[str, int]]


class Document(BaseModel):
    """Weights as they are stored.

    Attributes:
        form: version of this form.
        records: kind → how many records it was learned from; the prior follows from it.
        per_customer: kind → how many of them the customer of a record has.
        fields: field → level → m and u.
        totals: table → how many records say something.
        counts: table → value → how many say this, of values said often.
    """

    model_config = ConfigDict(extra="forbid")
    form: int = Field(default=1, ge=1, le=1)
    records: dict[str, int]
    per_customer: dict[str, float]
    fields: dict[str, dict[str, Level]]
    totals: dict[str, int] = {}
    counts: dict[str, dict[str, int]] = {}


class Weights:
    """Weights as they are used; they never change."""

    __slots__ = (
        "_bits",
        "_m",
        "_prior",
        "_version",
        "counts",
        "fields",
        "per_customer",
        "records",
        "totals",
    )

    def __init__(
        self,
        fields: Fields,
        records: Mapping[str, int],
        per_customer: Mapping[str, float],
        totals: Mapping[str, int],
        counts: Counts,
    ) -> None:
        self.fields, self.records, self.per_customer = fields, records, per_customer
        self.totals, self.counts = totals, counts
        levels = {(f, name): level for f, found in fields.items() for name, level in found.items()}
        self._bits = {key: math.log2(level.m / level.u) for key, level in levels.items()}
        self._m = {key: math.log2(level.m) for key, level in levels.items()}
        self._version = ""
        self._prior = {kind: self._prior_of(kind) for kind in ("person", "org")}

    def _prior_of(self, kind: str) -> float:
        others = max(self.per_customer.get(kind, 2.0) - 1, 0.1)
        return math.log2(max(self.records.get(kind, 0), 2) / others)

    def prior_bits(self, kind: str) -> float:
        """Bits against two records of a kind, picked at random, being one customer."""
        return self._prior[kind]

    def knows(self, field: str) -> bool:
        """Whether the field has levels; an identifier that agrees is weighed by its spread."""
        return field in self.fields or family_of(field) in self.fields

    def levels(self, field: str) -> Mapping[str, Level]:
        """The levels of a field; one nobody has learned about yet has those of its family."""
        return self.fields.get(field) or self.fields[family_of(field)]

    def bits(self, field: str, level: str) -> float:
        """The weight of a level that agrees on no value."""
        found = self._bits.get((field, level))
        return self._bits[family_of(field), level] if found is None else found

    def shared_bits(self, field: str, level: str, table: str, value: str) -> float:
        """The weight of agreeing on this value: the rarer, the more."""
        return self.m_bits(field, level) - math.log2(self.frequency(table, value))

    def m_bits(self, field: str, level: str) -> float:
        """Log2 of m."""
        found = self._m.get((field, level))
        return self._m[family_of(field), level] if found is None else found

    def frequency(self, table: str, value: str) -> float:
        """How often a value stands in records of other customers that have one."""
        total = self.totals.get(table, 0)
        rarest = RAREST.get(table, RAREST_OTHER)
        if total <= COUNTS_MIN:
            return UNKNOWN.get(table, UNKNOWN_OTHER)
        counts = self.counts.get(table)
        if counts is None and table in PERSONAL:
            return max(UNKNOWN[table], 1 / total)
        seen = counts.get(value, 1) if counts else 1
        per = self.per_customer.get("org" if table in ("org", "word") else "person", 2.0)
        return max(max(seen / per, 1.0) / total, rarest)

    @property
    def version(self) -> str:
        """Equal for equal weights."""
        self._version = self._version or sha256(dumps(self)).hexdigest()[:12]
        return self._version


def family_of(field: str) -> str:
    """``more.state`` begins as every other field nobody told us the meaning of."""
    return field.partition(".")[0]


def loads(text: bytes | str) -> Weights:
    """Weights from their document."""
    found = Document.model_validate_json(text)
    return Weights(found.fields, found.records, found.per_customer, found.totals, found.counts)


def dumps(weights: Weights) -> bytes:
    """Their document; values seen seldom are left out, and count as seen once.

    Birth dates and addresses are left out however often they were seen.
    """
    counts = {
        table: {value: n for value, n in sorted(found.items()) if n >= KEPT}
        for table, found in weights.counts.items()
        if table not in PERSONAL
    }
    fields = {
        field: {name: level.model_dump() for name, level in found.items()}
        for field, found in weights.fields.items()
    }
    document = {
        "form": 1,
        "records": dict(weights.records),
        "per_customer": dict(weights.per_customer),
        "fields": fields,
        "totals": dict(weights.totals),
        "counts": counts,
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)


@cache
def shipped() -> Weights:
    """What a hub begins with that has learned nothing yet."""
    return loads(files("hub.identity").joinpath("weights.json").read_bytes())
