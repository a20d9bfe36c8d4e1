"""How a call to 阿里云 proves itself, in the older way (RPC) and the current one (ACS3).

Source: https://help.aliyun.com/zh/sdk/product-overview/v3-request-structure-and-signature
(checked 2026-11)
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from urllib.parse import quote

from hub.sdk.signing import hmac_digest


def rpc_signature(method: str, params: Mapping[str, str], access_key_secret: str) -> str:
    """The parameter ``Signature`` of the older way; ``params`` are all the others."""
    told = "&".join([method, _quoted("/"), _quoted(_query(params))])
    key = f"{access_key_secret}&".encode()
    return base64.b64encode(hmac_digest(key, told.encode(), digest="sha1")).decode()


def acs3_authorization(
    method: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    *,
    access_key_id: str,
    access_key_secret: str,
    path: str = "/",
) -> str:
    """The header ``Authorization``.

    ``headers`` are those that are signed, in lower case: ``host``, all ``x-acs-…``, and
    ``content-type`` where it is sent; ``x-acs-content-sha256`` is the hash of the body.
    """
    names = sorted(headers)
    lines = [f"{name}:{headers[name].strip()}\n" for name in names]
    signed, body_hash = ";".join(names), headers["x-acs-content-sha256"]
    request = "\n".join([method, path, _query(query), "".join(lines), signed, body_hash])
    told = f"ACS3-HMAC-SHA256\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac_digest(access_key_secret.encode(), told.encode()).hex()
    return (
        f"ACS3-HMAC-SHA256 Credential={access_key_id},SignedHeaders={signed},Signature={signature}"
    )


def _query(params: Mapping[str, str]) -> str:
    pairs = sorted((_quoted(name), _quoted(value)) for name, value in params.items())
    return "&".join(f"{name}={value}" for name, value in pairs)


def _quoted(text: str) -> str:
    return quote(text, safe="")
