"""The signature of calls about an organisation (``/generalintegrateapi/v2``).

Source: https://github.com/Lany-w/mingdaoyun-php-sdk (checked 2026-11)
"""

from __future__ import annotations

import base64
import hashlib


def org_sign(app_key: str, secret_key: str, timestamp_ms: str) -> str:
    """The value of ``sign``: base64 of the digest in hex letters, not of its bytes."""
    told = f"AppKey={app_key}&SecretKey={secret_key}&Timestamp={timestamp_ms}"
    return base64.b64encode(hashlib.sha256(told.encode()).hexdigest().encode()).decode()
