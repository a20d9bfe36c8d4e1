"""The signature of messages to a group's custom robot.

Source: https://open.dingtalk.com/document/robots/customize-robot-security-settings
(checked 2026-11)
"""

from __future__ import annotations

import base64

from hub.sdk.signing import hmac_digest


def robot_sign(secret: str, timestamp_ms: str) -> str:
    """The value of ``sign``, before it is quoted for the URL; good for an hour."""
    return base64.b64encode(
        hmac_digest(secret.encode(), f"{timestamp_ms}\n{secret}".encode())
    ).decode()
