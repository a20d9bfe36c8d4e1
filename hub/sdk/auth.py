"""Tokens that run out: OAuth2, and whatever a vendor hands out for a while against a key.

An adapter says how tokens are fetched and hands ``TokenAuth(self.tokens, fetch)`` to its ``Http``.
They are renewed before they run out, by one process at a time, and stored before they are used::

    def connect(self) -> Http:  # OAuth2: ``oauth`` describes the vendor's endpoints
        return Http("https://api.example.com", auth=TokenAuth(self.tokens, self.oauth().renew))

    def _app_token(self, http: Http, _: Tokens | None) -> Tokens:  # key and secret for a token
        body = http.get("https://api.example.com/gettoken", params={"key": …, "secret": …})
        return Tokens.lasting(body["access_token"], body["expires_in"])

Source: https://datatracker.ietf.org/doc/html/rfc6749 and rfc7636 (checked 2026-11)
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit

import orjson

from hub.errors import AuthError, RejectedError, RetryableError
from hub.sdk.http import Http

log = logging.getLogger(__name__)

EARLY = timedelta(minutes=15)
"""Tokens are renewed so long before they end, or after half of a shorter life."""

YOUNG = timedelta(seconds=60)
"""A vendor that refuses tokens of this age would refuse the next ones as well."""

PAUSE = timedelta(seconds=30)
"""How long tokens that still hold are used before a renewal that failed is tried again."""

LONGEST_S = 10 * 365 * 86400.0

TIMEOUT_S = 20.0

_SIGN_IN = "Sign in again: hub connect with this connection's name; then everything goes on."
_KEYS = "Check id and secret of the application, and for whom it may act."
_PASSING = frozenset({"temporarily_unavailable", "server_error", "slow_down"})


def now() -> datetime:
    """The clock; tests may set it."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a vendor let us in with.

    Attributes:
        access: sent with every request.
        refresh: exchanged for the next ones; empty when there is no such thing.
        expires_at: when ``access`` ends; None = not known to end.
        since: when they were handed out.
        told: what else the vendor said with them, such as the address of the account.
        version: rises with each renewal; the store counts.
    """

    access: str = field(repr=False)
    refresh: str = field(default="", repr=False)
    expires_at: datetime | None = None
    since: datetime = field(default_factory=lambda: now())
    told: Mapping[str, Any] = field(default_factory=dict, repr=False)
    version: int = 0

    @classmethod
    def lasting(cls, access: str, seconds: object, **more: Any) -> Tokens:
        """Tokens handed out just now that end after so many seconds, where the vendor tells."""
        since, lasts_s = now(), min(_number(seconds), LONGEST_S)
        ends = since + timedelta(seconds=lasts_s) if lasts_s > 0 else None
        return cls(access, expires_at=ends, since=since, **more)

    @property
    def due_at(self) -> datetime | None:
        """When to renew them."""
        if self.expires_at is None:
            return None
        return self.expires_at - min(EARLY, (self.expires_at - self.since) / 2)


Fetch = Callable[[Http, Tokens | None], Tokens]
"""New tokens, from the present ones where there are any; asked through the client it is given."""

Carry = Callable[[Tokens], Mapping[str, Mapping[str, str]]]
"""How a request shows the tokens: ``{"headers": {…}}`` or ``{"params": {…}}``."""


def bearer(tokens: Tokens) -> Mapping[str, Mapping[str, str]]:
    """``Authorization: Bearer …`` (RFC 6750)."""
    return {"headers": {"Authorization": f"Bearer {tokens.access}"}}


class TokenStore(Protocol):
    """Where the tokens of one connection are kept; the hub hands every adapter its own."""

    def load(self) -> Tokens | None:
        """The newest tokens, None when there never were any."""

    def renew(self, seen: int, fetch: Callable[[Tokens | None], Tokens]) -> Tokens:
        """Tokens newer than version ``seen``: fetched once, stored, and only then returned.

        Of many who ask at once, also in other processes, one fetches; the others get what it got.

        Raises:
            AuthError: the vendor gives no more tokens; somebody must sign in.
            RetryableError: none could be had now.
        """


class MemoryTokens:
    """Tokens of this process alone: for tests, and for an adapter used outside a hub."""

    def __init__(self, tokens: Tokens | None = None) -> None:
        self._tokens = tokens
        self._lock = threading.Lock()

    def load(self) -> Tokens | None:
        """The newest tokens."""
        return self._tokens

    def put(self, tokens: Tokens) -> None:
        """Take these for the newest."""
        self._tokens = tokens

    def renew(self, seen: int, fetch: Callable[[Tokens | None], Tokens]) -> Tokens:
        """Tokens newer than version ``seen``."""
        with self._lock:
            if self._tokens is None or self._tokens.version <= seen:
                self._tokens = replace(fetch(self._tokens), version=seen + 1)
            return self._tokens


class TokenAuth:
    """Lets an ``Http`` in with tokens that are renewed in time.

    Args:
        store: where they are kept: ``self.tokens`` of the adapter.
        fetch: how new ones are had.
        carry: how a request shows them.
        raise_for_body: as for ``Http``, for the answers ``fetch`` gets.
    """

    def __init__(
        self,
        store: TokenStore,
        fetch: Fetch,
        *,
        carry: Carry = bearer,
        raise_for_body: Callable[[Any], None] | None = None,
    ) -> None:
        self._store, self._fetch, self._carry = store, fetch, carry
        self._http = Http("", timeout_s=TIMEOUT_S, raise_for_body=raise_for_body)
        self._tokens: Tokens | None = None
        self._not_before = datetime.min.replace(tzinfo=UTC)
        self.header_names = tuple(carry(Tokens("")).get("headers", {}))

    def allow(self, networks: Sequence[str]) -> None:
        """Let the fetching of tokens reach these private networks and no others."""
        self._http.allow(networks)

    def close(self) -> None:
        """Close the pooled sockets."""
        self._http.close()

    def forget(self) -> None:
        """Ask the store the next time."""
        self._tokens = None

    def current(self) -> Tokens:
        """Tokens to send now, renewed when it is time.

        Raises:
            AuthError: the vendor gives none.
            RetryableError: none could be had now, and what we had has run out.
        """
        tokens = self._tokens or self._store.load()
        if tokens is None:
            tokens = self._renew(0)
        elif tokens.due_at is not None and now() >= max(tokens.due_at, self._not_before):
            tokens = self._renew_early(tokens)
        self._tokens = tokens
        return tokens

    def signed(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The request's arguments, with the tokens among them."""
        shown = self._carry(self.current())
        return {**kwargs, **{part: {**(kwargs.get(part) or {}), **shown[part]} for part in shown}}

    def replaced(self, refused: Tokens) -> bool:
        """Whether there are newer tokens than those the vendor refused, or could be fetched."""
        newest = self._store.load()
        if newest is None or newest.version <= refused.version:
            if now() - refused.since < YOUNG:
                return False
            newest = self._renew(refused.version)
        self._tokens = newest
        return True

    def _renew(self, seen: int) -> Tokens:
        return self._store.renew(seen, lambda tokens: self._fetch(self._http, tokens))

    def _renew_early(self, tokens: Tokens) -> Tokens:
        """Newer ones; those that still hold when the vendor cannot give any now."""
        try:
            return self._renew(tokens.version)
        except RetryableError:
            if tokens.expires_at is None or now() >= tokens.expires_at:
                raise
            self._not_before = min(now() + PAUSE, tokens.expires_at)
            log.warning("tokens could not be renewed yet")
            return tokens


