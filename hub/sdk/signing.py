"""Signature checks on raw bytes, in constant time; nothing configured means refused."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from hub.errors import SignatureError

Encoding = Literal["hex", "base64"]


def hmac_digest(key: bytes, message: bytes, *, digest: str = "sha256") -> bytes:
    """The HMAC of ``message``; ``digest`` as hashlib names it."""
    return hmac.new(key, message, digest).digest()


def verify_hmac(
    keys: Sequence[bytes],
    message: bytes,
    given: str,
    *,
    digest: str = "sha256",
    encoding: Encoding = "hex",
) -> None:
    """Return when ``given`` is the HMAC of ``message`` under any of ``keys``.

    Raises:
        SignatureError: no key is configured, or none fits.
    """
    signature = _decode(given, encoding)
    fits = [hmac.compare_digest(hmac_digest(k, message, digest=digest), signature) for k in keys]
    if not any(fits):
        raise SignatureError(
            "no configured secret fits the signature" if keys else "no secret is configured",
            hint="Compare the secret at the vendor with the one of this connection.",
        )


def verify_token(expected: Sequence[str], given: str) -> None:
    """Return when ``given`` equals one of the expected shared tokens.

    Raises:
        SignatureError: none is configured, or none is equal.
    """
    fits = [hmac.compare_digest(e.encode(), given.encode()) for e in expected if e]
    if not any(fits):
        raise SignatureError("the token is not one of ours")


def verify_fresh(timestamp: str, now: datetime, *, tolerance_s: int = 300) -> None:
    """Return when ``timestamp`` (Unix seconds, or ISO 8601) is within the tolerance of ``now``.

    Raises:
        SignatureError: not an instant, too old, or from the future.
    """
    if abs(now.timestamp() - _seconds(timestamp)) > tolerance_s:
        raise SignatureError(
            "the timestamp is too far from now", hint="Check the clocks of both machines."
        )


def standard_signature(secret: str, message_id: str, timestamp: str, body: bytes) -> bytes:
    """The v1 signature of the Standard Webhooks specification; the secret is ``whsec_<base64>``.

    Source: https://github.com/standard-webhooks/standard-webhooks (1.0.0, checked 2026-11)

    Raises:
        SignatureError: the secret is not base64.
    """
    key = decode_base64(secret.removeprefix("whsec_"))
    return hmac_digest(key, f"{message_id}.{timestamp}.".encode() + body)


def verify_standard(
    secrets: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    *,
    prefix: str = "webhook",
) -> str:
    """The message id, when any v1 signature fits any secret and the timestamp is fresh.

    Args:
        secrets: several while one is being rotated.
        prefix: ``webhook``, or ``svix`` for senders that keep the older header names.

    Raises:
        SignatureError: a header is missing or malformed, no signature fits, or it is stale.
    """
    message_id, timestamp = header(headers, f"{prefix}-id"), header(headers, f"{prefix}-timestamp")
    given = [entry.partition(",") for entry in header(headers, f"{prefix}-signature").split()]
    signatures = [_undamaged(text) for version, _, text in given if version == "v1"]
    keys = [s for s in secrets if _undamaged(s.removeprefix("whsec_"))]
    expected = [standard_signature(s, message_id, timestamp, body) for s in keys]
    if not any([hmac.compare_digest(e, s) for e in expected for s in signatures]):  # noqa: C419 constant time
        raise SignatureError(
            "no configured secret fits the signature" if keys else "no usable secret is configured",
            hint="Compare the secret at the sender with the one of this connection.",
        )
    verify_fresh(timestamp, now)
    if "." in message_id:
        raise SignatureError("the message id holds a dot, so it cannot be told from the timestamp")
    return message_id


def header(headers: Mapping[str, str], name: str) -> str:
    """The header's value.

    Raises:
        SignatureError: it is missing or empty.
    """
    value = headers.get(name, "")
    if not value:
        raise SignatureError(f"the header {name} is missing")
    return value


def decode_base64(text: str) -> bytes:
    """The bytes behind strict base64.

    Raises:
        SignatureError: it is not base64.
    """
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as exc:
        raise SignatureError("a signature or key is not base64") from exc


def _seconds(timestamp: str) -> float:
    if timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12:
        return int(timestamp)
    try:
        at = datetime.fromisoformat(timestamp)
    except ValueError as exc:
        raise SignatureError("the timestamp is not an instant") from exc
    if at.tzinfo is None:
        raise SignatureError("the timestamp has no time zone")
    return at.timestamp()


def _undamaged(text: str) -> bytes:
    """The bytes behind base64; empty, which fits nothing, when it is damaged."""
    try:
        return decode_base64(text)
    except SignatureError:
        return b""


def body_hash(body: bytes) -> str:
    """A stable name for an event whose vendor gives none: hex SHA-256."""
    return hashlib.sha256(body).hexdigest()


def _decode(given: str, encoding: Encoding) -> bytes:
    if encoding == "base64":
        return decode_base64(given)
    try:
        return bytes.fromhex(given)
    except ValueError as exc:
        raise SignatureError("the signature is not hexadecimal") from exc
