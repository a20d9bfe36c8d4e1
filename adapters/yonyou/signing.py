"""The signature of the call that gets an access token.

Source: https://open.yonyoucloud.com/ (getAccessToken of a self-built app, checked 2026-11)
"""

from __future__ import annotations

import base64

from hub.sdk.signing import hmac_digest


def token_signature(app_key: str, app_secret: str, timestamp_ms: int) -> str:
    """The value of ``signature``, before it is quoted for the URL."""
    told = f"appKey{app_key}timestamp{timestamp_ms}"
    return base64.b64encode(hmac_digest(app_secret.encode(), told.encode())).decode()
