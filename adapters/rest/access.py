"""How requests are let in: keys, log-ins, tokens, signatures; and how answers are understood."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from adapters.rest.system import (
    BasicAuth,
    BearerAuth,
    KeyAuth,
    OAuthAuth,
    Request,
    SessionAuth,
    Sign,
    System,
)
from adapters.rest.template import Scope, filled, path, shown, text
from hub.sdk import (
    Answers,
    AuthError,
    ConflictError,
    Http,
    Outgoing,
    RejectedError,
    RemoteError,
    at,
)
from hub.sdk.auth import OAuth2, TokenAuth, Tokens, TokenStore
from hub.sdk.signing import hmac_digest

HANDLED = frozenset({401, 403, 408, 425, 429})
"""Statuses whose meaning everybody agrees on."""


class RefusedError(RejectedError):
    """The vendor said no, by a status or by the code in its answer.

    Attributes:
        said: the status, and the code in the body.
    """

    def __init__(self, message: str, *, hint: str = "", said: Collection[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.said = frozenset(said)


class Understanding:
    """What answers mean: by the code in the body where the file says so, else by their status."""

    def __init__(self, answers: Answers | None, conflicts: Collection[int]) -> None:
        self._answers, self._conflicts = answers, conflicts

    def body(self, body: Any) -> None:
        """Raises for what is refused with status 200."""
        if self._answers is None:
            return
        try:
            self._answers(body)
        except ConflictError:
            raise
        except RejectedError as exc:
            raise RefusedError(str(exc), hint=exc.hint, said=[self._code(body)]) from None

    def refusal(self, status: int, body: Any) -> None:
        """Raises where the code of a refused request is listed, or the status says it all."""
        a = self._answers
        if a and self._code(body) in (*a.auth, *a.busy, *a.conflict, *a.gone):
            self.body(body)
        if status < 500 and status not in HANDLED and status not in self._conflicts:
            words = shown(at(self._answers.words, body) or "") if self._answers else ""
            raise RefusedError(
                f"the vendor answered {status}",
                hint=(words or shown(body))[:300],
                said=[str(status), self._code(body)],
            )

    def _code(self, body: Any) -> str:
        found = at(self._answers.code, body) if self._answers else None
        return "" if found is None else shown(found)


def client(system: System, scope: Scope, tokens: TokenStore, hidden: Collection[str]) -> Http:
    """A client for the system, let in."""
    auth, base = system.auth, text(system.system.base, scope)
    headers = filled(system.system.headers, scope)
    let_in: tuple[str, str] | TokenAuth | None = None
    if isinstance(auth, KeyAuth):
        headers |= filled(auth.headers, scope)
    elif isinstance(auth, BearerAuth):
        headers["Authorization"] = f"Bearer {text(auth.token, scope)}"
    elif isinstance(auth, BasicAuth):
        let_in = text(auth.user, scope), text(auth.password, scope)
    elif isinstance(auth, OAuthAuth):
        let_in = TokenAuth(tokens, _oauth(auth, scope, base).renew)
    elif isinstance(auth, SessionAuth):
        session = Session(auth, scope, base, system.answers)
        let_in = TokenAuth(tokens, session.fetch, carry=session.carry)
    understanding = Understanding(system.answers, system.system.conflicts)
    return Http(
        base,
        auth=let_in,
        sign=Signer(system.sign, scope) if system.sign else None,
        headers=headers,
        raise_for_body=understanding.body,
        raise_for_refusal=understanding.refusal,
        conflicts=system.system.conflicts,
        hidden=hidden,
    )


def arguments(request: Request, scope: Scope, auth: object = None) -> dict[str, Any]:
    """The parts of a request as ``Http`` takes them."""
    found: dict[str, Any] = {
        "params": filled(request.query, scope),
        "headers": filled(request.headers, scope),
    }
    if request.form:
        found["data"] = filled(request.form, scope)
    elif request.body is not None:
        found["json"] = filled(request.body, scope)
    if isinstance(auth, KeyAuth):
        found["params"] |= filled(auth.query, scope)
        if auth.body and request.method != "GET" and isinstance(found.get("json", {}), dict):
            found["json"] = {**(found.get("json") or {}), **filled(auth.body, scope)}
    return {name: value for name, value in found.items() if value or name == "json"}


def _oauth(auth: OAuthAuth, scope: Scope, base: str) -> OAuth2:
    return OAuth2(
        _address(auth.token_url, scope, base),
        client_id=text(auth.client_id, scope),
        client_secret=text(auth.client_secret, scope),
        scope=text(auth.scope, scope),
        in_body=auth.in_body,
    )


def _address(template: str, scope: Scope, base: str) -> str:
    """A whole address: tokens are asked for by a client without a base."""
    if urlsplit(template).scheme or template.startswith("{"):
        return text(template, scope)
    return base.rstrip("/") + path(template, scope)


class Session:
    """A log-in, described; what its first steps keep travels with the token."""

    def __init__(self, auth: SessionAuth, scope: Scope, base: str, answers: Answers | None) -> None:
        self._auth, self._scope, self._base, self._answers = auth, scope, base, answers

    def fetch(self, http: Http, _: Tokens | None) -> Tokens:
        """A new token.

        Raises:
            AuthError: it is refused.
        """
        kept: dict[str, Any] = {}
        for step in self._auth.first:
            body, _headers = self._ask(http, step, kept)
            kept |= {name: at(where, body) for name, where in step.keep.items()}
        body, headers = self._ask(http, self._auth.login, kept)
        token = self._token(body, headers)
        if not token:
            raise AuthError("the log-in gave no token", hint="Check the account and its secret.")
        lasts_s = at(self._auth.expires_in, body) if self._auth.expires_in else self._auth.lasts_s
        return Tokens.lasting(token, lasts_s, told={"kept": kept})

    def carry(self, tokens: Tokens) -> Mapping[str, Mapping[str, str]]:
        """How a request shows the token."""
        auth, parts = self._auth, {}
        scope = self._scope.having(token=tokens.access, **tokens.told)
        for name, table in (("headers", auth.headers), ("params", auth.query), ("json", auth.body)):
            if table:  # without a token only the names are wanted
                parts[name] = filled(table, scope) if tokens.access else dict.fromkeys(table, "")
        return parts

    def _ask(self, http: Http, request: Request, kept: Mapping[str, Any]) -> tuple[Any, Any]:
        scope = self._scope.having(kept=kept)
        address = _address(request.path, scope, self._base)
        try:
            answer = http.request(
                request.method, address, repeatable=True, **arguments(request, scope)
            )
            body = json.loads(answer.content) if answer.content else None
            if self._answers:
                self._answers(body)
        except ValueError:
            raise RemoteError(
                "the log-in answered something that is not JSON",
                hint="Check the address of this connection: it may lead to a web page.",
            ) from None
        except RejectedError as exc:
            raise AuthError(f"the log-in was refused: {exc}", hint=exc.hint) from None
        return body, answer.headers

    def _token(self, body: Any, headers: Mapping[str, str]) -> str:
        kind, colon, name = self._auth.token.partition(":")
        if colon and kind == "header":
            return headers.get(name, "")
        if colon and kind == "cookie":
            cookies = headers.get("Set-Cookie", "")
            pairs = (part.strip().partition("=") for part in cookies.replace(",", ";").split(";"))
            return next((value for key, _, value in pairs if key == name), "")
        found = at(self._auth.token, body)
        return "" if found is None else shown(found)


class Signer:
    """Signs each request as ``[sign]`` says."""

    def __init__(self, sign: Sign, scope: Scope) -> None:
        self._sign, self._scope = sign, scope

    def __call__(self, request: Outgoing, now: Any) -> None:
        """Put the signature where the vendor wants it."""
        sign, scope = self._sign, self._seen(request, now)
        parts = [text(part, scope) for part in sign.parts]
        message = sign.separator.join(sorted(parts) if sign.sort else parts)
        signature = self._written(message.encode(), text(sign.key, scope).encode())
        scope = scope.having(signature=signature)
        request.headers.update(filled(sign.headers, scope))
        if sign.query:
            address = urlsplit(str(request.url))
            pairs = [*parse_qsl(address.query, keep_blank_values=True)]
            pairs += filled(sign.query, scope).items()
            request.url = urlunsplit(address._replace(query=urlencode(pairs)))
        if sign.body:
            told = {**json.loads(request.body or b"{}"), **filled(sign.body, scope)}
            request.body = json.dumps(told).encode()
            request.headers["Content-Length"] = str(len(request.body))

    def _seen(self, request: Outgoing, now: Any) -> Scope:
        address = urlsplit(str(request.url))
        query = sorted(parse_qsl(address.query, keep_blank_values=True))
        body = request.body or b""
        body = body.decode() if isinstance(body, bytes) else str(body)
        form = "form" in str(request.headers.get("Content-Type", ""))
        pairs = sorted([*query, *(parse_qsl(body) if form else _flat(body))])
        scope = self._scope.having(
            method=str(request.method),
            path=address.path,
            query="&".join(f"{name}={value}" for name, value in query),
            body=body,
            params=self._sign.joint.join(f"{n}{self._sign.pair}{v}" for n, v in pairs),
            nonce=secrets.token_hex(16),
        )
        return Scope(scope.names, scope.zone, lambda: now)

    def _written(self, message: bytes, key: bytes) -> str:
        kind, _, algorithm = self._sign.digest.rpartition("-")
        if kind:
            digest = hmac_digest(key, message, digest=algorithm)
        else:
            digest = hashlib.new(algorithm, message).digest()
        match self._sign.encoding:
            case "hex":
                return digest.hex()
            case "HEX":
                return digest.hex().upper()
            case "base64":
                return base64.b64encode(digest).decode()
        return base64.b64encode(digest.hex().encode()).decode()


def _flat(body: str) -> list[tuple[str, str]]:
    """The single values of a JSON body."""
    try:
        told = json.loads(body or "{}")
    except ValueError:
        return []
    pairs = told.items() if isinstance(told, dict) else ()
    return [(k, shown(v)) for k, v in pairs if v is not None and not isinstance(v, dict | list)]
