"""How a call to 腾讯云 proves itself: TC3-HMAC-SHA256.

Source: https://cloud.tencent.com/document/api/382/52071 (checked 2026-11)
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from hub.sdk.signing import hmac_digest

_SIGNED = "content-type;host"


def tc3_authorization(
    body: bytes,
    *,
    secret_id: str,
    secret_key: str,
    timestamp: int,
    host: str = "sms.tencentcloudapi.com",
    service: str = "sms",
    content_type: str = "application/json",
) -> str:
    """The header ``Authorization`` of one POST.

    ``timestamp`` (Unix seconds) and ``content_type`` must be sent exactly as they are signed.
    """
    headers = f"content-type:{content_type}\nhost:{host}\n"
    request = f"POST\n/\n\n{headers}\n{_SIGNED}\n{_hash(body)}"
    day = datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d")
    scope = f"{day}/{service}/tc3_request"
    told = f"TC3-HMAC-SHA256\n{timestamp}\n{scope}\n{_hash(request.encode())}"
    key = f"TC3{secret_key}".encode()
    for part in (day, service, "tc3_request"):
        key = hmac_digest(key, part.encode())
    signature = hmac_digest(key, told.encode()).hex()
    return (
        f"TC3-HMAC-SHA256 Credential={secret_id}/{scope}, SignedHeaders={_SIGNED}, "
        f"Signature={signature}"
    )


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
