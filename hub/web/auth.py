"""Who asks, and whether they may: sessions, bearer tokens, card tokens, and one decorator.

Forms need no hidden token. A browser says with every unsafe request where it came from
(``Sec-Fetch-Site``, or ``Origin`` where that is missing), a page cannot forge either, and the
session cookie is ``SameSite=Lax``; whoever says neither is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from flask import Flask, abort, g, redirect, request, session, url_for
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized
from werkzeug.wrappers import Response

from hub.store import accounts
from hub.web.context import hub

View = TypeVar("View", bound=Callable[..., Any])

CARD_TOKEN_LIFETIME_S = 15 * 60
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
READERS = accounts.ROLES
OPERATORS = ("admin", "operator")
MASKED_ROLES = frozenset({"auditor"})

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
    }
)
"""Endpoints anybody may ask; every other view must carry ``requires``."""


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        name: of the account or token; "" behind a card token.
        only: the one customer a card token opens; None = all.
    """

    name: str
    role: str
    only: str | None = None

    @property
    def sees_masked(self) -> bool:
        """Whether phones and mail addresses are hidden from them."""
        return self.role in MASKED_ROLES

    @property
    def is_operator(self) -> bool:
        """Whether they look after connections."""
        return self.role in OPERATORS


def requires(*roles: str, card_token: bool = False) -> Callable[[View], View]:
    """Let only these roles in.

    Args:
        card_token: whether a signed card token in the address opens the view as well; the view
            must then keep to ``Caller.only``.
    """

    def guard(view: View) -> View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            asking = _card_caller() if card_token and "t" in request.args else _known_caller()
            if asking is None:
                return _who_are_you(by_link=card_token and "t" in request.args)
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


def card_token(customer_id: str, role: str) -> str:
    """A token that opens one customer's card for ``CARD_TOKEN_LIFETIME_S``, seen as ``role``."""
    return _card_signer().dumps([customer_id, role])


def local_path(wish: str | None) -> str | None:
    """The path if it leads nowhere but to ourselves."""
    if not wish or not wish.startswith("/") or wish.startswith(("//", "/\\")):
        return None
    return wish if wish.isprintable() and "\\" not in wish else None


def install(app: Flask) -> None:
    """Refuse what another site made a browser send."""
    app.before_request(_refuse_foreign_forms)


def _known_caller() -> Caller | None:
    if "Authorization" in request.headers:
        return _bearer_caller()  # a wrong token is refused, whatever cookie comes with it
    return _session_caller()


def _bearer_caller() -> Caller | None:
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret:
        return None
    with hub().database.read() as conn:
        found = accounts.token_of(conn, secret.strip())
    return Caller(found.name, found.role) if found else None


def _session_caller() -> Caller | None:
    name = session.get("name")
    if not name:
        return None
    with hub().database.read() as conn:
        found = accounts.get(conn, name)
    if found is None or not found.active or found.stamp != session.get("stamp"):
        return None
    g.account_language = found.language
    return Caller(found.name, found.role)


def _card_caller() -> Caller | None:
    try:
        customer_id, role = _card_signer().loads(request.args["t"], max_age=CARD_TOKEN_LIFETIME_S)
    except BadSignature:  # expired ones too
        return None
    g.embedded = True
    return Caller("", role, only=customer_id)


def _card_signer() -> URLSafeTimedSerializer:
    keys = list(reversed(hub().keys))  # it signs with the last
    return URLSafeTimedSerializer(keys, salt="card")


def _who_are_you(*, by_link: bool) -> Response:
    is_page = not request.path.startswith("/api/")
    if is_page and not by_link and request.method in SAFE_METHODS:
        here = request.full_path.rstrip("?")
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
    abort(403, "This form was sent from another site.")


def _is_ours(origin: str) -> bool:
    ours = {request.host, urlsplit(hub().settings.public_url).netloc}
    return urlsplit(origin).netloc in ours
