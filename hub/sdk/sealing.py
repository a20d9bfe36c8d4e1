"""Encrypted events: the AES-CBC envelope that 企业微信, 公众号, 钉钉, 纷享销客 and 用友 share.

The key is 43 letters of base64 (32 bytes); the IV is its first 16 bytes. Inside: 16 random bytes,
the length of the text (4 bytes, big-endian), the text, and the receiver's id; padded to 32 bytes.

Source: https://developer.work.weixin.qq.com/document/path/90968 (checked 2026-11)
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from hub.errors import SignatureError
from hub.sdk.signing import decode_base64

_PADDED_BITS = 256


class Unsealed(NamedTuple):
    """What an envelope held, for whom, and which of our keys opened it."""

    text: bytes
    receiver: str
    key: str


def unseal_any(
    keys: Sequence[str], sealed: str, receivers: Sequence[str] | None = None
) -> Unsealed:
    """What an envelope holds, opened with whichever key fits.

    Args:
        keys: more than one while one is rotated.
        receivers: the ids it may name; None for a vendor that means nothing by them.

    Raises:
        SignatureError: no key opens it, or it is for somebody else.
    """
    for key in keys:
        with suppress(SignatureError):
            text, receiver = unseal(key, sealed)
            if receivers is None or receiver in receivers:
                return Unsealed(text, receiver, key)
    raise SignatureError(
        "no configured key opens the event, or it is for another receiver",
        hint="Compare the encryption key and the id of the receiver with the sender's.",
    )


def unseal(key: str, sealed: str) -> tuple[bytes, str]:
    """The text of an envelope, and the receiver's id it names.

    Raises:
        SignatureError: it was not sealed with this key.
    """
    aes = _aes_key(key)
    inside = decrypt_cbc(aes, aes[:16], decode_base64(sealed), padded_bits=_PADDED_BITS)
    end = 20 + int.from_bytes(inside[16:20], "big")
    if len(inside) < 20 or end > len(inside):
        raise _unreadable()
    try:
        return inside[20:end], inside[end:].decode()
    except UnicodeDecodeError as exc:
        raise _unreadable() from exc


def seal(key: str, text: bytes, receiver: str, *, salt: bytes = b"") -> str:
    """An envelope as its sender would make it; ``salt`` is its 16 random bytes."""
    aes = _aes_key(key)
    inside = (salt or os.urandom(16)) + len(text).to_bytes(4, "big") + text + receiver.encode()
    return base64.b64encode(encrypt_cbc(aes, aes[:16], inside, padded_bits=_PADDED_BITS)).decode()


def decrypt_cbc(key: bytes, iv: bytes, data: bytes, *, padded_bits: int = 128) -> bytes:
    """What AES-CBC with PKCS #7 padding hides.

    Raises:
        SignatureError: it was not encrypted with this key.
    """
    try:
        decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
        unpadder = PKCS7(padded_bits).unpadder()
        padded = decryptor.update(data) + decryptor.finalize()
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError as exc:
        raise _unreadable() from exc


def encrypt_cbc(key: bytes, iv: bytes, data: bytes, *, padded_bits: int = 128) -> bytes:
    """AES-CBC with PKCS #7 padding."""
    padder = PKCS7(padded_bits).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    padded = padder.update(data) + padder.finalize()
    return encryptor.update(padded) + encryptor.finalize()


def _aes_key(text: str) -> bytes:
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError as exc:
        raise SignatureError("the encryption key is not base64") from exc
    if len(key) != 32:
        raise SignatureError("the encryption key has not the length of an AES-256 key")
    return key


def _unreadable() -> SignatureError:
    return SignatureError(
        "the event cannot be decrypted", hint="Compare the encryption key with the sender's."
    )
