"""Signing in at a vendor in a browser: the question, and what its answer is redeemed for.

Nothing is stored in between. What must come back is sealed into ``state``, so that any process of
this installation can redeem an answer, and nobody else can make one.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import orjson
from sqlalchemy import Connection

from hub.errors import AuthError, ConfigError
from hub.registry.live import Registry
from hub.sdk import Http
from hub.sdk.auth import new_verifier
from hub.settings import Settings
from hub.store import audit, connections, credentials, leases
from hub.store.crypto import Vault
from hub.store.schema import from_us, to_us

LASTS = timedelta(minutes=10)
CALLBACK = "/oauth/callback"


@dataclass(frozen=True, slots=True)
class SignIn:
    """One sign-in under way; it counts once, because it replaces tokens of that version."""

    connection: str
    version: int
    ends_at: int
    verifier: str


def callback_url(settings: Settings) -> str:
    """Where vendors send people back to; the address to register there."""
    return settings.public_url.rstrip("/") + CALLBACK


def begin(registry: Registry, connection: str, callback: str) -> tuple[str, int]:
    """The address to open in a browser, and the version of the tokens a sign-in would replace.

    Raises:
        UnsupportedError: this connection needs nobody to sign in.
    """
    oauth = registry.get(connection).adapter.oauth()
    with registry.database.read() as conn:
        version = credentials.version(conn, connection)
    signing = SignIn(connection, version, to_us(leases.now() + LASTS), new_verifier())
    return oauth.ask_url(callback, _seal(registry.vault, signing), signing.verifier), version


def finish(registry: Registry, answer: str, callback: str, actor: str) -> str:
    """Redeem the address a browser came back with; the name of the connection it lets us into.

    Whatever waited for it goes on at once.

    Raises:
        AuthError: it answers no question of ours, comes too late, or says no.
    """
    signing = _open(registry.vault, answer)
    live = registry.get(signing.connection)
    with registry.database.read() as conn:
        _still_counts(conn, signing)
    http = Http("", allow_networks=live.config.allow_networks)
    try:
        tokens = live.adapter.oauth().redeem(http, answer, callback, signing.verifier)
    finally:
        http.close()
    with registry.database.write() as conn:
        credentials.replace_all(conn, registry.vault, live.name, tokens)
        connections.readmit(conn, live.name)
        audit.note(conn, actor, "sign in", f"connection:{live.name}")
    return live.name


def _still_counts(conn: Connection, signing: SignIn) -> None:
    late = leases.now() > from_us(signing.ends_at)
    if late or credentials.version(conn, signing.connection) != signing.version:
        raise _again("this sign-in has expired or was used already")


def _seal(vault: Vault, signing: SignIn) -> str:
    told = [signing.connection, signing.version, signing.ends_at, signing.verifier]
    sealed = vault.encrypt(orjson.dumps(told), context="sign-in")
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def _open(vault: Vault, answer: str) -> SignIn:
    state = parse_qs(urlsplit(answer).query).get("state", [""])[0]
    try:
        sealed = base64.b64decode(state + "=" * (-len(state) % 4), altchars="-_", validate=True)
        return SignIn(*orjson.loads(vault.decrypt(sealed, context="sign-in")))
    except (binascii.Error, ConfigError, ValueError):
        raise _again("this address does not answer a sign-in of this hub") from None


def _again(words: str) -> AuthError:
    return AuthError(words, hint="Begin again: hub connect with the connection's name.")
