"""Which fields are read of each model, what changed since, and typed values as plain JSON.

Source: https://docs.tryton.org/8.2/server/ and a trytond 8.2.1 server (checked 2026-11)
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from hub.sdk import Raw

MODELS = {
    "parties": "party.party",
    "products": "product.product",
    "sales": "sale.sale",
    "invoices": "account.invoice",
}
FIELDS = {
    "parties": "name code active lang.code categories.name identifiers.type identifiers.code "
    "contact_mechanisms.type contact_mechanisms.value contact_mechanisms.name "
    "contact_mechanisms.active addresses.street addresses.city addresses.postal_code "
    "addresses.subdivision.name addresses.country.code addresses.active",
    "products": "name code active list_price_used default_uom.symbol",
    "sales": "number reference description state invoice_state shipment_state sale_date "
    "party.name currency.code total_amount lines.type lines.product.code lines.product.name "
    "lines.description lines.quantity lines.unit_price lines.amount",
    "invoices": "number reference state party.name invoice_date currency.code total_amount "
    "amount_to_pay sales lines_to_pay.maturity_date lines.type lines.product.code "
    "lines.product.name lines.description lines.quantity lines.unit_price lines.amount",
}
CHILDREN = {  # their changes do not show in the parent's own dates
    "parties": ("contact_mechanisms", "addresses", "identifiers"),
    "products": ("template",),
    "sales": ("lines",),
    "invoices": ("lines",),
}
ONLY: dict[str, list[Any]] = {"invoices": ["type", "=", "out"]}
DATES = ("create_date", "write_date")


def fields_of(stream: str) -> list[str]:
    """Everything that is asked of a record, and when it and its children changed."""
    return [*FIELDS[stream].split(), *dates_of(stream)]


def dates_of(stream: str) -> list[str]:
    """When a record and its children changed."""
    owners = ("", *(f"{child}." for child in CHILDREN[stream]))
    return [f"{owner}{name}" for owner in owners for name in DATES]


def changed_since(stream: str, since: datetime | None) -> list[Any]:
    """The domain of what changed at or after that instant, by itself or by a child."""
    if since is None:
        return []
    at = since.astimezone(UTC)
    parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
    typed = {"__class__": "datetime", **{part: getattr(at, part) for part in parts}}
    owners = ("", *(f"{child}." for child in CHILDREN[stream]))
    return [["OR", *([f"{owner}{name}", ">=", typed] for owner in owners for name in DATES)]]


def changed_at(row: Raw, stream: str) -> str:
    """The newest change of a record or of its children."""
    related = (row.get(child) or () for child in CHILDREN[stream])
    rows = [row, *(one for some in related for one in ([some] if isinstance(some, dict) else some))]
    return max(found.get(name) or "" for found in rows for name in DATES)


def plain(value: Any) -> Any:
    """Tryton's typed JSON as plain JSON."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    typed = {name: item for name, item in value.items() if name != "__class__"}
    match value.get("__class__"):
        case "Decimal":
            return value["decimal"]
        case "datetime":
            return datetime(**typed, tzinfo=UTC).isoformat(timespec="microseconds")
        case "date":
            return date(**typed).isoformat()
    found = {name: plain(item) for name, item in value.items()}
    if "active" in found:
        found["active"] = bool(found["active"])  # SQLite has no booleans
    return found
