"""How the hub proves itself to Zendesk's API."""

from __future__ import annotations


def basic_auth(email: str, api_token: str) -> tuple[str, str]:
    """User and password for HTTP Basic.

    Source: https://developer.zendesk.com/api-reference/introduction/security-and-auth/
    (checked 2026-11)
    """
    return f"{email}/token", api_token
