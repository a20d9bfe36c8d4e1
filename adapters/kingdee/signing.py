"""How a call to 金蝶云星空 proves itself.

Source: package kingdee.cdp.webapi.sdk 8.2.0 (signed headers, checked 2026-11)
"""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import quote

from hub.sdk import ConfigError
from hub.sdk.signing import hmac_digest

_MASK = b"0054f397c6234378b09ca7d3e5debce7"
"""What the second part of an app id is hidden with; the same for all."""


def signed_headers(
    path: str,
    *,
    acct_id: str,
    username: str,
    app_id: str,
    app_secret: str,
    timestamp: int,
    lcid: int = 2052,
    org_num: int = 0,
) -> dict[str, str]:
    """The headers of one POST to a path such as ``/k3cloud/….common.kdsvc``.

    ``timestamp`` is in Unix seconds, ``lcid`` 2052 is 简体中文.

    Raises:
        ConfigError: the app id is damaged.
    """
    client_id, client_secret = _client(app_id)
    told = f"POST\n{quote(path, safe='')}\n\nx-api-nonce:{timestamp}\nx-api-timestamp:{timestamp}\n"
    account = f"{acct_id},{username},{lcid},{org_num}"
    return {
        "X-Api-ClientID": client_id,
        "X-Api-Auth-Version": "2.0",
        "x-api-timestamp": str(timestamp),
        "x-api-nonce": str(timestamp),
        "x-api-signheaders": "x-api-timestamp,x-api-nonce",
        "X-Api-Signature": _base64_hex(client_secret, told),
        "X-Kd-Appkey": app_id,
        "X-Kd-Appdata": base64.b64encode(account.encode()).decode(),
        "X-Kd-Signature": _base64_hex(app_secret.encode(), app_id + account),
    }


def login_sign(acct_id: str, username: str, app_id: str, app_secret: str, timestamp: int) -> str:
    """The ``sign`` of LoginBySign; ``timestamp`` in Unix seconds."""
    parts = sorted([acct_id, username, app_id, app_secret, str(timestamp)])
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def _client(app_id: str) -> tuple[str, bytes]:
    """The client's id and secret, which an app id holds."""
    client_id, _, hidden = app_id.partition("_")
    if len(hidden) != len(_MASK):
        return client_id if hidden else "", b""
    try:
        masked = zip(base64.b64decode(hidden, validate=True), _MASK, strict=False)
    except ValueError as exc:
        raise ConfigError("the app id is damaged", hint="Copy it from Kingdee again.") from exc
    return client_id, base64.b64encode(bytes(a ^ b for a, b in masked))


def _base64_hex(key: bytes, message: str) -> str:
    return base64.b64encode(hmac_digest(key, message.encode()).hex().encode()).decode()
