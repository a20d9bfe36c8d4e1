"""What is asked of and told to a tenant of 用友 YonBIP.

Source: https://open.yonyoucloud.com/ (API pages of customers, products, sales orders, checked
2026-11) and https://github.com/zuoxiaojun/yonsuite-skill (bodies of the lists of bills)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from typing import Any

from adapters.yonyou.config import YonyouConfig
from adapters.yonyou.spans import next_span
from hub.sdk import Answers, Http, Raw, RemoteError, at, written, zone_of

ANSWERS = Answers(
    code="code",
    fine=("", "200", "00000", "10004", "100004"),
    auth=(
        "310001", "310003", "310036",  # the token
        "10018", "310005", "310006", "310037",  # the app
        "310031", "310038", "310041", "310047",  # our address
    ),
    busy=("202", "310032", "310039", "310042", "310043", "310046", "310071", "310072", "310504"),
    words="message",
)  # fmt: skip
"""10004 and 100004 say that an idempotent call was done before."""

ZONE = zone_of("Asia/Shanghai")
FIRST = datetime(2000, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of the vendor.

    Attributes:
        path, rows: where it is asked for, and where the answer has the rows.
        by: how it is paged: by "span" of time, or by "id".
        since: for spans: the parameter "changed since", beside the two ends of the span.
        fixed: parameters of every call.
        lines: fields of a line, where a row is a line that repeats the fields of its head.
    """

    path: str
    rows: str
    by: str
    since: str = ""
    fixed: Mapping[str, Any] | None = None
    lines: tuple[str, ...] = ()


MERCHANT = "/yonbip/digitalModel/merchant"
LISTINGS = {
    "customers": Listing(f"{MERCHANT}/newlist", "data", "span", since="pubts"),
    "products": Listing(
        "/yonbip/digitalModel/product/listproductbycondition", "data.recordList", "span"
    ),
    "orders": Listing(
        "/yonbip/sd/voucherorder/list", "data.recordList", "id", fixed={"isSum": False},
        lines=("lineno", "productId", "productCode", "productName", "skuId", "skuCode", "skuName",
               "qty", "productUnitName", "oriTaxUnitPrice", "oriUnitPrice", "oriSum", "taxRate",
               "oriTax", "sendQty", "totalOutStockQuantity", "invoiceQty"),
    ),
    "opportunities": Listing(
        "/yonbip/crm/oppt/bill/list", "data.recordList", "id", fixed={"isSum": False}
    ),
}  # fmt: skip

CREATE = {"customers": f"{MERCHANT}/idempotent/newinsert"}
MADE = "data[0].id || data.id"

CHANGED = ("pubts", "modifyTime", "createTime")
"""When a row was changed: the first of these it has."""

CURRENCIES = {
    "人民币": "CNY",
    "美元": "USD",
    "港币": "HKD",
    "港元": "HKD",
    "欧元": "EUR",
    "日元": "JPY",
}


