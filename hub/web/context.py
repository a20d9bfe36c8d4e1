"""What every view needs: settings, database and keys, once per application."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import current_app

from hub.errors import ConfigError
from hub.settings import Settings
from hub.store.crypto import KeyFile
from hub.store.db import Database


@dataclass(frozen=True)
class Hub:
    """One application's surroundings.

    Attributes:
        keys: what sessions, card tokens and cursors are signed with, the one in use first; derived
            from ``secret_keys``, so that they rotate together and never stand in for each other.
    """

    settings: Settings
    database: Database
    keys: tuple[bytes, ...] = field(repr=False)

    @property
    def is_https(self) -> bool:
        """Whether people reach the pages over TLS."""
        return urlsplit(self.settings.public_url).scheme == "https"

    @property
    def timezone(self) -> str:
        """The time zone instants are shown in."""
        return self.settings.timezone

    @property
    def language(self) -> str:
        """The language of whoever asks for none we have."""
        return self.settings.language

    @property
    def frame_ancestors(self) -> str:
        """Who may frame a card opened by a token, as a CSP source list."""
        return self.settings.card_frame_ancestors

    @property
    def proxies(self) -> int:
        """How many proxies of our own stand in front and set ``X-Forwarded-For``."""
        return self.settings.proxies

    def cipher(self) -> MultiFernet:
        """Makes cursors unreadable: they may name records by a phone number or mail address."""
        return MultiFernet(
            [Fernet(base64.urlsafe_b64encode(_derived(key, b"cursor"))) for key in self.keys]
        )


def hub() -> Hub:
    """The surroundings of the application that answers this request."""
    return cast("Hub", current_app.extensions["hub"])


def web_keys(settings: Settings) -> tuple[bytes, ...]:
    """Signing keys for the web, from the installation's secret keys."""
    secrets = settings.secret_keys or _own_keys(settings)
    return tuple(_derived(base64.b64decode(secret), b"web") for secret in secrets)


def _own_keys(settings: Settings) -> list[str]:
    """Embedded mode's own; several machines on one database must be told theirs."""
    if settings.database.startswith("postgresql"):
        raise ConfigError(
            "secret_keys is empty",
            hint="Make a key with: hub secrets new, and set HUB_SECRET_KEYS on every machine.",
        )
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    return KeyFile(settings.state_dir / "key").keys()


def _derived(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key)
