"""Desks' pages: the card of whoever is talked to, inside the desk itself.

A page in a frame belongs to the hub's own site and still gets no cookie of it. Whoever looks signs
in in a window of the hub, which hands the page a token (``desk_sessions``) and closes. With the
token it asks for cards; each is a card token's, framed by this page in the pages of the desk. For
the next page the token is kept in a cookie of its own for this desk's site (``Partitioned``), which
fills in a token and opens nothing by itself: no other site's request can be made with it.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from dataclasses import asdict
from typing import Any, cast

from flask import (
    Blueprint,
    Flask,
    abort,
    g,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask_babel import gettext as _
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection
from werkzeug.wrappers import Response

from hub.errors import ConfigError, HubError, StoreError
from hub.registry import Live
from hub.sdk import Asked, Panel
from hub.store import accounts, audit, card_tokens, customers, read
from hub.store.card_tokens import CardToken
from hub.web import assets, auth, desk_sessions, lookup
from hub.web.auth import READERS, caller, requires
from hub.web.context import hub, registry
from hub.web.desk_sessions import DeskSession, Onlooker
from hub.web.endpoints import as_json, content

log = logging.getLogger(__name__)

blueprint = Blueprint("desk_pages", __name__, url_prefix="/desks/<connection>")

COOKIE = "conduit-desk"
ASKS = "desk-asks.js"
"""What runs on the page of a desk without a script of its own."""

OFFERED = 10


class Question(BaseModel):
    """Whom the page asks for; nothing but a session that goes on when it asks for nobody."""

    model_config = ConfigDict(extra="forbid")

    customer: str = Field(default="", max_length=320)
    record: str = Field(default="", max_length=320)
    phone: str = Field(default="", max_length=320)
    email: str = Field(default="", max_length=320)
    identifier: str = Field(default="", max_length=320)


@blueprint.get("")
def page(connection: str) -> Response | str | tuple[str, int]:
    """The page, empty: who is talked to only the browser knows."""
    live, panel = _desk(connection)
    if panel.framed:
        g.frame_ancestors = " ".join(live.own.frame_origins) or "'none'"
        kept = _current(live, request.cookies.get(COOKIE, ""))
        return _page(live, panel, _signed(kept) if kept else "")
    held = _held(live)
    try:
        if held is None:
            return _way_in(live, panel)
        told = panel.told(_address(request.full_path.rstrip("?")))
    except StoreError:
        raise
    except HubError as exc:
        log.warning("a page of a desk could not be made", extra={"fault": str(exc)})
        return _failed(exc), 502
    return _page(live, panel, _signed(held), told)


@blueprint.get("/desk.js")
def script(connection: str) -> Response:
    """The vendor's half."""
    live, panel = _desk(connection)
    path = live.manifest.folder / panel.script if panel.script else assets.STATIC / ASKS
    return Response(path.read_bytes(), mimetype="text/javascript")


@blueprint.get("/sign-in")
@requires(*READERS)
def sign_in(connection: str) -> str:
    """A window that hands a session to the page which opened it, and closes."""
    _desk(connection)
    account = auth.account()
    if account is None:
        abort(403, "A program has no use for this.")
    with hub().database.write() as conn:
        audit.note(conn, account.name, "desk sign-in", f"connection:{connection}")
    token = _signed(desk_sessions.of_account(connection, account))
    return render_template("desk_signed_in.html", token=token)


@blueprint.get("/member")
def member(connection: str) -> Response | tuple[str, int]:
    """Where the desk sends its members back to, with a code that tells who they are."""
    live, panel = _desk(connection)
    if live.own.desk_sign_in != "desk":
        abort(404)
    asked = f"{connection} {request.args.get('state', '')}"
    if not hmac.compare_digest(str(session.pop("desk_state", "")).encode(), asked.encode()):
        return _failed(ConfigError(_("This sign-in was not begun here."))), 400
    try:
        found = panel.member(request.args.get("code", ""))
    except StoreError:
        raise
    except HubError as exc:
        log.warning("a desk did not say who signs in", extra={"fault": str(exc)})
        return _failed(exc), 502
    begun = _begun(live, found) if found else None
    if begun is None:
        return _failed(ConfigError(_("You are not one of those this page is for."))), 403
    session["desks"] = {connection: _signed(begun)}
    return redirect(url_for("desk_pages.page", connection=connection))


@blueprint.post("/card")
@requires(*READERS, desk=True)
def card(connection: str) -> Response:
    """The card of whom the page asks for, or those it fits; and a session that goes on."""
    live, panel = _desk(connection)
    asked, who = content(Question), cast("Onlooker", g.onlooker)
    if who.account is None:  # a desk may ask its vendor: never inside the transaction
        asked = _narrowed(panel, asked, who.session.member)
    with hub().database.write() as conn:
        found = _found(conn, live, asked)
        token = _signed(who.session)
        told: dict[str, Any] = {"card": "", "customers": [], "session": token}
        if len(found) == 1:
            audit.note(conn, who.name, "card link", f"customer:{found[0]}")
            told["card"] = _card(live, who, found[0])
        elif found:
            told["customers"] = _offered(conn, found)
    answer = as_json(told, plain=True)
    if panel.framed:
        _keep(answer, live, token)
    return answer


