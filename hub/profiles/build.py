"""Builds a profile from the records behind it: pure, and the same for every order of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from hub.models import (
    OPEN_STATUSES,
    PARTY_KINDS,
    Address,
    Asset,
    Invoice,
    Level,
    Message,
    Order,
    Party,
    Person,
    Record,
    Ticket,
)
from hub.models.normalise import identifier_value
from hub.profiles.document import Contact, Fact, Member, Other, Profile, Source, Value

SHOWN = 20
"""How many facts of each kind a profile shows."""

_SURENESS = (Level.PROVEN, Level.RECORDED, Level.CLAIMED)
_HIDDEN = frozenset({"ref", "version", "occurred_at", "extra", "html", "description"})


@dataclass(frozen=True, slots=True)
class Held:
    """A stored record and where it came from."""

    record: Record
    source: Source


def build(
    id_: str,
    held: Iterable[Held],
    *,
    priority: Sequence[str],
    regions: Mapping[str, str],
    now: datetime,
) -> Profile | None:
    """The customer's profile; None when no party record is left.

    Args:
        held: the customer's party records and the newest facts of each kind.
        priority: connections whose values win, best first; others follow, newest first.
        regions: country of numbers without a country code, by connection.
    """
    ordered = sorted(held, key=lambda h: h.source.ref)
    parties = [(h.record, h.source) for h in ordered if isinstance(h.record, Party)]
    if not parties:
        return None
    ranked = sorted(parties, key=lambda p: _rank(p[1], priority))
    facts = sorted((h for h in ordered if h.record.kind not in PARTY_KINDS), key=_newest)
    kinds = {party.kind for party, _ in parties}
    return Profile(
        id=id_,
        kind=next(kind for kind in PARTY_KINDS if kind in kinds),
        name=_survivor((party.name, source) for party, source in ranked),
        organization=_survivor((_organization(party), source) for party, source in ranked),
        title=_survivor((getattr(party, "title", ""), source) for party, source in ranked),
        tier=_survivor((party.tier, source) for party, source in ranked),
        owner=_survivor((party.owner, source) for party, source in ranked),
        language=_survivor((party.language, source) for party, source in ranked),
        tags=tuple(dict.fromkeys(tag for party, _ in ranked for tag in party.tags)),
        contacts=_contacts(ranked, regions),
        addresses=_addresses(ranked),
        open_requests=_facts(
            h for h in facts if isinstance(h.record, Ticket) and h.record.status in OPEN_STATUSES
        ),
        orders=_facts(h for h in facts if isinstance(h.record, Order)),
        invoices=_facts(h for h in facts if isinstance(h.record, Invoice)),
        assets=_facts(h for h in facts if isinstance(h.record, Asset)),
        timeline=_facts(facts),
        members=tuple(
            Member(source=source, kind=party.kind, name=party.name) for party, source in ranked
        ),
        built_at=now,
    )


def fact_of(held: Held) -> Fact:
    """A record as the card and the timeline show it."""
    r = held.record
    shown = r.model_dump(mode="json", exclude=set(_HIDDEN), exclude_defaults=True)
    return Fact(
        kind=r.kind,
        source=held.source,
        occurred_at=r.occurred_at,
        summary=_summary(r),
        status=str(getattr(r, "status", "")),
        fields=shown,
    )


def _rank(source: Source, priority: Sequence[str]) -> tuple[int, float, str]:
    place = priority.index(source.connection) if source.connection in priority else len(priority)
    return place, -source.seen_at.timestamp(), source.ref


def _newest(held: Held) -> tuple[float, str]:
    at = held.record.occurred_at
    return -(at.timestamp() if at else 0.0), held.source.ref


def _survivor(values: Iterable[tuple[str, Source]]) -> Value | None:
    """The first value in order of rank; the differing ones are kept as losers."""
    given = [(value, source) for value, source in values if value]
    if not given:
        return None
    (value, source), *rest = given
    others = {other: Other(value=other, source=s) for other, s in rest if other != value}
    reason = "only value" if not others else "source priority, then newest"
    return Value(value=value, source=source, reason=reason, others=tuple(others.values()))


def _organization(party: Party) -> str:
    return party.organization_name if isinstance(party, Person) else ""


def _contacts(
    ranked: Sequence[tuple[Party, Source]], regions: Mapping[str, str]
) -> tuple[Contact, ...]:
    known: dict[tuple[str, str], list[tuple[Level, str, Source]]] = defaultdict(list)
    for party, source in ranked:
        for point in party.contact_points:
            region = regions.get(source.connection, "CN")
            value = identifier_value(point.type, point.value, region) or point.value
            known[point.type, value].append((point.level, point.label, source))
    return tuple(
        Contact(
            type=type_,
            value=value,
            level=min((level for level, _, _ in holders), key=_SURENESS.index),
            label=next((label for _, label, _ in holders if label), ""),
            sources=tuple({s.ref: s for _, _, s in holders}.values()),
        )
        for (type_, value), holders in known.items()
    )


def _addresses(ranked: Sequence[tuple[Party, Source]]) -> tuple[Address, ...]:
    return tuple(dict.fromkeys(a for party, _ in ranked for a in party.addresses if a != Address()))


def _facts(held: Iterable[Held]) -> tuple[Fact, ...]:
    return tuple(fact_of(h) for h, _ in zip(held, range(SHOWN), strict=False))


def _summary(r: Record) -> str:
    if isinstance(r, Message):
        return r.subject or r.text[:120]
    if isinstance(r, Order):
        return r.reference or r.number or r.ref.id
    names = ("subject", "title", "name", "number", "serial_number", "comment")
    return next((text for name in names if (text := getattr(r, name, ""))), r.ref.id)
