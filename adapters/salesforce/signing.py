"""How the hub proves itself to Salesforce's token endpoint.

Source: https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_jwt_flow.htm and
RFC 7515 (checked 2026-11)
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

HEADER = {"alg": "RS256", "typ": "JWT"}


def signing_input(claims: Mapping[str, Any]) -> str:
    """What RS256 signs for the JWT bearer flow: header and claims, in the order given."""
    return f"{_part(HEADER)}.{_part(claims)}"


def basic_auth(consumer_key: str, consumer_secret: str) -> tuple[str, str]:
    """User and password for HTTP Basic in the client credentials flow."""
    return consumer_key, consumer_secret


def _part(value: Mapping[str, Any]) -> str:
    told = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(told).rstrip(b"=").decode()