@dataclass(frozen=True, slots=True)
class OAuth2:
    """A vendor's authorisation server and who we are to it.

    Attributes:
        token_url: where tokens are had.
        authorize_url: where a person agrees; empty = no person is needed (client credentials).
        in_body: send id and secret as form fields; otherwise as HTTP Basic, as the standard wants.
        more: further parameters of the page a person agrees on.
        grant: the form of a grant of our own, such as a signed assertion (RFC 7523), asked for
            every time; instead of client credentials.
    """

    token_url: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    authorize_url: str = ""
    scope: str = ""
    in_body: bool = False
    more: Mapping[str, str] = field(default_factory=dict)
    grant: Callable[[], Mapping[str, str]] | None = field(default=None, repr=False)

    def ask_url(self, redirect_uri: str, state: str, verifier: str) -> str:
        """The page on which a person lets us in; it leads back to ``redirect_uri``.

        Args:
            state: comes back with the answer, and proves that it answers our question.
            verifier: shown again when the answer is redeemed (PKCE); see ``new_verifier``.
        """
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": redirect_uri,
            "state": state,
            "code_challenge": challenge(verifier),
            "code_challenge_method": "S256",
            **({"scope": self.scope} if self.scope else {}),
            **self.more,
        }
        mark = "&" if urlsplit(self.authorize_url).query else "?"
        return f"{self.authorize_url}{mark}{urlencode(asked)}"

    def redeem(self, http: Http, answer: str, redirect_uri: str, verifier: str) -> Tokens:
        """The tokens for the answer to ``ask_url``: the address the person was sent back to.

        Raises:
            AuthError: the person or the vendor said no.
        """
        told = parse_qs(urlsplit(answer).query)
        if "code" not in told:
            raise _refused(told.get("error", [""])[0], "the sign-in was not granted")
        form = {"code": told["code"][0], "redirect_uri": redirect_uri, "code_verifier": verifier}
        return self._ask(http, {"grant_type": "authorization_code", **form}, None)

    def renew(self, http: Http, tokens: Tokens | None) -> Tokens:
        """The next tokens: for the refresh token, or for our client credentials.

        A lost answer is asked for again with the same refresh token. Where that is taken only once
        the vendor may refuse it now; but then nothing else was left to try.

        Raises:
            AuthError: a person must sign in.
        """
        if tokens is not None and tokens.refresh:
            form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh}
            return self._ask(http, form, tokens)
        if self.authorize_url:
            raise AuthError("nobody has signed in, or not for long enough", hint=_SIGN_IN)
        if self.grant:
            return self._ask(http, self.grant(), tokens)
        scope = {"scope": self.scope} if self.scope else {}
        return self._ask(http, {"grant_type": "client_credentials", **scope}, tokens)

    def _ask(self, http: Http, form: Mapping[str, str], before: Tokens | None) -> Tokens:
        who: dict[str, Any] = {}
        if self.in_body or not self.client_secret:
            secret = {"client_secret": self.client_secret} if self.client_secret else {}
            form = {**form, "client_id": self.client_id, **secret}
        else:
            who["auth"] = (quote_plus(self.client_id), quote_plus(self.client_secret))
        once = form["grant_type"] == "authorization_code"
        try:
            body = http.json("POST", self.token_url, data=form, repeatable=not once, **who)
        except (AuthError, RejectedError) as exc:  # its words may repeat what we sent
            hint = _SIGN_IN if self.authorize_url else _KEYS
            raise _refused(_error_in(exc.hint), "the vendor gives no tokens", hint) from None
        return _tokens_in(body, before)


