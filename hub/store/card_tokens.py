"""Signed links that open one customer's card without signing in; nothing of them is stored."""

from __future__ import annotations

import base64
from dataclasses import astuple, dataclass
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

from hub.errors import ConfigError
from hub.settings import Settings
from hub.store.crypto import KeyFile

LIFETIME_S = 15 * 60
"""The longest a link may live."""


@dataclass(frozen=True)
class CardToken:
    """What a link opens.

    Attributes:
        role: as whom the card is seen.
        masked: phones and mail addresses are hidden, whatever the role.
        actor: in whose name the card may act, as far as the role may; "" = it is only read.
        lifetime_s: how long the link opens it.
        ancestors: who may frame it, as a CSP source list; "" = whom the settings name.
    """

    customer_id: str
    role: str
    masked: bool = False
    actor: str = ""
    lifetime_s: int = LIFETIME_S
    ancestors: str = ""


def sign(keys: tuple[bytes, ...], told: CardToken) -> str:
    """The token, to stand in an address."""
    return _signer(keys).dumps(astuple(told))


def genuine(keys: tuple[bytes, ...], token: str) -> CardToken | None:
    """What the token opens or once did; None when it is not ours."""
    try:
        return CardToken(*_signer(keys).loads(token))
    except (BadSignature, TypeError):  # those of an older version too
        return None


def is_over(keys: tuple[bytes, ...], token: str, told: CardToken) -> bool:
    """Whether the time of a genuine token is over."""
    try:
        _signer(keys).loads(token, max_age=min(LIFETIME_S, told.lifetime_s))
    except SignatureExpired:
        return True
    return False


def link(settings: Settings, keys: tuple[bytes, ...], told: CardToken) -> str:
    """The whole address, for somebody who sees no page of ours."""
    return f"{settings.public_url.rstrip('/')}/card?{urlencode({'t': sign(keys, told)})}"


def card_url(settings: Settings, customer_id: str) -> str:
    """Where a customer's card is for people who sign in: it may be kept anywhere."""
    return f"{settings.public_url.rstrip('/')}/card?{urlencode({'customer': customer_id})}"


def customer_at(settings: Settings, url: str) -> str | None:
    """Whose card is at this address; None when it is no ``card_url`` of ours."""
    try:
        told = urlsplit(url)
    except ValueError:  # somebody wrote it
        return None
    ours = f"{told.scheme}://{told.netloc}{told.path}" == card_url(settings, "").partition("?")[0]
    return next(iter(parse_qs(told.query).get("customer", ())), None) if ours else None


def web_keys(settings: Settings) -> tuple[bytes, ...]:
    """Signing keys for the web, from the installation's secret keys, the one in use first."""
    secrets = settings.secret_keys or _own_keys(settings)
    return tuple(derived(base64.b64decode(secret), b"web") for secret in secrets)


def derived(key: bytes, purpose: bytes) -> bytes:
    """A key for one purpose, from which no other can be told."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key)


def _signer(keys: tuple[bytes, ...]) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(list(reversed(keys)), salt="card")  # it signs with the last


def _own_keys(settings: Settings) -> list[str]:
    """Embedded mode's own; several machines on one database must be told theirs."""
    if settings.database.startswith("postgresql"):
        raise ConfigError(
            "secret_keys is empty",
            hint="Make a key with: hub secrets new, and set HUB_SECRET_KEYS on every machine.",
        )
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    return KeyFile(settings.state_dir / "key").keys()
