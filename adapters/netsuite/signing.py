"""Token-based authentication: OAuth 1.0a by HMAC-SHA256.

Source: https://datatracker.ietf.org/doc/html/rfc5849 (checked 2026-11)
"""

from __future__ import annotations

import base64
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

from hub.sdk.signing import hmac_digest


class Keys(NamedTuple):
    """What an integration and its access token are known by."""

    consumer_key: str
    consumer_secret: str
    token_id: str
    token_secret: str


def authorization(
    method: str, url: str, keys: Keys, *, realm: str, nonce: str, timestamp: int
) -> str:
    """The header ``Authorization`` of a call; its query is signed, its JSON body is not.

    Args:
        realm: the account as NetSuite shows it, such as 1234567_SB1.
        nonce: never used twice within one ``timestamp``, which is in Unix seconds.
    """
    told = {
        "oauth_nonce": nonce,
        "oauth_timestamp": str(timestamp),
        "oauth_version": "1.0",
        "oauth_signature_method": "HMAC-SHA256",
        "oauth_consumer_key": keys.consumer_key,
        "oauth_token": keys.token_id,
    }
    key = f"{_quoted(keys.consumer_secret)}&{_quoted(keys.token_secret)}".encode()
    digest = hmac_digest(key, _base(method, url, told).encode())
    signed = {"realm": realm, **told, "oauth_signature": base64.b64encode(digest).decode()}
    pairs = (f'{name}="{_quoted(value)}"' for name, value in signed.items())
    return f"OAuth {', '.join(pairs)}"


def _base(method: str, url: str, told: dict[str, str]) -> str:
    """The signature base string."""
    parts = urlsplit(url)
    bare = f"{parts.scheme}://{parts.netloc}".lower() + parts.path
    pairs = [*told.items(), *parse_qsl(parts.query, keep_blank_values=True)]
    sorted_ = sorted((_quoted(name), _quoted(value)) for name, value in pairs)
    query = "&".join(f"{name}={value}" for name, value in sorted_)
    return "&".join(_quoted(part) for part in (method.upper(), bare, query))


def _quoted(text: str) -> str:
    return quote(text, safe="~")
