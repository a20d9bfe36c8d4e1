"""People and organisations: the records identity works on."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from hub.models.base import Address, Instant, Model, Record, Ref


class Level(StrEnum):
    """How sure a contact point or identifier is.

    ``proven``: the vendor verified it. ``recorded``: a colleague or a system of record entered it.
    ``claimed``: typed by a stranger, a form, a ``From:`` header; it never merges two customers.
    """

    PROVEN = "proven"
    RECORDED = "recorded"
    CLAIMED = "claimed"


class ContactPoint(Model):
    """One way to reach or recognise a party.

    Attributes:
        type: ``phone``, ``email``, ``website``, ``fax``, or an identifier such as ``tax_id``
            (统一社会信用代码, GB 32100), ``unionid``, ``member_no``, ``username``.
        value: as the source wrote it; identity normalises (E.164 for phones, lower case for mail).
        level: how sure it is.
        label: the source's own word for it, such as "work" or 手机.
    """

    type: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    value: str = Field(min_length=1, max_length=320)
    level: Level = Level.RECORDED
    label: str = ""


class Consent(Model):
    """What a party agreed to, or refused.

    Attributes:
        purpose: such as ``marketing``, ``email``, ``sms``, ``profiling``.
        said_at: when, where the source knows.
    """

    purpose: str = Field(min_length=1)
    granted: bool
    said_at: Instant | None = None


class Party(Record):
    """Somebody the company deals with.

    Attributes:
        name: the full name as the source shows it.
        contact_points: how to reach or recognise the party.
        addresses: postal addresses, the main one first.
        tier: the company's own grade of the customer, such as "VIP".
        owner: the colleague in charge, as the source names them.
        tags: free labels.
        language: BCP 47, such as ``zh-CN``.
        consents: what the party agreed to, or refused.
    """

    name: str = ""
    contact_points: tuple[ContactPoint, ...] = ()
    addresses: tuple[Address, ...] = ()
    tier: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    language: str = ""
    consents: tuple[Consent, ...] = ()


class Person(Party):
    """A human being; ``organization`` is whom they act for, as text or as a reference."""

    organization: Ref | None = None
    organization_name: str = ""
    title: str = ""


class Organization(Party):
    """A company, agency or household with a name of its own."""


class Agent(Record):
    """A colleague who serves customers; never a customer.

    Attributes:
        name: as shown to colleagues.
        email: work address, where known.
        active: False once the account is closed.
    """

    name: str
    email: str = ""
    active: bool = True


PARTY_KINDS = (Person.kind, Organization.kind)
