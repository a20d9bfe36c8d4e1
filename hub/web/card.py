"""The card: one customer on one small page, beside the conversation."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

from flask import (
    Blueprint,
    Flask,
    abort,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from hub.models import InvoiceStatus, Level, Priority
from hub.pipeline.acts import VERBS, Way
from hub.profiles.build import SHOWN, Document, fact_of
from hub.profiles.document import Contact, Fact, Profile
from hub.store import outbox, read, watch
from hub.web import acts, formats, lookup, words
from hub.web.api import why_document
from hub.web.auth import ACTORS, READERS, caller, requires
from hub.web.context import hub

blueprint = Blueprint("card", __name__)

FOLD = {"contacts": 4, "requests": 4, "orders": 4, "invoices": 3, "assets": 3, "timeline": 8}
"""How many rows stand open; the others fold."""

OLDER = 50
MADE = 5
"""How many of the things people had written are told of."""

ANGRY_FOR = timedelta(days=90)
ANGRY_BELOW = {"csat": 3, "nps": 7}
"""Scores below these, given not longer ago than that, are a warning."""

ENDING = timedelta(days=30)
"""A warranty that ends within this is worth a word."""
HUES = 8
CONTACT_ORDER = ("phone", "email")
_UNSURE_STATES = ("auth_failed", "paused", "degraded")


@dataclass(frozen=True)
class Glance:
    """One figure at the top of the card."""

    label: str
    value: str
    note: str = ""
    tone: str = ""
    target: str = ""


@dataclass(frozen=True)
class Caution:
    """What whoever answers must know first."""

    tone: str
    icon: str
    text: str
    target: str


@dataclass(frozen=True)
class Draft:
    """What stands in the form of a verb: what was typed before it was refused, if so."""

    verb: str
    ways: list[Way]
    fault: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """One line of the timeline."""

    fact: Fact
    icon: str
    title: str
    note: str
    text: str


@dataclass(frozen=True)
class Day:
    """The lines of one day."""

    heading: str
    events: list[Event]


@blueprint.get("/card")
@requires(*READERS, card_token=True)
def card() -> Response:
    """The customer the address names; a choice when it fits several; a kind word for none."""
    at = _then()
    with hub().database.read() as conn:
        ids = _wanted(conn)
        found = lookup.profile(conn, ids[0], caller(), at) if len(ids) == 1 else None
        if found is not None:
            return _page(conn, found)
        if len(ids) > 1:
            return _choice(conn)
    return _nobody()


@blueprint.post("/card/act")
@requires(*ACTORS, card_token=True)
def act() -> Response:
    """Have something written for the customer; the card again when that is not possible."""
    if not caller().may_act:
        abort(403)
    if _then():
        abort(400, "at: nothing can be done in the past")
    form = {name: value.replace("\r\n", "\n").strip() for name, value in request.form.items()}
    if form.get("verb") not in VERBS:
        abort(400)
    with hub().database.read() as conn:
        found = _one(conn)
        p = acts.whole(conn, found["id"])  # what is hidden from the caller is hidden, not different
        try:
            way = _way_in(form, acts.ways_for(p, read.connection_states(conn)))
            said = acts.typed_words(way.verb, form)
        except ValueError as exc:
            answer = _page(conn, found, Draft(form["verb"], [], str(exc), form))
            answer.status_code = 422
            return answer
    acts.queue(p, way, said, f"{form.get('key', '')}\n{form['way']}")
    return redirect(card_url("card", p.id, _anchor="made"), 303)


def _way_in(form: Mapping[str, str], open_: Iterable[Way]) -> Way:
    for way in open_:
        if acts.way_name(way) == form.get("way") and way.verb == form["verb"]:
            return way
    raise ValueError(_("That way is not open any more. Choose another."))


@blueprint.get("/card/timeline")
@requires(*READERS, card_token=True)
def timeline() -> Response:
    """Older events, a page at a time."""
    before, at = lookup.mark("timeline", request.args.get("before")), _then()
    is_newest = before is None
    if at and (before is None or before > read.mark_of(at, "")):
        before = read.mark_of(at, "")
    with hub().database.read() as conn:
        found = _one(conn)
        known = read.current_id(conn, found["id"]) or found["id"]  # of then: merged since, maybe
        page = read.timeline(conn, known, before, OLDER)
        states = read.connection_states(conn)
    facts = [fact_of(held).model_dump(mode="json") for held in page.items]
    shown = [Fact.model_validate(fact) for fact in lookup.seen_by(caller(), facts)]
    more = lookup.cursor("timeline", page.next)
    return _rendered(
        "timeline.html", found, states, then=at, days=_days(shown), older=more, is_newest=is_newest
    )


@blueprint.get("/card/why")
@requires(*READERS, card_token=True)
def why() -> Response:
    """Why these records are one customer."""
    with hub().database.read() as conn:
        found = _one(conn)
        reasons = read.why(conn, found["id"])
        states = read.connection_states(conn)
    if reasons is None:
        abort(404)
    return _rendered("why.html", found, states, why=lookup.seen_by(caller(), why_document(reasons)))


def install(app: Flask) -> None:
    """Add the card."""
    app.register_blueprint(blueprint)
    app.jinja_env.globals.update(
        card_url=card_url, shown_name=shown_name, warranty=warranty, way_name=acts.way_name,
        seen=lambda value: lookup.seen_by(caller(), value),
    )  # fmt: skip


def shown_name(p: Profile) -> str:
    """What to call a customer: by name, else by how to reach them."""
    if p.name:
        return p.name.value
    first = next(iter(sorted(p.contacts, key=_contact_rank)), None)
    return formats.contact(first.type, first.value) if first else str(_("Nameless"))


def card_url(view: str, customer_id: str, **more: str | None) -> str:
    """The address of a part of the card, with the token and of the instant that this one is."""
    kept = {name: request.args[name] for name in ("t", "lang", "at") if name in request.args}
    if "t" not in kept:
        kept["customer"] = customer_id
    endpoint = view if "." in view else f"card.{view}"
    return url_for(endpoint, **{**kept, **more})  # type: ignore[arg-type]  # all are text


def _wanted(conn: Connection) -> list[str]:
    """The customers meant: by token, id, phone, mail or identifier."""
    only = caller().only
    if only is not None:
        return [only]
    if "customer" in request.args:
        return [lookup.checked_id(request.args["customer"])]
    type_, value = _asked()
    values = lookup.spellings(conn, type_, value) if value else []
    return read.find(conn, type_, *values) if values else []


def _asked() -> tuple[str, str]:
    """The identifier the address names: type and value, "" for none."""
    for type_ in ("phone", "email"):
        if type_ in request.args:
            return type_, request.args[type_]
    identifier = request.args.get("identifier", "")
    type_, _sep, value = identifier.partition(":")
    return (type_, value) if re.fullmatch(lookup.IDENTIFIER, identifier) else ("", "")


def _then() -> datetime | None:
    """The instant the address asks for, None for now."""
    asked = request.args.get("at")
    at = formats.instant(asked)
    if asked and at is None:
        abort(400, "at: an instant with its offset, such as 2026-05-03T14:32:00+08:00")
    return at


def _told_at() -> datetime:
    """The instant of which the card tells."""
    return _then() or formats.now()


def _one(conn: Connection) -> Document:
    ids = _wanted(conn)
    found = lookup.profile(conn, ids[0], caller(), _then()) if len(ids) == 1 else None
    if found is None:
        abort(404)
    return found


def _page(conn: Connection, found: Document, refused: Draft | None = None) -> Response:
    p, states = _profile(found), read.connection_states(conn)
    then = _then()
    is_now = then is None
    made = outbox.made_by_hand(conn, p.id, MADE) if is_now else []
    last = p.timeline[-1] if len(p.timeline) >= SHOWN else None
    mark = read.mark_of(last.occurred_at, last.source.ref) if last else None
    fold = FOLD["timeline"]
    return _rendered(
        "card.html",
        found,
        states,
        then=then,
        stamp=watch.stamps(conn, [p.id], states)[p.id] if is_now else "",
        made=[lookup.seen_by(caller(), asdict(one)) for one in made],
        drafts=list(_drafts(conn, p.id, states, refused)) if caller().may_act and is_now else [],
        key=secrets.token_urlsafe(12),
        priorities=[priority.value for priority in Priority],
        warnings=list(_warnings(p)) if is_now else [],
        last_words=next((fact for fact in p.timeline if _icon(fact) == "inbound"), None),
        glances=_glances(p),
        contacts=sorted(p.contacts, key=_contact_rank),
        days=_days(p.timeline[:fold]),
        folded_days=_days(p.timeline[fold:]),
        folded=len(p.timeline) - fold,
        older=lookup.cursor("timeline", mark),
        fields=[(f, v) for f in words.FIELDS if (v := getattr(p, f)) is not None],
        fold=FOLD,
        shown=SHOWN,
        overdue=is_overdue,
    )


def _drafts(
    conn: Connection, customer_id: str, states: Mapping[str, str], refused: Draft | None
) -> Iterator[Draft]:
    """A form for every verb that has a way."""
    ways = acts.ways_for(acts.whole(conn, customer_id), states)
    for verb in VERBS:
        mine = [way for way in ways if way.verb == verb]
        if mine and refused and refused.verb == verb:
            yield replace(refused, ways=mine)
        elif mine:
            yield Draft(verb, mine)


def _rendered(template: str, found: Document, states: dict[str, str], **more: Any) -> Response:
    p = more.pop("p", None) or _profile(found)
    names = sorted({*states, *(member.source.connection for member in p.members)})
    hues = {name: place % HUES for place, name in enumerate(names)}
    unsure = {name: state for name, state in states.items() if state in _UNSURE_STATES}
    systems = list(dict.fromkeys(member.source.connection for member in p.members))
    return make_response(
        render_template(
            template, p=p, hues=hues, unsure=unsure, systems=systems,
            embedded=caller().only is not None, **more,
        )
    )  # fmt: skip


def _profile(found: Document) -> Profile:
    # A newer version may have put it together; what we do not know we do not show.
    return Profile.model_validate(found, extra="ignore")


def _choice(conn: Connection) -> Response:
    """Several customers share the number."""
    type_, value = _asked()
    page = read.holders(conn, type_, lookup.spellings(conn, type_, value), read.MAX_FOUND)
    rows = [lookup.summary(row, caller()) for row in page.items]
    return make_response(render_template("choice.html", rows=rows, asked=value))


def _nobody() -> Response:
    asked = _asked()[1] or request.args.get("customer", "")
    page = render_template("nobody.html", asked=asked, embedded=caller().only is not None)
    return make_response(page, 404)


def _contact_rank(contact: Contact) -> tuple[int, int]:
    known = contact.type in CONTACT_ORDER
    place = CONTACT_ORDER.index(contact.type) if known else len(CONTACT_ORDER)
    return place, list(Level).index(contact.level)


def is_overdue(fact: Fact) -> bool:
    """Whether a request should have been answered, or an invoice paid, by the instant shown."""
    if fact.kind == "Invoice":
        due_on = formats.day(fact.fields.get("due_on"))
        unpaid = fact.status == InvoiceStatus.ISSUED
        return unpaid and due_on is not None and due_on < formats.local(_told_at()).date()
    due_at = formats.instant(fact.fields.get("due_at"))
    return due_at is not None and due_at < _told_at()


def warranty(fact: Fact) -> tuple[str, date] | None:
    """How a device's warranty stands: ``on``, ``ending`` or ``over``, and its last day."""
    until = formats.day(fact.fields.get("warranty_until"))
    if until is None:
        return None
    left = until - formats.local(_told_at()).date()
    return ("over" if left.days < 0 else "ending" if left <= ENDING else "on"), until