def new_verifier() -> str:
    """A fresh secret for one sign-in (RFC 7636, 4.1)."""
    return secrets.token_urlsafe(32)


def challenge(verifier: str) -> str:
    """What may be shown of a verifier beforehand (RFC 7636, 4.2)."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _tokens_in(body: Any, before: Tokens | None) -> Tokens:
    told = body if isinstance(body, dict) else {}
    access = told.get("access_token")
    if not isinstance(access, str) or not access:  # some say no with status 200
        raise _refused(told.get("error"), "the vendor's answer holds no token")
    refresh = told.get("refresh_token") or (before.refresh if before else "")
    rest = {k: v for k, v in told.items() if "token" not in k and k != "expires_in"}
    lasts_s = told.get("expires_in")
    return Tokens.lasting(access, lasts_s, refresh=refresh, told={**_told(before), **rest})


def _number(told: object) -> float:
    try:
        return float(told)  # type: ignore[arg-type]  # a number, or one in words
    except (TypeError, ValueError):
        return 0.0


def _told(before: Tokens | None) -> Mapping[str, Any]:
    return before.told if before else {}


def _error_in(words: str) -> str:
    try:
        return str(orjson.loads(words)["error"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""


def _refused(error: object, what: str, hint: str = _SIGN_IN) -> AuthError | RetryableError:
    """The error for a refusal; of the vendor's words only the standard's code is shown."""
    code = error if isinstance(error, str) and re.fullmatch(r"[a-z_]{1,40}", error) else ""
    words = f"{what}: {code}" if code else what
    return RetryableError(words) if code in _PASSING else AuthError(words, hint=hint)
