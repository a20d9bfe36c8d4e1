"""Who asks, and whether they may: sessions, bearer tokens, card tokens, and one decorator.

Forms need no hidden token. A browser says with every unsafe request where it came from
(``Sec-Fetch-Site``, or ``Origin`` where that is missing), a page cannot forge either, and the
session cookie is ``SameSite=Lax``; whoever says neither is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from flask import Flask, abort, current_app, g, redirect, request, session, url_for
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import TooManyRequests, Unauthorized
from werkzeug.wrappers import Response

from hub.errors import ConfigError
from hub.store import accounts, card_tokens
from hub.store.card_tokens import CardToken
from hub.web import desk_sessions
from hub.web.context import Hub, hub, registry
from hub.web.limits import RateLimit

View = TypeVar("View", bound=Callable[..., Any])

CARD_TOKEN_LIFETIME_S = card_tokens.LIFETIME_S
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
READERS = accounts.ROLES
OPERATORS = ("admin", "operator")
ACTORS = tuple(role for role in READERS if role != "auditor")
MASKED_ROLES = accounts.MASKED_ROLES

PUBLIC = frozenset(
    {
        "static",
        "health.alive",
        "health.ready",
        "health.metrics",  # guards itself: this machine, or a token
        "openapi.document",
        "pages.sign_in",
        "pages.sign_in_form",
        "pages.sign_out",
        "desk_pages.page",  # it says nothing; a session asks for the rest
        "desk_pages.script",
        "desk_pages.member",  # only with the state of a sign-in that was begun in this browser
    }
)
"""Endpoints anybody may ask; every other view must carry ``requires``."""


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        name: of the account or token; behind a card token, of whoever made it, "" if it is only
            to be read.
        only: the one customer a card token opens; None = all.
        masked: somebody said that phones and mail addresses are hidden from them.
    """

    name: str
    role: str
    only: str | None = None
    masked: bool = False

    @property
    def sees_masked(self) -> bool:
        """Whether phones and mail addresses are hidden from them."""
        return self.masked or self.role in MASKED_ROLES

    def may_lend(self, role: str) -> bool:
        """Whether they may let somebody see a card as that role: their own or a lower one."""
        return accounts.ROLES.index(role) >= accounts.ROLES.index(self.role)

    @property
    def sees_inbox(self) -> bool:
        """Whether they may look at what came in."""
        return self.is_operator or self.role == "auditor"

    @property
    def may_act(self) -> bool:
        """Whether they may have something written for a customer."""
        return self.role in ACTORS and bool(self.name)

    @property
    def is_operator(self) -> bool:
        """Whether they look after connections."""
        return self.role in OPERATORS


def requires(*roles: str, card_token: bool = False, desk: bool = False) -> Callable[[View], View]:
    """Let only these roles in.

    Args:
        card_token: whether a signed card token in the address opens the view as well; the view
            must then keep to ``Caller.only``.
        desk: only the session of a page of the desk that the address names opens the view.
    """

    def guard(view: View) -> View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if desk:
                asking = _desk_caller(kwargs["connection"])
            elif card_token and "t" in request.args:
                asking = _card_caller()
            else:
                asking = _known_caller()
            if asking is None:
                return _who_are_you(by_link=card_token and "t" in request.args)
            _refuse_floods(asking)
            if asking.role not in roles:
                abort(403, "Your role does not allow this.")
            g.caller = asking
            return view(*args, **kwargs)

        guarded.roles = frozenset(roles)  # type: ignore[attr-defined]  # what the route test reads
        return cast("View", guarded)

    return guard


def caller() -> Caller:
    """Who asks, inside a view that ``requires`` somebody."""
    return cast("Caller", g.caller)


def visitor() -> Caller | None:
    """Who asks, where nobody is required."""
    return cast("Caller | None", g.get("caller"))


def bearer_role() -> str | None:
    """The role of the bearer token that came along, None without a valid one."""
    found = _bearer_caller()
    return found.role if found else None


def sign_in(found: accounts.Account) -> None:
    """Begin a session; a wish for a language survives it."""
    lang = session.get("lang")
    session.clear()  # nothing from before is trusted
    session.permanent = True
    session.update(name=found.name, stamp=found.stamp)
    if lang:
        session["lang"] = lang


def sign_out() -> None:
    """End the session in this browser."""
    session.clear()


def card_token(customer_id: str, who: Caller, *, actor: str = "") -> str:
    """A token that opens one customer's card for a while, as they would see it.

    Whoever it is made for cannot see more by it than they see without.

    Args:
        actor: in whose name the card may act, as far as the role may; nobody's: it is only read.
    """
    told = CardToken(customer_id, who.role, masked=who.sees_masked, actor=actor)
    return card_tokens.sign(hub().keys, told)


