"""Builds a profile from the records behind it: pure, and the same for every order of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from operator import itemgetter
from typing import Any

from hub.models import (
    BY_HAND,
    OPEN_STATUSES,
    PARTY_KINDS,
    Asset,
    Call,
    Consent,
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
from hub.profiles.catalogue import Catalogue
from hub.profiles.document import Fact, Profile, Source
from hub.profiles.tally import Tally
from hub.profiles.traits import bases

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

PINNABLE = tuple(name for name, _ in _SURVIVORS)
"""Values an administrator may pin."""

_RULES = ("source priority", "verified", "newest", "most complete", "first by name")
"""What a value may have won by, in this order: see ``_rank``."""

_SURENESS = (Level.PROVEN, Level.RECORDED, Level.CLAIMED)
_HIDDEN = frozenset({"ref", "version", "occurred_at", "extra", "html", "description"})


Document = dict[str, Any]
"""A ``Profile`` as JSON has it, without what is empty."""


@dataclass(frozen=True, slots=True)
class Held:
    """A stored record and where it came from."""

    record: Record
    source: Source


@dataclass(frozen=True, slots=True)
class Pin:
    """A value a person said is the right one."""

    field: str
    value: str
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Material:
    """All a profile is made from.

    Attributes:
        held: the customer's party records and the newest facts of each kind.
        tallies: sums over all facts.
        pins: the newest of each field counts.
    """

    held: Sequence[Held]
    tallies: Sequence[Tally] = ()
    pins: Sequence[Pin] = ()


@dataclass(frozen=True, slots=True)
class Manner:
    """How profiles are made here.

    Attributes:
        priority: connections whose values win, best first.
        regions: country of numbers without a country code, by connection.
        catalogue: the traits to keep something for.
    """

    priority: Sequence[str]
    regions: Mapping[str, str]
    catalogue: Catalogue


Ranked = tuple[Party, Source, tuple[Any, ...]]
"""A party record, where it came from, and its rank."""


def build(id_: str, material: Material, manner: Manner, now: datetime) -> Profile | None:
    """The customer's profile; None when no party record is left. See ``document``."""
    made = document(id_, material, manner, now)
    return None if made is None else Profile.model_validate(made)


def document(id_: str, material: Material, manner: Manner, now: datetime) -> Document | None:
    """The customer's profile as a document; None when no party record is left.

    What goes in was validated when it became a record, so no model is made of what comes out.
    """
    ordered = sorted(material.held, key=lambda h: h.source.ref)
    parties = [(h.record, h.source) for h in ordered if isinstance(h.record, Party)]
    if not parties:
        return None
    ranked = _ranked(parties, manner.priority)
    kinds = {party.kind for party, _ in parties}
    pins = {pin.field: pin for pin in sorted(material.pins, key=lambda pin: pin.at)}
    shown = {
        "id": id_,
        "kind": next(kind for kind in PARTY_KINDS if kind in kinds),
        **{name: _survivor(field, ranked, pins.get(name)) for name, field in _SURVIVORS},
        "tags": list(dict.fromkeys(tag for party, _, _ in ranked for tag in party.tags)),
        "contacts": _contacts(ranked, manner.regions),
        "addresses": _addresses(ranked),
        "consents": _consents(ranked),
        "companies": _companies(ranked),
        "members": [
            {"source": vars(source), "kind": party.kind, "name": party.name}
            for party, source, _ in ranked
        ],
        "built_at": now,
    }
    if len(ordered) > len(parties):
        facts = (h for h in ordered if h.record.kind not in PARTY_KINDS)
        shown |= _of_facts(sorted(facts, key=_newest))
    if material.tallies:
        shown["bases"] = bases(manner.catalogue, material.tallies, now)
    return {name: value for name, value in shown.items() if value}


