"""Tell Tryton about the demo's people: products, parties, orders, invoices, shipments."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from demo.people import Order, Party, People, Person, Product
from demo.systems.tryton_api import Row, TrytonApi, day, money

INVOICED = ("invoiced", "paid")
DELIVERED = ("delivered", *INVOICED)
CONFIRMED = ("confirmed", *DELIVERED)
TERM = "月结 30 天"
TO_SEND = (
    ("waiting", "assign_force"),
    ("assigned", "pick"),
    ("picked", "pack"),
    ("packed", "do"),
)


def seed(api: TrytonApi, people: People) -> None:
    """Create what is missing and press the buttons that are due. Safe to run twice."""
    _add_products(api, people.products)
    _add_parties(api, [person.tryton for person in people.persons if person.tryton])
    _add_orders(api, people)
    _advance(api, {order.reference: order for order in people.orders})


def _add_products(api: TrytonApi, products: Iterable[Product]) -> None:
    known = {row["code"] for row in api.find("product.template", "code")}
    (unit,) = api.find("product.uom", where=[["symbol", "=", "u"]])
    (category,) = api.find("product.category", where=[["accounting", "=", True]])
    fixed = {
        "default_uom": unit["id"],
        "sale_uom": unit["id"],
        "salable": True,
        "account_category": category["id"],
        "products": [["create", [{}]]],
    }
    rows = [
        {
            **fixed,
            "code": product.code,
            "name": product.name,
            "type": "service" if product.service else "goods",
            "list_price": money(product.price),
        }
        for product in products
        if product.code not in known
    ]
    api.create("product.template", rows)


def _add_parties(api: TrytonApi, parties: Iterable[Party]) -> None:
    known = {row["code"] for row in api.find("party.party", "code")}
    api.create("party.party", [_party(party) for party in parties if party.code not in known])


def _party_of(person: Person) -> Party:
    if person.tryton is None:
        raise ValueError(f"{person.id} has orders, but Tryton does not know them")
    return person.tryton


def _party(party: Party) -> Row:
    contacts = {"mobile": party.mobile, "phone": party.phone, "email": party.email}
    mechanisms = [{"type": kind, "value": value} for kind, value in contacts.items() if value]
    row: Row = {
        "code": party.code,
        "name": party.name,
        "addresses": [["create", [{"street": party.street, "city": party.city}]]],
        "contact_mechanisms": [["create", mechanisms]],
    }
    if party.tax_code:
        row["identifiers"] = [["create", [{"type": "cn_vat", "code": party.tax_code}]]]
    return row


def _add_orders(api: TrytonApi, people: People) -> None:
    known = {row["reference"] for row in api.find("sale.sale", "reference")}
    parties = {row["code"]: row for row in api.find("party.party", "code", "addresses")}
    products = {row["code"]: row["id"] for row in api.find("product.product", "code")}
    prices = {product.code: product.price for product in people.products}
    (currency,) = api.find("currency.currency", where=[["code", "=", "CNY"]])
    (term,) = api.find("account.invoice.payment_term", where=[["name", "=", TERM]])
    (unit,) = api.find("product.uom", where=[["symbol", "=", "u"]])
    fixed = {
        "company": api.company,
        "currency": currency["id"],
        "payment_term": term["id"],
        "invoice_method": "order",
        "shipment_method": "order",
    }

    def line(code: str, quantity: int) -> Row:
        price = money(prices[code])
        what = {"type": "line", "product": products[code], "unit": unit["id"]}
        return {**what, "quantity": quantity, "unit_price": price}

    def row(order: Order) -> Row:
        party = parties[_party_of(people[order.who]).code]
        address = party["addresses"][0]
        return {
            **fixed,
            "reference": order.reference,
            "party": party["id"],
            "invoice_address": address,
            "shipment_address": address,
            "sale_date": day(_date_of(order)),
            "lines": [["create", [line(code, count) for code, count in order.items.items()]]],
        }

    by_age = sorted(people.orders, key=lambda order: -order.days_ago)
    api.create("sale.sale", [row(order) for order in by_age if order.reference not in known])


def _advance(api: TrytonApi, orders: Mapping[str, Order]) -> None:
    """Bring every order to the state the list gives it, the oldest first."""

    def sales(state: str, *wanted: str) -> list[int]:
        found = api.find("sale.sale", "reference", where=[["state", "=", state]])
        return [row["id"] for row in found if _state_of(row, orders) in wanted]

    api.press_all("sale.sale", sales("draft", "cancelled"), "cancel")
    api.press_all("sale.sale", sales("draft", "quotation", *CONFIRMED), "quote")
    api.press_all("sale.sale", sales("quotation", *CONFIRMED), "confirm")
    for state, button in TO_SEND:
        due = _children(api, "shipments", state, orders, *DELIVERED)
        api.press_all("stock.shipment.out", [record for _, record in due], button)
    _post_invoices(api, _children(api, "invoices", "draft", orders, *INVOICED))
    _pay_invoices(
        api, [record for _, record in _children(api, "invoices", "posted", orders, "paid")]
    )


def _post_invoices(api: TrytonApi, due: Sequence[tuple[Order, int]]) -> None:
    """Post invoices with their orders' dates.

    Tryton asks its user whether a due date in the past is meant. The question is known by a
    digest of the invoice's name, so it can be answered before it is asked.
    """
    (user,) = api.find("res.user", where=[["login", "=", "admin"]])
    answers = []
    for order, invoice in due:
        api.change("account.invoice", invoice, {"invoice_date": day(_date_of(order))})
        digest = hashlib.md5(f"account.invoice,{invoice}".encode(), usedforsecurity=False)
        question = f"{digest.hexdigest()}.invoice_payment_term"
        answers.append({"user": user["id"], "name": question})
    api.create("res.user.warning", answers)
    api.press_all("account.invoice", [invoice for _, invoice in due], "post")


def _pay_invoices(api: TrytonApi, invoices: Iterable[int]) -> None:
    """Receive the whole amount of each invoice."""
    (method,) = api.find("account.invoice.payment.method")
    fields = ("party", "company", "currency", "account", "amount_to_pay")
    for invoice in invoices:
        (row,) = api.find("account.invoice", *fields, where=[["id", "=", invoice]])
        form = {
            "payee": row["party"],
            "company": row["company"],
            "currency": row["currency"],
            "invoice_account": row["account"],
            "amount": row["amount_to_pay"],
            "payment_method": method["id"],
            "date": day(datetime.now(UTC).date()),
        }
        api.run_wizard("account.invoice.pay", "account.invoice", invoice, "choice", form)


def _children(
    api: TrytonApi, field: str, state: str, orders: Mapping[str, Order], *wanted: str
) -> list[tuple[Order, int]]:
    """Invoices or shipments in a state, with their orders, of orders the list wants further."""
    return [
        (orders[sale["reference"]], child["id"])
        for sale in api.find("sale.sale", "reference", f"{field}.state")
        if _state_of(sale, orders) in wanted
        for child in sale[field]
        if child["state"] == state
    ]


def _state_of(sale: Row, orders: Mapping[str, Order]) -> str:
    """The state the list gives to a sale; none for a sale it does not know."""
    order = orders.get(sale["reference"])
    return order.state if order else ""


def _date_of(order: Order) -> date:
    return (datetime.now(UTC) - timedelta(days=order.days_ago)).date()
