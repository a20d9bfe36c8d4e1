"""What every view needs: settings, database and keys, once per application."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

from cryptography.fernet import Fernet, MultiFernet
from flask import current_app

from hub.profiles.catalogue import Catalogue
from hub.registry import Hub as Installation
from hub.registry import Registry, open_catalogue
from hub.rules.decide import read_rules
from hub.settings import Settings
from hub.store.card_tokens import derived
from hub.store.db import Database
from hub.syncs.spec import read_syncs


@dataclass(frozen=True)
class Hub:
    """One application's surroundings.

    Attributes:
        catalogue: the traits and segments of this installation.
        keys: what sessions, card tokens and cursors are signed with, the one in use first; derived
            from ``secret_keys``, so that they rotate together and never stand in for each other.
    """

    settings: Settings
    database: Database
    keys: tuple[bytes, ...] = field(repr=False)
    catalogue: Catalogue = field(default_factory=open_catalogue, repr=False)

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
            [Fernet(base64.urlsafe_b64encode(derived(key, b"cursor"))) for key in self.keys]
        )


def hub() -> Hub:
    """The surroundings of the application that answers this request."""
    return cast("Hub", current_app.extensions["hub"])


def registry() -> Registry:
    """The connections as they are now."""
    return cast("Registry", current_app.extensions["conduit-registry"])


def installation() -> Installation:
    """The installation as stories take it."""
    here = hub()
    rules, syncs = read_rules(here.settings.rules), read_syncs(here.settings.syncs)
    return Installation(here.settings, here.database, registry(), rules, here.catalogue, syncs)