def _warnings(p: Profile) -> Iterator[Caution]:
    """The worst first."""
    if angry := next(filter(_is_angry, p.timeline), None):
        age = formats.age(angry.occurred_at) if angry.occurred_at else ""
        text = _("Unhappy: %(score)s, %(age)s", score=_note(angry), age=age)
        yield Caution("bad", "feedback", text, "#timeline")
    if late := sum(map(is_overdue, p.open_requests)):
        text = ngettext("%(num)s request overdue", "%(num)s requests overdue", late)
        yield Caution("bad", "ticket", text, "#requests")
    if late := sum(map(is_overdue, p.invoices)):
        text = ngettext("%(num)s invoice overdue", "%(num)s invoices overdue", late)
        yield Caution("warm", "invoice", text, "#invoices")
    for device in p.assets:
        stands = warranty(device)
        if stands and stands[0] == "ending":
            name = device.fields.get("product_name") or device.summary
            text = _("Warranty ends %(day)s: %(name)s", day=formats.on(stands[1]), name=name)
            yield Caution("warm", "asset", text, "#assets")


def _is_angry(fact: Fact) -> bool:
    if fact.kind != "Feedback" or not fact.occurred_at:
        return False
    limit = ANGRY_BELOW.get(fact.fields.get("scale", ""), 0)
    return formats.now() - fact.occurred_at < ANGRY_FOR and fact.fields.get("score", limit) < limit