class Tenant:
    """One tenant, by its gateway."""

    def __init__(self, http: Http, config: YonyouConfig) -> None:
        self._http, self._size = http, config.page_size

    def changed(
        self, stream: str, since: datetime | None, position: str
    ) -> tuple[list[Raw], str | None]:
        """The next rows changed since, and the position behind them."""
        of = LISTINGS[stream]
        if of.by == "id":
            return self._behind(of, since, position)

        def ask(begin: datetime, end: datetime, page: int) -> list[Raw]:
            told = {"beganTime": _wall(begin), "endTime": _wall(end)}
            asked = {of.since: _wall(since)} if of.since and since else {}
            return self._rows(of, {**told, **asked}, page=page)

        # Nobody tells whether a span of customers is of creation or of change: then it must
        # reach back to the first, and "changed since" chooses.
        first = FIRST if of.since else since or FIRST
        until = self._http.now() + timedelta(days=1)
        return next_span(ask, position, first=first, until=until, size=self._size)

    def one(self, stream: str, id_: str) -> Raw | None:
        """A record by its id; None when there is none.

        Raises:
            RemoteError: the vendor answers with others.
        """
        of = LISTINGS[stream]
        rows = self._rows(of, {"id": id_}) if of.by == "span" else self._whole(of, id_)
        if any(str(row["id"]) != id_ for row in rows):
            raise RemoteError(f"YonBIP answered the question for one of {stream} with others")
        return rows[0] if rows else None

    def having(self, stream: str, name: str, value: Any) -> list[Raw]:
        """Rows with this value in that field, whatever else the vendor gives."""
        rows = self._rows(LISTINGS[stream], {name: value})
        return [row for row in rows if row.get(name) == value]

    def create(self, stream: str, values: Mapping[str, Any], key: str) -> str:
        """The id of the record made under this key, now or earlier."""
        body = {"data": {"resubmitCheckKey": key, **values}}
        said = self._http.json("POST", CREATE[stream], json=body, repeatable=True)
        if id_ := at(MADE, said):
            return str(id_)
        raise RemoteError(f"YonBIP made one of {stream} and does not tell its id")

    def _behind(
        self, of: Listing, since: datetime | None, last: str
    ) -> tuple[list[Raw], str | None]:
        """Bills behind this id; the last of a full page may lack lines, and is read once more."""
        wanted = [_test("id", "gt", last or "0")]
        if since:
            wanted.append(_test("pubts", "gt", _wall(since - SECOND)))
        rows = self._rows(of, _conditions(wanted))
        full = _grouped(of, rows)
        ids = [int(row["id"]) for row in full]
        if any(after <= before for before, after in pairwise([int(last or 0), *ids])):
            raise RemoteError("YonBIP gives bills in another order than by id; some would be lost")
        if len(rows) < self._size:
            return full, None
        id_ = str(ids[-1])
        return [*full[:-1], *(self._whole(of, id_) if of.lines else full[-1:])], id_

    def _whole(self, of: Listing, id_: str) -> list[Raw]:
        """A bill with all its lines."""
        wanted, rows, page = _conditions([_test("id", "eq", id_)]), list[Raw](), 0
        while len(rows) == self._size * page:
            page += 1
            rows += self._rows(of, wanted, page=page)
        return _grouped(of, rows)

    def _rows(self, of: Listing, told: Mapping[str, Any], *, page: int = 1) -> list[Raw]:
        body = {"pageIndex": page, "pageSize": self._size, **(of.fixed or {}), **told}
        said = self._http.json("POST", of.path, json=body, repeatable=True)
        return at(of.rows, said) or []


def completed(row: Raw) -> Raw:
    """The row with when it was changed, and the code of its currency."""
    told: Raw = {"modified_at": next((row[name] for name in CHANGED if row.get(name)), None)}
    if "currency_name" in row:
        name = row["currency_name"] or "人民币"
        told["currency"] = CURRENCIES.get(name, name)
    return {**row, **told}


def _grouped(of: Listing, rows: Sequence[Raw]) -> list[Raw]:
    """A row for each bill, with its lines."""
    if not of.lines:
        return list(rows)
    bills = [list(lines) for _, lines in groupby(rows, key=lambda row: str(row["id"]))]
    return [_bill(of.lines, lines) for lines in bills]


def _bill(names: Sequence[str], lines: Sequence[Raw]) -> Raw:
    head = {name: value for name, value in lines[0].items() if name not in names}
    told = [{name: line[name] for name in names if name in line} for line in lines]
    return {**head, "lines": told}


def _test(field: str, op: str, value: str) -> Raw:
    return {"field": field, "op": op, "value1": value}


def _conditions(tests: Sequence[Raw]) -> Raw:
    return {"simpleVOs": list(tests), "queryOrders": [{"field": "id", "order": "asc"}]}


def _wall(at: datetime) -> str:
    return written(at, "local", ZONE)
