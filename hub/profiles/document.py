"""The customer 360 as one document, ready to serve."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hub.models import Address, Instant, Level, Model


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


class Profile(Model):
    """The merged view of one customer.

    Attributes:
        open_requests: tickets not solved or closed, newest first.
        orders, invoices, assets: newest first, at most ``SHOWN`` of each.
        timeline: the newest facts of every kind, newest first; older ones are paged.
        counts: how many facts of each kind are shown, and whether there are more.
        members: the party records behind it; more than one means they were matched.
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
    open_requests: tuple[Fact, ...] = ()
    orders: tuple[Fact, ...] = ()
    invoices: tuple[Fact, ...] = ()
    assets: tuple[Fact, ...] = ()
    timeline: tuple[Fact, ...] = ()
    members: tuple[Member, ...] = ()
    built_at: Instant