def _glances(p: Profile) -> list[Glance]:
    found = (_requests_glance(p), _contact_glance(p), _owed_glance(p), _orders_glance(p))
    return [glance for glance in found if glance is not None]


def _requests_glance(p: Profile) -> Glance:
    count, late = len(p.open_requests), sum(map(is_overdue, p.open_requests))
    urgent = sum(f.fields.get("priority") == "urgent" for f in p.open_requests)
    note = ""
    if late:
        note = ngettext("%(num)s overdue", "%(num)s overdue", late)
    elif urgent:
        note = ngettext("%(num)s urgent", "%(num)s urgent", urgent)
    tone = "bad" if late else "warm" if urgent else "" if count else "good"
    note = note or ("" if count else _("all settled"))
    return Glance(_("Open requests"), _counted(count), note, tone, "#requests")


def _contact_glance(p: Profile) -> Glance | None:
    talks = (f for f in p.timeline if f.kind in ("Message", "Call") and f.occurred_at)
    last = next(talks, None)
    if last is None or last.occurred_at is None:
        return None
    channel = words.word("channel", str(last.fields.get("channel", "phone")))
    who = _("from the customer") if last.fields.get("direction") == "in" else _("from us")
    return Glance(
        _("Last contact"), formats.age(last.occurred_at), f"{channel} · {who}", "", "#timeline"
    )


