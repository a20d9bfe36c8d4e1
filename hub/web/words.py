"""The words of the records, for people to read; an unknown word is shown as it is."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask_babel import lazy_gettext as _
from flask_babel import lazy_pgettext as _p

STATUSES: dict[str, dict[str, Any]] = {
    "Ticket": {
        "new": _p("ticket", "New"),
        "open": _p("ticket", "Open"),
        "waiting": _p("ticket", "Waiting"),
        "solved": _p("ticket", "Solved"),
        "closed": _p("ticket", "Closed"),
    },
    "Order": {
        "draft": _p("order", "Draft"),
        "quoted": _p("order", "Quoted"),
        "confirmed": _p("order", "Confirmed"),
        "shipped": _p("order", "Shipped"),
        "done": _p("order", "Done"),
        "cancelled": _p("order", "Cancelled"),
    },
    "Invoice": {
        "draft": _p("invoice", "Draft"),
        "issued": _p("invoice", "Issued"),
        "paid": _p("invoice", "Paid"),
        "cancelled": _p("invoice", "Cancelled"),
    },
    "Message": {
        "sent": _p("message", "Sent"),
        "delivered": _p("message", "Delivered"),
        "read": _p("message", "Read"),
        "failed": _p("message", "Not delivered"),
    },
}

PRIORITIES = {
    "low": _("Low"),
    "normal": _("Normal"),
    "high": _("High priority"),
    "urgent": _("Urgent"),
}

KINDS = {
    "Person": _("Person"),
    "Organization": _("Organisation"),
    "Ticket": _("Request"),
    "Message": _("Message"),
    "Call": _("Call"),
    "WorkOrder": _("Work order"),
    "Feedback": _("Feedback"),
    "Telemetry": _("Device reading"),
    "Product": _("Product"),
    "Asset": _("Device"),
    "Order": _("Order"),
    "Invoice": _("Invoice"),
    "Payment": _("Payment"),
    "Contract": _("Contract"),
    "Opportunity": _("Opportunity"),
    "Agent": _("Colleague"),
}

LEVELS = {
    "proven": _("Proven"),
    "recorded": _("Recorded"),
    "claimed": _("Only claimed"),
}

LEVEL_HINTS = {
    "proven": _("The source has verified it."),
    "recorded": _("A colleague or a system of record entered it."),
    "claimed": _("Typed by a stranger; nobody has verified it."),
}

STATES = {
    "new": _p("connection", "New"),
    "ok": _p("connection", "Working"),
    "degraded": _p("connection", "Unsteady"),
    "auth_failed": _p("connection", "Sign-in refused"),
    "paused": _p("connection", "Paused"),
}

EVENT_STATES = {
    "received": _p("event", "Waiting"),
    "retry": _p("event", "Tried again later"),
    "done": _p("event", "Applied"),
    "quarantined": _p("event", "Quarantined"),
    "skipped": _p("event", "Skipped"),
}

DELIVERY_STATES = {
    "queued": _p("delivery", "Waiting"),
    "sending": _p("delivery", "Being sent"),
    "retry": _p("delivery", "Tried again later"),
    "confirmed": _p("delivery", "Confirmed"),
    "unknown": _p("delivery", "Outcome unknown"),
    "looping": _p("delivery", "Going in circles"),
    "dead": _p("delivery", "Given up"),
    "skipped": _p("delivery", "Skipped"),
}

DELIVERY_HINTS = {
    "unknown": _("It may have arrived; an administrator finds out before it is sent again."),
    "looping": _("Systems undo what the other says; an administrator has to look at it."),
    "dead": _("It was not written there; an administrator can mend the cause and send it again."),
}

FILTERS = {
    "connection": _("Connection"),
    "type": _("Type"),
    "state": _("State"),
    "since": _("Received since"),
    "until": _("Received before"),
    "record": _("Record"),
    "text": _("Text in id, type or body"),
}

CAME_BY = {
    "webhook": _("By webhook: the sender was proven before anything was kept."),
    "line": _("Read from the vendor over a line of our own."),
    "": _("No longer known: only the receipt is kept."),
}

ACTS = {
    "request": _("New request"),
    "reply": _("Reply"),
    "note": _("Note"),
}

ACT_PLACES = {
    "request": _("Which system"),
    "reply": _("To whom"),
    "note": _("Which system"),
}

ACT_TEXTS = {
    "request": _("What is it about?"),
    "reply": _("Your words to the customer"),
    "note": _("Your note"),
}

ACT_BUTTONS = {
    "request": _("Create request"),
    "reply": _("Send reply"),
    "note": _("Save note"),
}

ACT_HINTS = {
    "request": _("Opens a ticket there, exactly once, even if that system is down right now."),
    "reply": _("The customer receives this."),
    "note": _("For colleagues only; the customer never sees it."),
}

VERBS = {
    "new": _("New customer"),
    "match": _("Record added"),
    "merge": _("Customers merged"),
    "split": _("Split off"),
    "confirm": _("Confirmed by a person"),
    "reject": _("Rejected by a person"),
}

REASONS = {
    "only value": _("The only value there is."),
    "pinned": _("A person said it is the right one."),
    "source priority": _("Its source comes first."),
    "verified": _("Its record is the surer one: its contact points are verified."),
    "newest": _("It is the newest among equals."),
    "most complete": _("Its record says the most, of those that are equally new."),
    "first by name": _("Nothing tells the records apart; the first by name was taken."),
}

RULES = {
    "same": _("Both carry the same %(type)s"),
    "same claim": _("Both claim the same %(type)s"),
    "claims": _("Claims a %(type)s that surely belongs to this customer"),
    "confirmed": _("A person confirmed it"),
    "alike": _("Alike by weighed evidence, most of all by %(type)s"),
}

TYPES = {
    "phone": _("phone number"),
    "email": _("e-mail address"),
    "tax_id": _("tax number"),
    "unionid": _("union id"),
    "openid": _("open id"),
    "external_userid": _("external user id"),
    "member_no": _("member number"),
    "website": _("website"),
    "fax": _("fax"),
    "username": _("user name"),
    "family": _("family name"),
    "given": _("given name"),
    "company": _("company"),
    "org": _("name of the organisation"),
    "place": _("address"),
    "postcode": _("postcode"),
    "city": _("city"),
}

FIELDS = {
    "name": _("Name"),
    "organization": _("Company"),
    "title": _("Title"),
    "tier": _("Tier"),
    "owner": _("Owner"),
    "language": _("Language"),
}

CHANNELS = {
    "email": _("E-mail"),
    "chat": _("Chat"),
    "phone": _("Phone"),
    "sms": _("SMS"),
    "web": _("Web"),
    "desk": _("Desk"),
    "note": _("Note"),
    "other": _("Message"),
}

# The colour a status is shown in: it says how much it matters to whoever reads the card.
TONES: dict[str, dict[str, str]] = {
    "Ticket": {"new": "info", "open": "warm", "waiting": "quiet", "solved": "good"},
    "Order": {"quoted": "info", "confirmed": "info", "shipped": "warm", "done": "good"},
    "Invoice": {"issued": "info", "paid": "good"},
    "Message": {"delivered": "good", "read": "good", "failed": "bad"},
    "state": {"ok": "good", "degraded": "warm", "auth_failed": "bad", "paused": "quiet"},
    "event": {"received": "info", "retry": "warm", "done": "good", "quarantined": "bad"},
    "delivery": {
        "queued": "info",
        "sending": "info",
        "retry": "warm",
        "confirmed": "good",
        "unknown": "warm",
        "looping": "bad",
        "dead": "bad",
    },
}


def word(table: str, value: str) -> str:
    """A word of one of the tables above."""
    found = _TABLES[table].get(value)
    return str(found) if found else value


def status_word(kind: str, status: str) -> str:
    """The status of a fact; kinds without words of their own show the source's."""
    found = STATUSES.get(kind, {}).get(status)
    return str(found) if found else status


