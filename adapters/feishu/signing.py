"""The signature of messages to a group's custom bot.

Source: https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot (checked 2026-11)
"""

from __future__ import annotations

import base64

from hub.sdk.signing import hmac_digest


def bot_sign(secret: str, timestamp: str) -> str:
    """The value of ``sign``: the secret is part of the key, and the message is empty."""
    return base64.b64encode(hmac_digest(f"{timestamp}\n{secret}".encode(), b"")).decode()
