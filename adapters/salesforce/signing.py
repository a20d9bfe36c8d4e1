"""How the hub proves itself to Salesforce's token endpoint.

Source: https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_jwt_flow.htm and
RFC 7515 (checked 2026-11)
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from adapters.salesforce.config import SalesforceConfig
from hub.sdk import ConfigError
from hub.sdk.auth import OAuth2

HEADER = {"alg": "RS256", "typ": "JWT"}
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFE = timedelta(minutes=3)


def oauth(config: SalesforceConfig) -> OAuth2:
    """Where tokens are had: with a signed assertion for a user, else with client credentials."""
    where, id_ = f"{config.url}/services/oauth2/token", config.client_id.get_secret_value()

    def grant() -> Mapping[str, str]:
        told = (id_, config.username, config.audience, config.private_key.get_secret_value())
        return {"grant_type": GRANT, "assertion": assertion(*told, datetime.now(UTC))}

    if config.username:
        return OAuth2(where, id_, grant=grant)
    return OAuth2(where, id_, config.client_secret.get_secret_value())


def signing_input(claims: Mapping[str, Any]) -> str:
    """What RS256 signs for the JWT bearer flow: header and claims, in the order given."""
    return f"{_part(HEADER)}.{_part(claims)}"


def assertion(client_id: str, username: str, audience: str, pem: str, at: datetime) -> str:
    """The token by which the hub asks to act as that user (RFC 7523), good for three minutes.

    Raises:
        ConfigError: this is no private RSA key.
    """
    until = int((at + LIFE).timestamp())
    told = signing_input({"iss": client_id, "sub": username, "aud": audience, "exp": until})
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ConfigError(
            "private_key is no RSA key",
            hint="Give a PEM without a passphrase; its certificate belongs to the app.",
        )
    return f"{told}.{_text(key.sign(told.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def basic_auth(consumer_key: str, consumer_secret: str) -> tuple[str, str]:
    """User and password for HTTP Basic in the client credentials flow."""
    return consumer_key, consumer_secret


def _part(value: Mapping[str, Any]) -> str:
    return _text(json.dumps(value, separators=(",", ":")).encode())


def _text(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()
