"""Service: tickets, words exchanged, work done, and what the customer thought of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

from pydantic import Field

from hub.models.base import Address, Instant, Model, Record, Ref
from hub.models.party import ContactPoint


class TicketStatus(StrEnum):
    """Where a vendor's ticket stands; ``waiting`` is waiting for somebody outside the desk."""

    NEW = "new"
    OPEN = "open"
    WAITING = "waiting"
    SOLVED = "solved"
    CLOSED = "closed"


OPEN_STATUSES = (TicketStatus.NEW, TicketStatus.OPEN, TicketStatus.WAITING)


class Priority(StrEnum):
    """How soon a ticket wants an answer."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


class Channel(StrEnum):
    """The door words came through; a ``note`` stays among colleagues."""

    EMAIL = "email"
    CHAT = "chat"
    PHONE = "phone"
    SMS = "sms"
    WEB = "web"
    DESK = "desk"
    NOTE = "note"
    OTHER = "other"


class Direction(StrEnum):
    """Seen from the company: ``in`` comes from the customer."""

    IN = "in"
    OUT = "out"


class MessageStatus(StrEnum):
    """How far a message of ours came, where the channel tells; empty where it does not."""

    UNTOLD = ""
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


class Ticket(Record):
    """A desk's record of one matter.

    Attributes:
        subject: one line.
        description: the first words, plain text.
        requester: the party who asked.
        assignee: the colleague or team in charge, as the desk names them.
        origin: the record this ticket was made from, when the hub made it.
        opened_at, solved_at, due_at: instants, where the desk knows them.
        product_sn: serial number of the device it is about.
    """

    party_fields: ClassVar[tuple[str, ...]] = ("requester", "origin")

    subject: str
    description: str = ""
    status: TicketStatus = TicketStatus.NEW
    priority: Priority = Priority.NORMAL
    requester: Ref | None = None
    assignee: str = ""
    origin: Ref | None = None
    opened_at: Instant | None = None
    solved_at: Instant | None = None
    due_at: Instant | None = None
    product_sn: str = ""
    tags: tuple[str, ...] = ()


class Attachment(Model):
    """What was attached, without its bytes.

    Attributes:
        stored: its bytes are kept: at the same place of the list ``files`` of the raw row, as
            base64 under ``content``.
    """

    name: str
    content_type: str = ""
    size_bytes: int = Field(default=0, ge=0)
    stored: bool = False


class Message(Record):
    """One message of any channel.

    Attributes:
        sender: the party or colleague who wrote it.
        to: addresses it went to.
        text: plain text; html: sanitised HTML, empty when there was none.
        ticket: the ticket it belongs to.
        in_reply_to: the message it answers (RFC 5322 threading for e-mail).
        customer: the party it is to or about, where they did not write it.
        automatic: written by a machine (RFC 3834); never answered automatically.
        status: how far it came, for one of ours.
    """

    party_fields: ClassVar[tuple[str, ...]] = ("sender", "ticket", "in_reply_to", "customer")

    channel: Channel
    direction: Direction
    sender: Ref | None = None
    to: tuple[ContactPoint, ...] = ()
    subject: str = ""
    text: str = ""
    html: str = ""
    ticket: Ref | None = None
    in_reply_to: Ref | None = None
    customer: Ref | None = None
    attachments: tuple[Attachment, ...] = ()
    automatic: bool = False
    status: MessageStatus = MessageStatus.UNTOLD


class Call(Record):
    """One telephone call; ``recording_url`` is the vendor's, never fetched by itself."""

    party_fields: ClassVar[tuple[str, ...]] = ("caller", "ticket")

    direction: Direction
    caller: Ref | None = None
    number: str = ""
    agent: str = ""
    ticket: Ref | None = None
    answered: bool = True
    wait_s: int = Field(default=0, ge=0)
    duration_s: int = Field(default=0, ge=0)
    recording_url: str = ""


class WorkOrder(Record):
    """Work to be done at the customer's place."""

    party_fields: ClassVar[tuple[str, ...]] = ("customer", "ticket", "asset")

    subject: str
    status: str = ""
    customer: Ref | None = None
    ticket: Ref | None = None
    asset: Ref | None = None
    engineer: str = ""
    address: Address | None = None
    planned_at: Instant | None = None
    done_at: Instant | None = None


class Feedback(Record):
    """What the customer thought.

    Attributes:
        scale: ``csat`` (1 to 5) or ``nps`` (0 to 10).
        score: on that scale.
    """

    party_fields: ClassVar[tuple[str, ...]] = ("customer", "ticket")

    scale: str = Field(pattern=r"^(csat|nps)$")
    score: int = Field(ge=0, le=10)
    comment: str = ""
    customer: Ref | None = None
    ticket: Ref | None = None


class Telemetry(Record):
    """One reading of a device; ``values`` by name in the device's own units."""

    party_fields: ClassVar[tuple[str, ...]] = ("asset",)

    asset: Ref | None = None
    serial_number: str = ""
    values: dict[str, Any] = Field(default_factory=dict)
