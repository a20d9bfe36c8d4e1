"""What people do for a customer: ask a desk for something, reply, leave a note.

Each is one delivery of the outbox. Where it can go follows from the mappings: a stream whose
``push:`` writes Tickets takes requests, one that writes Messages takes replies, and notes too if
it knows the channel ``note``; only such a stream is sure to keep them from the customer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

from sqlalchemy import Connection

from hub.errors import ConfigError
from hub.mapping import words_of
from hub.models import BY_HAND, Channel, Direction, Level, Message, Priority, Ref, Ticket
from hub.profiles.document import Contact, Fact, Profile
from hub.registry import Live
from hub.rules.decide import Intent
from hub.store import audit, customers, outbox, records
from hub.store.db import Database

REQUEST, REPLY, NOTE = VERBS = ("request", "reply", "note")


class Outlet(NamedTuple):
    """A stream that takes what people write.

    Attributes:
        fields: canonical fields that can be written there.
        channels: those its messages may come through, as far as the mapping lists them.
    """

    connection: str
    stream: str
    kind: str
    fields: frozenset[str]
    channels: frozenset[str]


@dataclass(frozen=True, slots=True)
class Way:
    """One place where something can go.

    Attributes:
        answers: the ticket or message that is answered, "" for none; ``title``: what it is called.
        to: the address it goes to; "" where the system itself knows whom.
        customer: the customer's record there, else one from elsewhere.
    """

    verb: str
    outlet: Outlet
    customer: str
    channel: str = ""
    answers: str = ""
    title: str = ""
    to: str = ""

    @property
    def connection(self) -> str:
        """Through which connection."""
        return self.outlet.connection

    @property
    def is_known_there(self) -> bool:
        """Whether the customer has a record in that system."""
        return self.customer.startswith(f"{self.connection}/")


@dataclass(frozen=True, slots=True)
class Words:
    """What somebody wrote."""

    text: str
    subject: str = ""
    priority: Priority = Priority.NORMAL


def outlets(lives: Iterable[Live]) -> list[Outlet]:
    """Where these connections take Tickets and Messages; one with a broken mapping takes none."""
    found: list[Outlet] = []
    for live in lives:
        with suppress(ConfigError):  # hub doctor names it
            found += _outlets_of(live)
    return found


def _outlets_of(live: Live) -> Iterator[Outlet]:
    for name, stream in live.streams.items():
        spec = live.mappings.get(name)
        if spec is None or not live.takes(stream):
            continue
        kind = spec.kinds[0]
        if kind == Ticket.kind and {"subject", "description"} <= spec.writable:
            yield Outlet(live.name, name, kind, spec.writable, frozenset())
        elif kind == Message.kind and "text" in spec.writable:
            yield Outlet(live.name, name, kind, spec.writable, words_of(spec, "channel"))


def ways(open_: Iterable[Outlet], p: Profile) -> list[Way]:
    """Every way there is for this customer, of each verb the likeliest first.

    Systems that know the customer come first, replies to what was said last, and notes about the
    customer before those about one matter.
    """
    found = [way for outlet in open_ for way in _ways_by(outlet, p)]
    said_at = {fact.source.ref: fact.occurred_at for fact in (*p.timeline, *p.open_requests)}

    def rank(way: Way) -> tuple[Any, ...]:
        at = said_at.get(way.answers)
        about_a_ticket = way.verb == NOTE and bool(way.answers)
        newest = -(at.timestamp() if at else 0.0)
        return VERBS.index(way.verb), not way.is_known_there, about_a_ticket, newest

    return sorted(found, key=rank)


def _ways_by(outlet: Outlet, p: Profile) -> Iterator[Way]:
    mine = [member.source.ref for member in p.members]
    if not mine:
        return
    customer = next((ref for ref in mine if ref.startswith(f"{outlet.connection}/")), mine[0])
    if outlet.kind == Ticket.kind:
        yield Way(REQUEST, outlet, customer)
        return
    if outlet.channels == {Channel.EMAIL} and "to" in outlet.fields:
        yield from _by_mail(outlet, p, customer)
        return
    yield from _inside(REPLY, outlet, p, customer)
    if Channel.NOTE in outlet.channels and "channel" in outlet.fields:
        yield from _inside(NOTE, outlet, p, customer)


def _by_mail(outlet: Outlet, p: Profile, customer: str) -> Iterator[Way]:
    """To each address of the customer, in answer to what came from there last."""
    for contact in sorted(p.contacts, key=lambda c: list(Level).index(c.level)):
        if contact.type != "email":
            continue
        last = _last_from(contact, outlet, p) if "in_reply_to" in outlet.fields else None
        answers, title = (last.source.ref, last.summary) if last else ("", "")
        yield Way(REPLY, outlet, customer, Channel.EMAIL, answers, title, contact.value)


def _last_from(contact: Contact, outlet: Outlet, p: Profile) -> Fact | None:
    holders = {source.ref for source in contact.sources}
    return next((f for f in _received(outlet, p) if _ref(f.fields.get("sender")) in holders), None)


def _received(outlet: Outlet, p: Profile) -> Iterator[Fact]:
    """Messages of the customer that came through the outlet, the newest first."""
    place = f"{outlet.connection}/{outlet.stream}/"
    for fact in p.timeline:
        came_in = fact.fields.get("direction") == Direction.IN
        if fact.kind == Message.kind and came_in and fact.source.ref.startswith(place):
            yield fact


def _inside(verb: str, outlet: Outlet, p: Profile, customer: str) -> Iterator[Way]:
    """On the customer's open requests in that system, and where it knows the customer by itself."""
    channel = Channel.NOTE if verb == NOTE else next(iter(outlet.channels), "")
    channel = channel if verb == NOTE or len(outlet.channels) == 1 else ""
    here = f"{outlet.connection}/"
    if "ticket" in outlet.fields:
        for request in p.open_requests:
            ref = request.source.ref
            if ref.startswith(here):
                yield Way(verb, outlet, customer, channel, ref, request.summary)
    if "customer" in outlet.fields and customer.startswith(here):
        yield Way(verb, outlet, customer, channel)


