"""Builds a profile from the records behind it: pure, and the same for every order of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from hub.models import (
    OPEN_STATUSES,
    PARTY_KINDS,
    Asset,
    Invoice,
    Level,
    Message,
    Order,
    Party,
    Record,
    Ticket,
)
from hub.models.normalise import identifier_value
from hub.profiles.document import Fact, Profile, Source

SHOWN = 20
"""How many facts of each kind a profile shows."""

_SURVIVORS = (
    ("name", "name"),
    ("organization", "organization_name"),
    ("title", "title"),
    ("tier", "tier"),
    ("owner", "owner"),
    ("language", "language"),
)
"""Values of the profile of which one survives, and what the records call each."""

_SURENESS = (Level.PROVEN, Level.RECORDED, Level.CLAIMED)
_HIDDEN = frozenset({"ref", "version", "occurred_at", "extra", "html", "description"})


Document = dict[str, Any]
"""A ``Profile`` as JSON has it, without what is empty."""


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
    """The customer's profile; None when no party record is left. See ``document``."""
    made = document(id_, held, priority=priority, regions=regions, now=now)
    return None if made is None else Profile.model_validate(made)


def document(
    id_: str,
    held: Iterable[Held],
    *,
    priority: Sequence[str],
    regions: Mapping[str, str],
    now: datetime,
) -> Document | None:
    """The customer's profile as a document; None when no party record is left.

    What goes in was validated when it became a record, so no model is made of what comes out.

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
    kinds = {party.kind for party, _ in parties}
    shown = {
        "id": id_,
        "kind": next(kind for kind in PARTY_KINDS if kind in kinds),
        **{name: _survivor(field, ranked) for name, field in _SURVIVORS},
        "tags": list(dict.fromkeys(tag for party, _ in ranked for tag in party.tags)),
        "contacts": _contacts(ranked, regions),
        "addresses": _addresses(ranked),
        "members": [
            {"source": vars(source), "kind": party.kind, "name": party.name}
            for party, source in ranked
        ],
        "built_at": now,
    }
    if len(ordered) > len(parties):
        facts = (h for h in ordered if h.record.kind not in PARTY_KINDS)
        shown |= _of_facts(sorted(facts, key=_newest))
    return {name: value for name, value in shown.items() if value}


def _of_facts(facts: Sequence[Held]) -> Document:
    """What the profile shows of facts, the newest first."""
    return {
        "open_requests": _facts(
            h for h in facts if isinstance(h.record, Ticket) and h.record.status in OPEN_STATUSES
        ),
        "orders": _facts(h for h in facts if isinstance(h.record, Order)),
        "invoices": _facts(h for h in facts if isinstance(h.record, Invoice)),
        "assets": _facts(h for h in facts if isinstance(h.record, Asset)),
        "timeline": _facts(facts),
    }


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


def _survivor(field: str, ranked: Sequence[tuple[Party, Source]]) -> Document:
    """The first value in order of rank; the differing ones are kept as losers."""
    won: Document = {}
    others: Document = {}
    for party, source in ranked:
        value = getattr(party, field, "")
        if value and not won:
            won = {"value": value, "source": vars(source), "reason": "only value"}
        elif value and value != won["value"]:
            others[value] = {"value": value, "source": vars(source)}
    if others:
        won |= {"reason": "source priority, then newest", "others": list(others.values())}
    return won


def _contacts(ranked: Sequence[tuple[Party, Source]], regions: Mapping[str, str]) -> list[Document]:
    known: dict[tuple[str, str], list[tuple[Level, str, Source]]] = defaultdict(list)
    for party, source in ranked:
        for point in party.contact_points:
            region = regions.get(source.connection, "CN")
            value = identifier_value(point.type, point.value, region) or point.value
            known[point.type, value].append((point.level, point.label, source))
    return [_contact(type_, value, holders) for (type_, value), holders in known.items()]


def _contact(type_: str, value: str, holders: Sequence[tuple[Level, str, Source]]) -> Document:
    shown: Document = {
        "type": type_,
        "value": value,
        "level": min((level for level, _, _ in holders), key=_SURENESS.index),
        "sources": list({s.ref: vars(s) for _, _, s in holders}.values()),
    }
    if label := next((label for _, label, _ in holders if label), ""):
        shown["label"] = label
    return shown


def _addresses(ranked: Sequence[tuple[Party, Source]]) -> list[Document]:
    found: list[Document] = []
    for party, _ in ranked:
        for address in party.addresses:
            shown = {name: part for name, part in vars(address).items() if part}
            if shown and shown not in found:
                found.append(shown)
    return found


def _facts(held: Iterable[Held]) -> list[Document]:
    newest = islice(held, SHOWN)
    return [fact_of(h).model_dump(mode="json", exclude_defaults=True) for h in newest]


def _summary(r: Record) -> str:
    if isinstance(r, Message):
        return r.subject or r.text[:120]
    if isinstance(r, Order):
        return r.reference or r.number or r.ref.id
    names = ("subject", "title", "name", "number", "serial_number", "comment")
    return next((text for name in names if (text := getattr(r, name, ""))), r.ref.id)