@blueprint.post("/sign-out")
@requires(*READERS, desk=True)
def sign_out(connection: str) -> Response:
    """Forget what was kept for the next page of this desk."""
    live, _panel = _desk(connection)
    answer = as_json({})
    _keep(answer, live, "")
    return answer


def install(app: Flask) -> None:
    """Add the pages."""
    app.register_blueprint(blueprint)


def _desk(connection: str) -> tuple[Live, Panel]:
    """The connection and its page; 404 for one that has none."""
    try:
        live = registry().get(connection)
        panel = live.panel
    except ConfigError:
        abort(404)
    if panel is None:
        abort(404)
    return live, panel


def _page(live: Live, panel: Panel, token: str = "", told: object = None) -> str:
    loads = panel.loads()
    g.script_sources = " ".join(loads)
    return render_template(
        "desk.html",
        connection=live.name,
        origins=live.own.frame_origins if panel.framed else (),
        token=token,
        told=told or {},
        loads=loads,
        framed=panel.framed,
    )


def _failed(fault: HubError) -> str:
    return render_template("desk_failed.html", fault=fault)


def _address(path: str) -> str:
    return hub().settings.public_url.rstrip("/") + path


def _held(live: Live) -> DeskSession | None:
    """The session of who opened the page by itself: signed in here, or by the desk."""
    account = auth.account()
    if account:
        return desk_sessions.of_account(live.name, account)
    return _current(live, session.get("desks", {}).get(live.name, ""))


def _current(live: Live, token: str) -> DeskSession | None:
    """The session behind a token that is ours, while its person may still look."""
    held = desk_sessions.genuine(hub().keys, token, live.name) if token else None
    if held is None:
        return None
    with hub().database.glance() as conn:
        return held if desk_sessions.onlooker(conn, live, held) else None


def _keep(answer: Response, live: Live, token: str) -> None:
    """A cookie for frames: none but this desk's site gets it, and only over TLS."""
    answer.set_cookie(
        COOKIE,
        token,
        max_age=desk_sessions.LASTS_S if token else 0,
        path=url_for("desk_pages.page", connection=live.name),
        secure=True,
        httponly=True,
        samesite="None",
        partitioned=True,
    )


def _way_in(live: Live, panel: Panel) -> Response:
    if live.own.desk_sign_in == "hub":
        return redirect(url_for("pages.sign_in", next=request.full_path.rstrip("?")))
    state = secrets.token_urlsafe(16)
    session["desk_state"] = f"{live.name} {state}"
    back = _address(url_for("desk_pages.member", connection=live.name))
    return redirect(panel.sign_in_url(back, state))


def _begun(live: Live, found: str) -> DeskSession | None:
    """The session of a member: of their account if they have one here, else of their own."""
    name = live.own.desk_people.get(found)
    with hub().database.write() as conn:
        if name is None:
            begun = desk_sessions.of_member(live.name, found)
        elif account := accounts.get(conn, name):
            begun = desk_sessions.of_account(live.name, account, found)
        else:
            return None
        who = desk_sessions.onlooker(conn, live, begun)
        if who is None:
            return None
        audit.note(conn, who.name, "desk sign-in", f"connection:{live.name}")
    return begun


def _signed(held: DeskSession) -> str:
    return desk_sessions.sign(hub().keys, held)


def _card(live: Live, who: Onlooker, customer_id: str) -> str:
    """The card's address; who has no account here can only read."""
    told = CardToken(
        customer_id,
        who.role,
        masked=who.masked,
        actor=who.account.name if who.account else "",
        ancestors=" ".join(("'self'", *live.own.frame_origins)),
    )
    token = card_tokens.sign(hub().keys, told)
    return url_for("card.card", t=token, lang=request.args.get("lang"))


def _narrowed(panel: Panel, asked: Question, member: str) -> Question:
    """What a member without an account here may ask for."""
    whom = Asked(asked.record, asked.phone, asked.email, asked.identifier)
    return Question(**asdict(panel.narrowed(whom, member)))


def _found(conn: Connection, live: Live, asked: Question) -> list[str]:
    """The customers it fits: by the surest that is known, the record the desk has of them first."""
    if asked.customer and lookup.is_id(asked.customer):
        now = read.current_id(conn, asked.customer)
        return [now] if now else []
    if asked.record and asked.record.isprintable():
        ref = f"{live.name}/{asked.record}"
        if linked := customers.links(conn, [ref]).get(ref):
            return [linked]
    named = asked.identifier.partition(":")[::2]
    for type_, value in (named, ("phone", asked.phone), ("email", asked.email)):
        values = lookup.spellings(conn, type_, value) if type_ and value else []
        if found := read.find(conn, type_, *values) if values else []:
            return found
    return []


def _offered(conn: Connection, found: list[str]) -> list[dict[str, str]]:
    """A few to choose from, as the caller may see them."""
    rows = read.profiles_json(conn, found[:OFFERED]).values()
    shown = [lookup.document(row.document, caller()) for row in rows]
    return [
        {
            "id": row.customer_id,
            "name": (told.get("name") or {}).get("value", ""),
            "note": (told.get("organization") or {}).get("value", ""),
        }
        for row, told in zip(rows, shown, strict=True)
    ]