def _owed_glance(p: Profile) -> Glance | None:
    """What is still owed on the invoices shown, one sum per currency."""
    owed: dict[str, int] = {}
    for invoice in p.invoices:
        open_ = invoice.fields.get("open_amount")
        if invoice.status == InvoiceStatus.ISSUED and open_ and open_.get("amount_minor", 0) > 0:
            owed[open_["currency"]] = owed.get(open_["currency"], 0) + open_["amount_minor"]
    if not owed:
        return None
    sums = [formats.money({"amount_minor": v, "currency": c}) for c, v in sorted(owed.items())]
    late = sum(map(is_overdue, p.invoices))
    note = ngettext("%(num)s invoice overdue", "%(num)s invoices overdue", late) if late else ""
    return Glance(_("Still owed"), " + ".join(sums), note, "bad" if late else "", "#invoices")


def _orders_glance(p: Profile) -> Glance | None:
    if not p.orders:
        return None
    newest = p.orders[0]
    day_ = formats.day(newest.fields.get("ordered_on")) or _local_day(newest.occurred_at)
    note = _("latest %(day)s", day=formats.on(day_)) if day_ else ""
    return Glance(_("Orders"), _counted(len(p.orders)), note, "", "#orders")


def _counted(count: int) -> str:
    return f"{count}+" if count >= SHOWN else str(count)


def _local_day(at: datetime | None) -> date | None:
    return formats.local(at).date() if at else None


def _days(facts: Sequence[Fact]) -> list[Day]:
    grouped = groupby(facts, key=lambda fact: _local_day(fact.occurred_at))
    return [
        Day(formats.heading(day) if day else _("Undated"), _events(those)) for day, those in grouped
    ]


def _events(facts: Iterable[Fact]) -> list[Event]:
    return [Event(fact, _icon(fact), _title(fact), _note(fact), _text(fact)) for fact in facts]


def _icon(fact: Fact) -> str:
    if fact.kind == "Message":
        return "inbound" if fact.fields.get("direction") == "in" else "outbound"
    return fact.kind.lower()


def _title(fact: Fact) -> str:
    """One line; kinds whose summary is but a number say what they are."""
    incoming = fact.fields.get("direction") == "in"
    if fact.kind == "Call":
        return str(_("Call from the customer") if incoming else _("Call to the customer"))
    kind = words.word("kind", fact.kind)
    if fact.kind in ("Payment", "Feedback", "Telemetry"):
        return kind
    if fact.kind in ("Order", "Invoice", "Contract", "Asset"):
        return f"{kind} {fact.fields.get('product_name') or fact.summary}"
    return fact.summary


def _note(fact: Fact) -> str:
    """The figure beside the line."""
    fields = fact.fields
    if fact.kind == "Feedback":
        return f"{fields.get('score')}/{10 if fields.get('scale') == 'nps' else 5}"
    if fact.kind == "Call":
        answered = fields.get("answered", True)
        return (
            formats.span(int(fields.get("duration_s", 0))) if answered else str(_("not answered"))
        )
    return formats.money(fields.get("total") or fields.get("amount") or fields.get("value"))


def _text(fact: Fact) -> str:
    """What there is to read beyond the line."""
    if fact.kind == "Feedback":
        return str(fact.fields.get("comment", ""))
    text = str(fact.fields.get("text", "")).strip()
    return "" if text == fact.summary else text
