"""What is read of each object, and SOQL for it: pure.

Source: https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl (checked 2026-11)
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, NamedTuple

from hub.sdk import Raw, Window, instant, parted, written

OBJECTS = {
    "contacts": "Contact",
    "accounts": "Account",
    "leads": "Lead",
    "cases": "Case",
    "comments": "CaseComment",
    "opportunities": "Opportunity",
    "orders": "Order",
}
COMMON = "Id IsDeleted CreatedDate SystemModstamp"
FIELDS = {
    "contacts": "MasterRecordId AccountId Account.Name Salutation FirstName LastName Title Email "
    "Phone MobilePhone HomePhone OtherPhone Fax MailingStreet MailingCity MailingState "
    "MailingPostalCode MailingCountry HasOptedOutOfEmail DoNotCall LeadSource Owner.Name "
    "CurrencyIsoCode",
    "accounts": "MasterRecordId ParentId Name IsPersonAccount PersonEmail PersonMobilePhone "
    "AccountNumber Type Industry Rating Phone Fax Website NumberOfEmployees BillingStreet "
    "BillingCity BillingState BillingPostalCode BillingCountry ShippingStreet ShippingCity "
    "ShippingState ShippingPostalCode ShippingCountry Owner.Name CurrencyIsoCode",
    "leads": "MasterRecordId Salutation FirstName LastName Company Title Email Phone MobilePhone "
    "Website Street City State PostalCode Country Status Rating LeadSource IsConverted "
    "ConvertedContactId ConvertedAccountId ConvertedOpportunityId HasOptedOutOfEmail Owner.Name",
    "cases": "MasterRecordId CaseNumber Subject Description Status Priority Origin Type Reason "
    "AccountId ContactId SuppliedEmail SuppliedName SuppliedPhone Owner.Name ClosedDate IsClosed "
    "IsEscalated",
    "comments": "ParentId CommentBody IsPublished CreatedById CreatedBy.Name CreatedBy.UserType",
    "opportunities": "AccountId ContactId Name StageName Amount Probability CloseDate IsClosed "
    "IsWon Type LeadSource Owner.Name CurrencyIsoCode",
    "orders": "AccountId OrderNumber PoNumber OrderReferenceNumber EffectiveDate EndDate Status "
    "StatusCode Type TotalAmount CurrencyIsoCode",
}
FINDABLE = frozenset({"Email", "Phone", "MobilePhone", "Name", "Website", "AccountNumber"})
_YES_NO = re.compile(r"(?:Is|Has|Do)[A-Z]")


class Place(NamedTuple):
    """Behind which row a query goes on; the instant as Salesforce wrote it."""

    at: str = ""
    id: str = ""

    @classmethod
    def of(cls, row: Raw) -> Place:
        return cls(literal(row["SystemModstamp"]), row["Id"])


def literal(told: Any) -> str:
    """An instant for SOQL, which takes no ``+0000``; to the millisecond, as a row has it."""
    at = instant(told)
    if at is None:
        raise ValueError
    return written(at, "%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"


def version(row: Raw) -> str:
    """The version of a row, as its mapping reads it."""
    at = instant(row["SystemModstamp"])
    return written(at, "%Y-%m-%dT%H:%M:%S.%fZ") if at else ""


def quoted(value: object) -> str:
    """A text for SOQL."""
    return "'" + re.sub(r"(['\\])", r"\\\1", str(value)).replace("\n", r"\n") + "'"


def select(
    stream: str, fields: Sequence[str], *conditions: str, order: str = "", limit: int = 0
) -> str:
    """A query for rows that meet every condition."""
    met = [condition for condition in conditions if condition]
    parts = (
        ("SELECT", ", ".join(fields)),
        ("FROM", OBJECTS[stream]),
        ("WHERE", " AND ".join(met)),
        ("ORDER BY", order),
        ("LIMIT", str(limit or "")),
    )
    return " ".join(f"{word} {said}" for word, said in parts if said)


def changed_since(since: datetime | None, behind: Place) -> str:
    """Rows changed at or after that instant, behind that one: by (SystemModstamp, Id)."""
    if not behind.id:
        return f"SystemModstamp >= {literal(since)}" if since else ""
    # The first part is implied by the others, and lets the index be used.
    return (
        f"SystemModstamp >= {behind.at} AND (SystemModstamp > {behind.at} OR "
        f"(SystemModstamp = {behind.at} AND Id > {quoted(behind.id)}))"
    )


def any_of(values: Raw) -> str:
    """Rows that have one of these values; "" when none of them can be looked for."""
    told = {name: value for name, value in values.items() if value and name in FINDABLE}
    parts = [f"{name} = {quoted(value)}" for name, value in told.items()]
    return f"({' OR '.join(parts)})" if parts else ""


def within(window: Window) -> str:
    """The rows of a window."""
    name = "CreatedDate" if window.by_occurrence else "SystemModstamp"
    parts = (
        f"{name} >= {literal(window.since)}" if window.since else "",
        f"{name} < {literal(window.until)}" if window.until else "",
        f"({window.where})" if window.where else "",
    )
    return " AND ".join(part for part in parts if part)


def readable(stream: str, more: Sequence[str], described: Raw) -> list[str]:
    """Of the fields we want, those the org has and the user may see."""
    fields = described["fields"]
    known = {field["name"] for field in fields}
    parents = {field.get("relationshipName") for field in fields}
    wanted = dict.fromkeys([*COMMON.split(), *FIELDS[stream].split(), *more])
    return [name for name in wanted if _has(name, known, parents)]


def _has(name: str, known: Collection[Any], parents: Collection[Any]) -> bool:
    parent, dot, _ = name.partition(".")
    return parent in parents if dot else name in known


def rows_of(text: str) -> Iterator[Raw]:
    """The rows of a CSV file of the Bulk API, as the REST interface would give them."""
    for line in csv.DictReader(io.StringIO(text, newline="")):
        row: Raw = {}
        for name, told in line.items():
            value = None if told == "" else told
            parent, dot, child = name.partition(".")
            if not dot:
                row[name] = told == "true" if _YES_NO.match(name) else value
            elif value is not None:
                row[parent] = {**(row.get(parent) or {}), child: value}
            else:
                row.setdefault(parent, None)
        yield row


def named(values: Mapping[str, Any]) -> Raw:
    """A person's whole name as Salesforce wants it."""
    rest = dict(values)
    given, family = parted(rest.pop("Name", None) or "")
    return {**rest, "FirstName": given or None, "LastName": family} if family else rest


def http_date(version: str) -> str:
    """A version, which is an instant, for ``If-Unmodified-Since``; whole seconds."""
    at = instant(version)
    return format_datetime(at.astimezone(UTC), usegmt=True) if at else ""
