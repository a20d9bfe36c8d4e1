"""How calls to 阿里云 and 腾讯云 prove themselves; their products share it. For ``Http(sign=…)``.

Source: https://help.aliyun.com/zh/sdk/product-overview/v3-request-structure-and-signature and
https://cloud.tencent.com/document/api/382/52071 (checked 2026-11)
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from hub.instants import written
from hub.sdk.http import Outgoing, Sign
from hub.sdk.signing import hmac_digest

_TC3_SIGNED = "content-type;host"


def acs3(
    access_key_id: str,
    access_key_secret: str,
    nonce: Callable[[], str] = lambda: uuid.uuid4().hex,
) -> Sign:
    """阿里云's current way (ACS3-HMAC-SHA256); ``x-acs-action`` and ``-version`` stand already."""

    def sign(request: Outgoing, at: datetime) -> None:
        scheme, host, path, query, _ = urlsplit(request.url or "")
        params = dict(parse_qsl(query, keep_blank_values=True))
        request.headers["x-acs-date"] = written(at)
        request.headers["x-acs-signature-nonce"] = nonce()
        request.headers["x-acs-content-sha256"] = _hash(_body(request))
        told = {name.lower(): str(value) for name, value in request.headers.items()}
        signed = {n: v for n, v in told.items() if n == "content-type" or n.startswith("x-acs-")}
        request.url = urlunsplit((scheme, host, path or "/", _query(params), ""))  # as signed
        request.headers["Authorization"] = acs3_authorization(
            request.method or "",
            params,
            {**signed, "host": host},
            access_key_id=access_key_id,
            access_key_secret=access_key_secret,
            path=path or "/",
        )

    return sign


def tc3(secret_id: str, secret_key: str, service: str) -> Sign:
    """腾讯云's way (TC3-HMAC-SHA256) for one service, such as ``sms``; for POST to ``/``."""

    def sign(request: Outgoing, at: datetime) -> None:
        timestamp = int(at.timestamp())
        request.headers["X-TC-Timestamp"] = str(timestamp)
        request.headers["Authorization"] = tc3_authorization(
            _body(request),
            secret_id=secret_id,
            secret_key=secret_key,
            timestamp=timestamp,
            host=urlsplit(request.url or "").netloc,
            service=service,
            content_type=str(request.headers.get("Content-Type", "")),
        )

    return sign


def rpc_signature(method: str, params: Mapping[str, str], access_key_secret: str) -> str:
    """The parameter ``Signature`` of 阿里云's older way (RPC); ``params`` are all the others."""
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
    told = f"ACS3-HMAC-SHA256\n{_hash(request.encode())}"
    signature = hmac_digest(access_key_secret.encode(), told.encode()).hex()
    return (
        f"ACS3-HMAC-SHA256 Credential={access_key_id},SignedHeaders={signed},Signature={signature}"
    )


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
    request = f"POST\n/\n\n{headers}\n{_TC3_SIGNED}\n{_hash(body)}"
    day = datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d")
    scope = f"{day}/{service}/tc3_request"
    told = f"TC3-HMAC-SHA256\n{timestamp}\n{scope}\n{_hash(request.encode())}"
    key = f"TC3{secret_key}".encode()
    for part in (day, service, "tc3_request"):
        key = hmac_digest(key, part.encode())
    signature = hmac_digest(key, told.encode()).hex()
    return (
        f"TC3-HMAC-SHA256 Credential={secret_id}/{scope}, SignedHeaders={_TC3_SIGNED}, "
        f"Signature={signature}"
    )


def _body(request: Outgoing) -> bytes:
    body = request.body or b""
    return body if isinstance(body, bytes) else str(body).encode()


def _query(params: Mapping[str, str]) -> str:
    pairs = sorted((_quoted(name), _quoted(value)) for name, value in params.items())
    return "&".join(f"{name}={value}" for name, value in pairs)


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
