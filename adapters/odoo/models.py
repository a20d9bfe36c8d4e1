"""Which model each stream is, what is read of it, and domains: data, and nothing that asks.

Source: Odoo 17 to 19, odoo/addons, and https://www.odoo.com/documentation/19.0/developer/reference/
external_api.html (checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hub.sdk import Raw, Stream, written

STREAMS = (
    Stream("partners", writable=True),
    Stream("products", every_s=600),
    Stream("orders"),
    Stream("invoices"),
    Stream("leads", writable=True),
    Stream("tickets", writable=True),
    Stream("tasks", writable=True),
)
MODELS = {
    "partners": "res.partner",
    "products": "product.product",
    "orders": "sale.order",
    "invoices": "account.move",
    "leads": "crm.lead",
    "tickets": "helpdesk.ticket",
    "tasks": "project.task",
}
MODULES = {
    "products": "Inventory or Sales (product)",
    "orders": "Sales (sale)",
    "invoices": "Invoicing (account)",
    "leads": "CRM (crm)",
    "tickets": "Helpdesk (helpdesk, Enterprise)",
    "tasks": "Project (project)",
}
"""The module that brings each model; partners are always there."""

FIELDS = {
    "partners": "name email phone mobile website is_company parent_id commercial_partner_id ref "
    "vat function lang street street2 city state_id zip country_code category_id user_id active",
    "products": "display_name default_code barcode uom_id lst_price currency_id active",
    "orders": "name client_order_ref partner_id date_order state amount_untaxed amount_total "
    "currency_id invoice_status user_id",
    "invoices": "name move_type partner_id invoice_origin invoice_date invoice_date_due "
    "amount_total amount_residual currency_id payment_state state ref",
    "leads": "name type active partner_id contact_name partner_name email_from phone stage_id "
    "expected_revenue company_currency probability user_id date_deadline date_closed",
    "tickets": "name ticket_ref description partner_id partner_name partner_email partner_phone "
    "stage_id priority team_id user_id close_date active",
    "tasks": "name description partner_id project_id stage_id state priority user_ids "
    "date_deadline date_end active",
}
COMMON = ("id", "create_date", "write_date")
ONLY: dict[str, list[Any]] = {"invoices": [["move_type", "in", ["out_invoice", "out_refund"]]]}
FINDABLE = ("email", "phone", "mobile", "vat", "email_from", "partner_email", "name")
MODULE_OF_OURS = "conduit"
"""What stands before the dot of external ids the hub gives."""


def wanted(stream: str, more: Sequence[str], known: Raw) -> list[str]:
    """Of the fields we want, those this version of Odoo has and the user may see."""
    names = dict.fromkeys([*COMMON, *FIELDS[stream].split(), *more])
    return [name for name in names if name in known]


def changed_since(stream: str, since: datetime | None, after: int) -> list[Any]:
    """The domain of what changed at or after that instant, behind that id.

    By id alone, not by (write_date, id): stored are microseconds, told are seconds, and all that
    one call wrote shares an instant.
    """
    at = [["write_date", ">=", written(since, "%Y-%m-%d %H:%M:%S")]] if since else []
    return [["id", ">", after], *at, *ONLY.get(stream, [])]


def any_of(values: Raw, known: Sequence[str]) -> list[Any]:
    """The domain of rows that have one of these values; [] when none can be looked for."""
    told = [[n, "=", values[n]] for n in FINDABLE if values.get(n) and n in known]
    return [*["|"] * (len(told) - 1), *told]


def stored(values: Raw) -> Raw:
    """Values as Odoo takes them: ids of other records are numbers, nothing is false."""
    return {name: _stored(name, value) for name, value in values.items()}


def _stored(name: str, value: Any) -> Any:
    if value is None or value == "":
        return False
    return int(value) if name.endswith("_id") and str(value).isdecimal() else value


def plain(value: Any) -> Any:
    """A value as it was read, in the form it is written in: of another record only the id."""
    return value[0] if isinstance(value, list) and len(value) == 2 else value


def as_import(values: Raw) -> tuple[list[str], list[Any]]:
    """Columns and cells for ``load``, which takes text and names ids of the database ``.id``."""
    told = {f"{n}/.id" if n.endswith("_id") else n: v for n, v in values.items() if v is not False}
    return list(told), [str(int(v)) if isinstance(v, bool) else str(v) for v in told.values()]