def tone(kind: str, value: str) -> str:
    """The colour of a status or state."""
    return TONES.get(kind, {}).get(value, "quiet")


def rule_sentence(evidence: dict[str, Any]) -> str:
    """What one piece of evidence says."""
    rule, type_ = str(evidence.get("rule", "")), str(evidence.get("type", ""))
    if rule not in RULES:
        return rule
    return str(RULES[rule]) % {"type": word("type", type_)}


def install(app: Flask) -> None:
    """Give the templates these words."""
    app.jinja_env.globals.update(
        word=word, status_word=status_word, tone=tone, rule_sentence=rule_sentence
    )


_TABLES: dict[str, dict[str, Any]] = {
    "priority": PRIORITIES,
    "kind": KINDS,
    "level": LEVELS,
    "level hint": LEVEL_HINTS,
    "state": STATES,
    "event": EVENT_STATES,
    "delivery": DELIVERY_STATES,
    "delivery hint": DELIVERY_HINTS,
    "came by": CAME_BY,
    "filter": FILTERS,
    "verb": VERBS,
    "act": ACTS,
    "act where": ACT_PLACES,
    "act text": ACT_TEXTS,
    "act send": ACT_BUTTONS,
    "act hint": ACT_HINTS,
    "reason": REASONS,
    "type": TYPES,
    "field": FIELDS,
    "channel": CHANNELS,
}
