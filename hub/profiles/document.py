"""The customer 360 as one document, ready to serve."""

from __future__ import annotations

from datetime import date
from typing import Any

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from hub.models import Address, Instant, Level, Model
from hub.profiles.catalogue import Label


class Source(Model):
    """Where a value or fact comes from.

    Attributes:
        ref: ``connection/stream/id`` of the record.
        connection: the connection's name: the badge beside the value.
        mapping_version: the content hash of the mapping that read it.
        seen_at: when the hub received it; the age of the value.
    """

    ref: str
    connection: str
    mapping_version: str
    seen_at: Instant


class Value(Model):
    """One value of the profile, whence it came, why it won, and what lost to it."""

    value: str
    source: Source
    reason: str = Field(description="the survivorship rule that chose it")
    pinned_by: str = Field(default="", description="who said so, when it was pinned")
    others: tuple[Other, ...] = ()


class Other(Model):
    """A value that lost."""

    value: str
    source: Source


class Contact(Model):
    """One way to reach the customer, once, with everybody who knows it.

    Attributes:
        value: normalised: E.164 for phones, lower case for e-mail.
        level: the surest of its sources.
    """

    type: str
    value: str
    level: Level
    label: str = ""
    sources: tuple[Source, ...]


class Fact(Model):
    """A record that belongs to the customer: an order, a ticket, an invoice, a device …

    Attributes:
        summary: one line a person reads.
        status: in canonical words, empty where the kind has none.
        fields: the canonical record without what stands elsewhere here.
    """

    kind: str
    source: Source
    occurred_at: Instant | None = None
    summary: str
    status: str = ""
    fields: dict[str, Any] = Field(default_factory=dict)


class Member(Model):
    """One party record the profile is made of."""

    source: Source
    kind: str
    name: str


class Consented(Model):
    """What the customer agreed to, or refused, as the newest word on it has it."""

    purpose: str
    granted: bool
    said_at: Instant | None = None
    source: Source


class Contacted(Model):
    """The last words exchanged."""

    occurred_at: Instant
    kind: str
    direction: str
    source: Source


class Company(Model):
    """A company a person acts for. What is shown of it belongs to the company, not to the person.

    Attributes:
        ref: its record, where the source refers to one.
        title: the person's, there.
        customer_id: the customer it is today; "" when only its name is known.
        open_requests, orders: the company's own, the newest first, a few of each.
    """

    ref: str = ""
    name: str = ""
    title: str = ""
    source: Source
    customer_id: str = ""
    tier: str = ""
    open_requests: tuple[Fact, ...] = ()
    orders: tuple[Fact, ...] = ()


class Colleague(Model):
    """Somebody who acts for the company the profile is of.

    Attributes:
        open_requests: how many of theirs are shown as open.
    """

    customer_id: str
    name: str
    title: str = ""
    open_requests: int = 0


class Basis(Model):
    """What is kept of the whole history for one trait, so that it can be told for any day."""

    aggregate: str
    past_days: int | None = None
    next_days: int | None = None
    rows: tuple[tuple[int | None, str, int, int], ...] = ()


class Figure(Model):
    """An amount in one unit."""

    value: float
    unit: str


class Computed(Model):
    """A trait as it is now: over the whole history, not over the facts shown.

    Attributes:
        value: a count, an average, a sum in the minor unit of its currency, or a number of days.
        unit: of sums and averages: the currency, or the scale of a score.
        falls_on: of newest and soonest: the day itself.
        others: sums in other currencies.
    """

    label: Label
    aggregate: str
    value: float
    unit: str = ""
    falls_on: date | None = None
    others: tuple[Figure, ...] = ()


class Labelled(Model):
    """A signal or segment the customer has."""

    id: str
    label: Label


class Service(Model):
    """How we stand with the requests that are open.

    Attributes:
        overdue: how many should have been answered by now, at most ``SHOWN``.
        next_due_at: when the next one has to be.
    """

    overdue: int = 0
    next_due_at: Instant | None = None


class Profile(Model):
    """The merged view of one customer.

    Attributes:
        consents: what the customer agreed to, or refused.
        traits, signals, segments: as traits.toml has them, by the day of reading.
        service: whether we keep our word on open requests.
        last_contact: the last message or call.
        companies: those a person acts for; people: those who act for an organisation.
        open_requests: tickets not solved or closed, newest first.
        orders, invoices, assets: newest first, at most ``SHOWN`` of each.
        timeline: the newest facts of every kind, newest first; older ones are paged.
        members: the party records behind it; more than one means they were matched.
        bases, due: what traits and ``service`` are told from; kept, never shown.
    """

    id: str
    kind: str
    name: Value | None = None
    organization: Value | None = None
    title: Value | None = None
    tier: Value | None = None
    owner: Value | None = None
    language: Value | None = None
    tags: tuple[str, ...] = ()
    contacts: tuple[Contact, ...] = ()
    addresses: tuple[Address, ...] = ()
    consents: tuple[Consented, ...] = ()
    companies: tuple[Company, ...] = ()
    people: tuple[Colleague, ...] = ()
    traits: dict[str, Computed] = Field(default_factory=dict)
    signals: tuple[Labelled, ...] = ()
    segments: tuple[Labelled, ...] = ()
    service: Service | None = None
    last_contact: Contacted | None = None
    open_requests: tuple[Fact, ...] = ()
    orders: tuple[Fact, ...] = ()
    invoices: tuple[Fact, ...] = ()
    assets: tuple[Fact, ...] = ()
    timeline: tuple[Fact, ...] = ()
    members: tuple[Member, ...] = ()
    bases: SkipJsonSchema[dict[str, Basis]] = Field(default_factory=dict)
    due: SkipJsonSchema[tuple[Instant, ...]] = ()
    built_at: Instant