def _of_facts(facts: Sequence[Held]) -> Document:
    """What the profile shows of facts, the newest first."""
    open_ = [h for h in facts if isinstance(h.record, Ticket) and h.record.status in OPEN_STATUSES]
    due = sorted(h.record.due_at for h in open_ if isinstance(h.record, Ticket) and h.record.due_at)
    return {
        "last_contact": _last_contact(facts),
        "due": due[:SHOWN],
        "open_requests": _facts(open_),
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


def _ranked(parties: Sequence[tuple[Party, Source]], priority: Sequence[str]) -> Sequence[Ranked]:
    if len(parties) == 1:
        return [(*parties[0], ())]
    ranked = [(party, source, _rank(party, source, priority)) for party, source in parties]
    return sorted(ranked, key=itemgetter(2))


def _rank(party: Party, source: Source, priority: Sequence[str]) -> tuple[Any, ...]:
    """The order in which party records are believed; see ``_RULES``."""
    place = priority.index(source.connection) if source.connection in priority else len(priority)
    sureness = min((_SURENESS.index(p.level) for p in party.contact_points), default=1)
    complete = sum(bool(getattr(party, name)) for name in type(party).model_fields)
    return place, sureness, -source.seen_at.timestamp(), -complete, source.ref


def _newest(held: Held) -> tuple[float, str]:
    at = held.record.occurred_at
    return -(at.timestamp() if at else 0.0), held.source.ref


def _survivor(field: str, ranked: Sequence[Ranked], pin: Pin | None) -> Document:
    """The pinned value, else the first in order of rank; the differing ones are kept as losers."""
    won = _pinned(pin) if pin else {}
    best: tuple[Any, ...] = ()
    others: Document = {}
    for party, source, rank in ranked:
        value = getattr(party, field, "")
        if value and not won:
            won, best = {"value": value, "source": vars(source), "reason": "only value"}, rank
        elif value and value != won["value"]:
            if best and not others:
                won["reason"] = _won_by(best, rank)
            others[value] = {"value": value, "source": vars(source)}
    if others:
        won["others"] = list(others.values())
    return won


def _pinned(pin: Pin) -> Document:
    source = Source(
        ref=f"{BY_HAND}/pins/{pin.field}", connection=BY_HAND, mapping_version="", seen_at=pin.at
    )
    told = {"value": pin.value, "source": vars(source), "reason": "pinned"}
    return {**told, "pinned_by": pin.actor}


def _won_by(winner: tuple[Any, ...], loser: tuple[Any, ...]) -> str:
    """The first rule that tells the two apart."""
    pairs = zip(_RULES, winner, loser, strict=True)
    return next(rule for rule, mine, other in pairs if mine != other)


def _last_contact(facts: Iterable[Held]) -> Document:
    for h in facts:
        r = h.record
        if isinstance(r, Message | Call) and r.occurred_at:
            told = {"occurred_at": r.occurred_at, "kind": r.kind, "direction": r.direction}
            return {**told, "source": vars(h.source)}
    return {}


def _consents(ranked: Sequence[Ranked]) -> list[Document]:
    """The newest word on each purpose; one without an instant yields to one with."""
    found: dict[str, Document] = {}
    for party, source, _ in ranked:
        for said in party.consents:
            known = found.get(said.purpose)
            if known is None or _is_later(said, known):
                told = {"purpose": said.purpose, "granted": said.granted, "source": vars(source)}
                found[said.purpose] = {
                    **told,
                    **({"said_at": said.said_at} if said.said_at else {}),
                }
    return list(found.values())


def _is_later(said: Consent, known: Document) -> bool:
    return said.said_at is not None and ("said_at" not in known or said.said_at > known["said_at"])


def _companies(ranked: Sequence[Ranked]) -> list[Document]:
    """Those a person acts for, each once: by its record, or by name where there is no more."""
    found: dict[str, Document] = {}
    for party, source, _ in ranked:
        if not isinstance(party, Person) or not (party.organization or party.organization_name):
            continue
        ref = str(party.organization) if party.organization else ""
        named = {"ref": ref, "name": party.organization_name, "title": party.title}
        told = {name: value for name, value in named.items() if value}
        found.setdefault(ref or party.organization_name, {**told, "source": vars(source)})
    referred = {company.get("name") for company in found.values() if "ref" in company}
    return [c for c in found.values() if "ref" in c or c["name"] not in referred]


def _contacts(ranked: Sequence[Ranked], regions: Mapping[str, str]) -> list[Document]:
    known: dict[tuple[str, str], list[tuple[Level, str, Source]]] = defaultdict(list)
    for party, source, _ in ranked:
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


def _addresses(ranked: Sequence[Ranked]) -> list[Document]:
    found: list[Document] = []
    for party, _, _ in ranked:
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