def choose(
    found: Iterable[Way], verb: str, *, connection: str = "", answers: str = "", to: str = ""
) -> Way | None:
    """The likeliest way that fits what was asked for."""
    asked = {"connection": connection, "answers": answers, "to": to}
    wanted = {name: value for name, value in asked.items() if value}
    for way in found:
        if way.verb == verb and all(getattr(way, n) == value for n, value in wanted.items()):
            return way
    return None


def intent_of(way: Way, words: Words, p: Profile, *, key: str, actor: str) -> Intent:
    """The one write that does it.

    Args:
        key: names the attempt: the same words to one customer under the same key are written once.
    """
    name = _digest(actor, p.id, way.verb, key, words.subject, words.text)
    fields = {n: v for n, v in _fields(way, words, p).items() if v and n in way.outlet.fields}
    return Intent(
        key=name,
        connection=way.connection,
        stream=way.outlet.stream,
        subject=f"{BY_HAND}/{way.verb}/{name}",
        fields=fields,
        cause={"verb": way.verb, "actor": actor, "record": way.customer},
    )


def _fields(way: Way, words: Words, p: Profile) -> Mapping[str, Any]:
    customer = Ref.parse(way.customer).model_dump()
    if way.verb == REQUEST:
        return {
            "subject": words.subject,
            "description": words.text if way.is_known_there else _introduced(words.text, p),
            "priority": words.priority,
            "requester": customer,
        }
    answered = Ref.parse(way.answers).model_dump() if way.answers else None
    is_message = way.channel == Channel.EMAIL
    return {
        "text": words.text,
        "subject": words.subject or (_re(way.title) if is_message else ""),
        "channel": way.channel,
        "direction": Direction.OUT,
        "to": [{"type": "email", "value": way.to}] if way.to else None,
        "in_reply_to" if is_message else "ticket": answered,
        "customer": customer,
    }


def _introduced(text: str, p: Profile) -> str:
    """The words, and who asks: that system does not know them."""
    name = p.name.value if p.name else ""
    told = [name, *(c.value for c in p.contacts if c.type in ("phone", "email"))][:3]
    return f"{text}\n\n— {' · '.join(filter(None, told))}"


def _re(title: str) -> str:
    return title if title[:3].lower() == "re:" or not title else f"Re: {title}"


def carry_out(database: Database, intent: Intent, customer_id: str) -> int:
    """Queue it and note who did it, once however often it is sent; the delivery."""

    def story(conn: Connection) -> int:
        customers.lock(conn, [customer_id])  # of two clicks, one sees the other
        if known := outbox.id_of(conn, intent.key):
            return known
        outbox.enqueue(conn, [intent])
        members = customers.members(conn, customer_id)
        records.note_seen(conn, "delivery", [(ref, intent.key) for ref in members])
        made = outbox.id_of(conn, intent.key) or 0
        audit.note(conn, intent.cause["actor"], intent.cause["verb"], f"delivery:{made}")
        return made

    return database.run(story)


def _ref(value: Any) -> str:
    return str(Ref(**value)) if isinstance(value, dict) else ""


def _digest(*parts: str) -> str:
    return blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()
