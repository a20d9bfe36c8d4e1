"""The pages people sign in to: a search box, the newest customers, the connections."""

from __future__ import annotations

import logging

from flask import (
    Blueprint,
    Flask,
    current_app,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from hub.store import accounts, audit, read
from hub.web import auth, lookup
from hub.web.auth import READERS, caller, requires
from hub.web.context import hub
from hub.web.i18n import language_of
from hub.web.limits import GuessLimit

log = logging.getLogger(__name__)

blueprint = Blueprint("pages", __name__)

SHOWN = 25


@blueprint.get("/")
@requires(*READERS)
def home() -> str:
    """Customers, those who were searched for or the newest, and the connections' state."""
    typed = request.args.get("q", "").strip()[: read.NAME_MAX]
    after = lookup.mark("home", request.args.get("after"))
    with hub().database.read() as conn:
        page = lookup.typed_page(conn, typed, SHOWN, after)
        connected = [_seen(one) for one in read.connections(conn)]
        count = 0 if typed else read.customer_count(conn)
    return render_template(
        "home.html",
        typed=typed,
        rows=[lookup.summary(row, caller()) for row in page.items],
        next=lookup.cursor("home", page.next),
        connections=connected,
        count=count,
        caller=caller(),
    )


@blueprint.get("/sign-in")
def sign_in() -> str:
    """The form."""
    return _form("")


@blueprint.post("/sign-in")
def sign_in_form() -> Response | tuple[str, int] | tuple[str, int, dict[str, str]]:
    """Begin a session, or say why not without saying which half was wrong."""
    name, address = request.form.get("name", ""), request.remote_addr or ""
    wait_s = _guesses().claim(name, address)
    if wait_s:
        told = _("Too many tries. Wait a quarter of an hour, then sign in again.")
        return _form(told, name), 429, {"Retry-After": str(wait_s)}
    with hub().database.read() as conn:
        found = accounts.verify(conn, name, request.form.get("password", ""))
    if found is None:
        log.warning("sign-in refused")
        return _form(_("Name and password do not fit together."), name), 401
    _guesses().forgive(name, address)
    with hub().database.write() as conn:
        audit.note(conn, found.name, "sign in", f"account:{found.name}")
    auth.sign_in(found)
    return redirect(auth.local_path(request.args.get("next")) or url_for("pages.home"), 303)


@blueprint.post("/sign-out")
def sign_out() -> Response:
    """End the session in this browser."""
    auth.sign_out()
    return redirect(url_for("pages.sign_in"), 303)


def install(app: Flask) -> None:
    """Add the pages."""
    app.extensions["conduit-guesses"] = GuessLimit()
    app.register_blueprint(blueprint)
    app.before_request(_keep_language)


def _seen(one: read.Connected) -> read.Connected:
    """A connection as the caller may see it: a vendor's words may hold anything."""
    return one._replace(reason=lookup.seen_by(caller(), one.reason))


def _guesses() -> GuessLimit:
    found: GuessLimit = current_app.extensions["conduit-guesses"]
    return found


def _form(fault: str, name: str = "") -> str:
    with hub().database.read() as conn:
        is_new = accounts.is_empty(conn)
    return render_template("sign_in.html", fault=fault, name=name, is_new=is_new)


def _keep_language() -> None:
    """A language chosen on a page lasts; an embedded card is told its own with every address."""
    wish = language_of(request.args.get("lang"))
    if wish and request.blueprint in ("pages", "inbox"):
        session["lang"] = wish
