"""Commerce: what is offered, ordered, billed, paid and owned."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from hub.models.base import Instant, Model, Money, Record, Ref


class Product(Record):
    """Something the company sells; ``code`` is its SKU."""

    name: str
    code: str = ""
    unit: str = ""
    price: Money | None = None
    active: bool = True


class Asset(Record):
    """One device at a customer, known by its serial number; ``warranty_until`` is the last day."""

    party_fields: ClassVar[tuple[str, ...]] = ("customer",)

    serial_number: str
    customer: Ref | None = None
    product: Ref | None = None
    product_name: str = ""
    installed_on: date | None = None
    warranty_until: date | None = None


class OrderStatus(StrEnum):
    """Where an order stands."""

    DRAFT = "draft"
    QUOTED = "quoted"
    CONFIRMED = "confirmed"
    SHIPPED = "shipped"
    DONE = "done"
    CANCELLED = "cancelled"


class OrderLine(Model):
    """One line of an order or invoice; quantity in the product's unit, price per unit."""

    product: Ref | None = None
    description: str = ""
    quantity: Decimal = Decimal(1)
    unit_price: Money | None = None
    amount: Money | None = None


class Order(Record):
    """A sale; ``reference`` is the number the customer knows, ``number`` the system's own."""

    party_fields: ClassVar[tuple[str, ...]] = ("customer",)

    number: str = ""
    reference: str = ""
    status: OrderStatus = OrderStatus.DRAFT
    customer: Ref | None = None
    ordered_on: date | None = None
    total: Money | None = None
    lines: tuple[OrderLine, ...] = ()


class InvoiceStatus(StrEnum):
    """Where an invoice stands."""

    DRAFT = "draft"
    ISSUED = "issued"
    PAID = "paid"
    CANCELLED = "cancelled"


class Invoice(Record):
    """A bill; ``due_on`` is the last day to pay, ``open_amount`` what is still owed."""

    party_fields: ClassVar[tuple[str, ...]] = ("customer", "order")

    number: str = ""
    status: InvoiceStatus = InvoiceStatus.DRAFT
    customer: Ref | None = None
    order: Ref | None = None
    issued_on: date | None = None
    due_on: date | None = None
    total: Money | None = None
    open_amount: Money | None = None
    lines: tuple[OrderLine, ...] = ()


class Payment(Record):
    """Money that came in (or went back: a negative amount)."""

    party_fields: ClassVar[tuple[str, ...]] = ("customer", "invoice")

    customer: Ref | None = None
    invoice: Ref | None = None
    amount: Money
    method: str = ""


class Contract(Record):
    """An agreement that runs from a day to a day, both included."""

    party_fields: ClassVar[tuple[str, ...]] = ("customer",)

    number: str = ""
    title: str = ""
    customer: Ref | None = None
    starts_on: date | None = None
    ends_on: date | None = None
    value: Money | None = None


class Opportunity(Record):
    """A sale that may happen; ``probability`` from 0 to 1, ``stage`` in the CRM's own words."""

    party_fields: ClassVar[tuple[str, ...]] = ("customer",)

    name: str
    stage: str = ""
    customer: Ref | None = None
    amount: Money | None = None
    probability: float | None = Field(default=None, ge=0, le=1)
    closes_on: date | None = None
    closed_at: Instant | None = None
