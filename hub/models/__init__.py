"""Canonical records: the hub's one vocabulary for what vendors call differently."""

from __future__ import annotations

from hub.models.base import BY_HAND, Address, Instant, Model, Money, Record, Ref, is_short
from hub.models.commerce import (
    Asset,
    Contract,
    Invoice,
    InvoiceStatus,
    Opportunity,
    Order,
    OrderLine,
    OrderStatus,
    Payment,
    Product,
)
from hub.models.party import (
    PARTY_KINDS,
    Agent,
    Consent,
    ContactPoint,
    Level,
    Organization,
    Party,
    Person,
)
from hub.models.service import (
    OPEN_STATUSES,
    Attachment,
    Call,
    Channel,
    Direction,
    Feedback,
    Message,
    MessageStatus,
    Priority,
    Telemetry,
    Ticket,
    TicketStatus,
    WorkOrder,
)

KINDS: dict[str, type[Record]] = {
    kind.__name__: kind
    for kind in (
        Person, Organization, Agent,
        Ticket, Message, Call, WorkOrder, Feedback, Telemetry,
        Product, Asset, Order, Invoice, Payment, Contract, Opportunity,
    )
}  # fmt: skip
"""Every canonical record by its kind."""

__all__ = [
    "BY_HAND",
    "KINDS",
    "OPEN_STATUSES",
    "PARTY_KINDS",
    "Address",
    "Agent",
    "Asset",
    "Attachment",
    "Call",
    "Channel",
    "Consent",
    "ContactPoint",
    "Contract",
    "Direction",
    "Feedback",
    "Instant",
    "Invoice",
    "InvoiceStatus",
    "Level",
    "Message",
    "MessageStatus",
    "Model",
    "Money",
    "Opportunity",
    "Order",
    "OrderLine",
    "OrderStatus",
    "Organization",
    "Party",
    "Payment",
    "Person",
    "Priority",
    "Product",
    "Record",
    "Ref",
    "Telemetry",
    "Ticket",
    "TicketStatus",
    "WorkOrder",
    "is_short",
]
