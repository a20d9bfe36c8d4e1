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
    """Return when ``timestamp`` (Unix seconds) is within the tolerance of ``now``, on both sides.

    Raises:
        SignatureError: not a number, too old, or from the future.
    """
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise SignatureError("the timestamp is not a number of seconds")
    if abs(now.timestamp() - int(timestamp)) > tolerance_s:
        raise SignatureError(
            "the timestamp is too far from now", hint="Check the clocks of both machines."
        )


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
