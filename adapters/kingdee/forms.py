"""The forms of 金蝶云星空: what is asked of each, and how its answers read.

A query gives rows without names, in the order of the columns asked for. A row of ours has those
names, with "_" for the dot of a column that belongs to something else (``FCustId_FNumber``).

Source: API documentation 7.5.1800.6 and package kingdee.cdp.webapi.sdk 8.2.0 (checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

from hub.sdk import Raw, RemoteError, as_version, written


@dataclass(frozen=True, slots=True)
class Form:
    """A form of the ERP.

    Attributes:
        id, number: the columns of its internal id and of the number people know.
        stamps: when it was changed in ways that leave FModifyDate alone: approved, closed …
        columns: of its head; a column of its lines would give the head once for each line.
        line: the column of a line's own id; empty = it has none, or none that matter.
        lines: the other columns of its lines.
        entry: what the lines are called in a write.
        refs: columns that name a record of another stream; a write wants its number.
    """

    name: str
    id: str
    number: str
    stamps: tuple[str, ...]
    columns: tuple[str, ...]
    line: str = ""
    lines: tuple[str, ...] = ()
    entry: str = ""
    refs: Mapping[str, str] = field(default_factory=dict)

    @property
    def dates(self) -> tuple[str, ...]:
        """The columns that tell when it was made and changed."""
        return (*_OF_ALL, *self.stamps)


_OF_ALL = ("FCreateDate", "FModifyDate")
_BASE_DATA, _BILL = ("FApproveDate", "FForbidDate"), ("FApproveDate",)

FORMS = {
    "customers": Form(
        "BD_Customer", "FCUSTID", "FNumber", _BASE_DATA,
        ("FName", "FShortName", "FTEL", "FADDRESS", "FTAXREGISTERCODE", "FINVOICETITLE",
         "FSELLER.FName", "FUseOrgId.FNumber", "FForbidStatus", "FDocumentStatus"),
    ),
    "materials": Form(
        "BD_MATERIAL", "FMATERIALID", "FNumber", _BASE_DATA,
        ("FName", "FSpecification", "FMaterialGroup.FName", "FBaseUnitId.FName",
         "FUseOrgId.FNumber", "FForbidStatus", "FDocumentStatus"),
    ),
    "sales_orders": Form(
        "SAL_SaleOrder", "FID", "FBillNo", (*_BILL, "FCloseDate", "FCancelDate"),
        ("FDate", "FCustId", "FCustId.FNumber", "FCustId.FName", "FSaleOrgId.FNumber",
         "FSalerId.FName", "FSettleCurrId.FNumber", "FBillAllAmount", "FCloseStatus",
         "FCancelStatus", "FNote", "FDocumentStatus"),
        "FSaleOrderEntry_FEntryID",
        ("FMaterialId", "FMaterialId.FNumber", "FMaterialId.FName", "FUnitID.FName", "FQty",
         "FTaxPrice", "FAllAmount", "FDeliveryDate"),
        "FSaleOrderEntry",
        {"FCustId": "customers", "FMaterialId": "materials"},
    ),
    "receivables": Form(
        "AR_receivable", "FID", "FBillNo", _BILL,
        ("FDATE", "FENDDATE_H", "FCUSTOMERID", "FCUSTOMERID.FNumber", "FCUSTOMERID.FName",
         "FCURRENCYID.FNumber", "FALLAMOUNTFOR", "FCancelStatus", "FDocumentStatus"),
        "FEntityDetail_FEntryID",
        ("FMATERIALID", "FMATERIALID.FNumber", "FMATERIALID.FName", "FPriceQty", "FTaxPrice",
         "FALLAMOUNTFOR_D", "FNORECEIVEAMOUNT"),
    ),
}  # fmt: skip

CURRENCIES = {
    "PRE001": "CNY",
    "PRE002": "HKD",
    "PRE003": "EUR",
    "PRE004": "JPY",
    "PRE005": "TWD",
    "PRE006": "GBP",
    "PRE007": "USD",
}
"""Numbers of the currencies every installation has, and their ISO 4217 codes."""

_CURRENCY = ("FSettleCurrId_FNumber", "FCURRENCYID_FNumber")


def named(columns: Sequence[str], body: Any) -> list[Raw]:
    """The rows of an answer with names; BillQuery gives them names itself.

    Raises:
        RemoteError: there are none, or they have other columns than were asked for.
    """
    if not isinstance(body, list):  # nothing is not the same as no rows
        raise RemoteError("Kingdee answered a query with something that is no list of rows")
    rows = [[row.get(c) for c in columns] if isinstance(row, dict) else row for row in body]
    if any(not isinstance(row, list) or len(row) != len(columns) for row in rows):
        raise RemoteError("Kingdee answered with other columns than it was asked for")
    names = [column.replace(".", "_") for column in columns]
    return [dict(zip(names, row, strict=True)) for row in rows]


def completed(form: Form, row: Raw, zone: tzinfo, currencies: Mapping[str, str]) -> Raw:
    """The row with what its words mean: instants in UTC, and the code of its currency."""
    told = {
        "created_at": as_version(row["FCreateDate"], zone),
        "modified_at": max(as_version(row[name], zone) for name in form.dates),
    }
    number = next((row[name] for name in _CURRENCY if row.get(name)), None)
    if number:
        told["currency"] = {**CURRENCIES, **currencies}.get(number, number)
    return {**row, **told, **({"lines": []} if form.line else {})}


def quoted(value: object) -> str:
    """A text in a filter."""
    return "'" + str(value).replace("'", "''") + "'"


def changed(form: Form, since: datetime, zone: tzinfo) -> str:
    """The filter for what was changed since; imported rows may have no time of a change."""
    at = quoted(written(since, "local", zone))
    return f"({' or '.join(f'{name} >= {at}' for name in form.dates)})"


def all_of(*conditions: str) -> str:
    """The filter for rows that meet every condition given."""
    return " and ".join(condition for condition in conditions if condition)


def one_of(column: str, values: Iterable[object]) -> str:
    """The filter for rows that have one of these numbers there."""
    return f"{column} in ({','.join(str(int(str(value))) for value in values)})"