def local_path(wish: str | None) -> str | None:
    """The path if it leads nowhere but to ourselves."""
    if not wish or not wish.startswith("/") or wish.startswith(("//", "/\\")):
        return None
    return wish if wish.isprintable() and "\\" not in wish else None


def install(app: Flask) -> None:
    """Refuse what another site made a browser send, and programs that ask too often."""
    settings = cast("Hub", app.extensions["hub"]).settings
    app.extensions["conduit-rates"] = RateLimit(settings.api_requests_per_s)
    app.before_request(_refuse_foreign_forms)


def _refuse_floods(asking: Caller) -> None:
    """Keep one program, which a loop in it makes run wild, from taking what all others need."""
    if "Authorization" not in request.headers:
        return
    limit: RateLimit = current_app.extensions["conduit-rates"]
    if wait_s := limit.claim(asking.name):
        raise TooManyRequests("This token asks too often; wait.", retry_after=wait_s)


def _known_caller() -> Caller | None:
    if "Authorization" in request.headers:
        return _bearer_caller()  # a wrong token is refused, whatever cookie comes with it
    return _session_caller()


def _bearer() -> str:
    """The bearer token that came along, "" without one."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def _bearer_caller() -> Caller | None:
    secret = _bearer()
    if not secret:
        return None
    with hub().database.glance() as conn:
        found = accounts.token_of(conn, secret)
    return Caller(found.name, found.role, masked=found.masked) if found else None


def account() -> accounts.Account | None:
    """Whose session this browser holds."""
    name = session.get("name")
    if not name:
        return None
    with hub().database.glance() as conn:
        found = accounts.get(conn, name)
    if found is None or not found.active or found.stamp != session.get("stamp"):
        return None
    return found


def _session_caller() -> Caller | None:
    found = account()
    if found is None:
        return None
    g.account_language = found.language
    return Caller(found.name, found.role, masked=found.masked)


def _desk_caller(connection: str) -> Caller | None:
    held = desk_sessions.genuine(hub().keys, _bearer(), connection)
    if held is None:
        return None
    try:
        live = registry().get(connection)
    except ConfigError:
        return None
    with hub().database.glance() as conn:
        found = desk_sessions.onlooker(conn, live, held)
    if found is None:
        return None
    g.onlooker = found
    return Caller(found.name, found.role, masked=found.masked)


def _card_caller() -> Caller | None:
    keys, token = hub().keys, request.args["t"]
    told = card_tokens.genuine(keys, token)
    if told is None:
        return None
    g.frame_ancestors = told.ancestors or hub().frame_ancestors  # also of the page that it is over
    if card_tokens.is_over(keys, token, told):
        return None
    lent = Caller(told.actor, told.role, only=told.customer_id, masked=told.masked)
    return _as_it_stands(lent) if told.actor else lent


def _as_it_stands(lent: Caller) -> Caller | None:
    """Whoever acts by a link may not do more, nor see more, than its maker may now."""
    with hub().database.glance() as conn:
        now = accounts.standing(conn, lent.name)
    if now is None or not Caller(lent.name, now.role).may_lend(lent.role):
        return None
    hidden = now.masked or now.role in MASKED_ROLES
    return replace(lent, masked=lent.masked or hidden)


def _who_are_you(*, by_link: bool) -> Response:
    is_page = not request.path.startswith("/api/")
    if is_page and not by_link:
        here = request.full_path.rstrip("?") if request.method in SAFE_METHODS else "/"
        return redirect(url_for("pages.sign_in", next=here if here != "/" else None))
    if is_page:
        abort(401, "This link has expired.")
    challenge = WWWAuthenticate("bearer", {"realm": "conduit"})
    raise Unauthorized("Send a bearer token, or sign in.", www_authenticate=challenge)


def _refuse_foreign_forms() -> None:
    if request.method in SAFE_METHODS or "Authorization" in request.headers:
        return
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site == "same-origin" or (site is None and origin is not None and _is_ours(origin)):
        return
    if site == "none" and request.headers.get("Sec-Fetch-Mode") == "cors":
        return  # no page can say so: an extension that the person let reach us
    abort(403, "This form was sent from another site.")


def _is_ours(origin: str) -> bool:
    ours = {request.host, urlsplit(hub().settings.public_url).netloc}
    try:
        return urlsplit(origin).netloc in ours
    except ValueError:  # http://[
        return False
