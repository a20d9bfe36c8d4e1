"""How the hub proves itself to Freshdesk's API."""

from __future__ import annotations


def basic_auth(api_key: str) -> tuple[str, str]:
    """User and password for HTTP Basic; the password is not looked at.

    Source: https://developers.freshdesk.com/api/#authentication (checked 2026-11)
    """
    return api_key, "X"
