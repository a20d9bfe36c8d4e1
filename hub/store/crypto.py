"""Secrets at rest: AES-256-GCM, the key's id in front of the ciphertext so that keys can rotate."""

from __future__ import annotations

import base64
import hashlib
import os
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.errors import ConfigError

NONCE_BYTES, ID_BYTES = 12, 4


class Vault:
    """Encrypts with the first key, decrypts with any.

    Args:
        keys: base64 of 32 bytes each, the one in use first.
    """

    def __init__(self, keys: list[str]) -> None:
        decoded = [_decode(key) for key in keys]
        self._ciphers = {_key_id(key): AESGCM(key) for key in decoded}
        self._current = _key_id(decoded[0])

    def encrypt(self, plain: bytes, *, context: str) -> bytes:
        """Ciphertext that opens only for the same ``context`` (the row it belongs to)."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(nonce, plain, context.encode())
        return self._current + nonce + sealed

    def decrypt(self, sealed: bytes, *, context: str) -> bytes:
        """What was encrypted.

        Raises:
            ConfigError: the key it was encrypted with is not among ours, or the bytes were changed.
        """
        key_id, rest = sealed[:ID_BYTES], sealed[ID_BYTES:]
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise ConfigError(
                "a stored secret was encrypted with a key that is not configured",
                hint="Put the old key behind the new one in secret_keys.",
            )
        try:
            return cipher.decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], context.encode())
        except InvalidTag as exc:
            raise ConfigError("a stored secret was changed or belongs to another row") from exc


def new_key() -> str:
    """A fresh key, as base64."""
    return base64.b64encode(os.urandom(32)).decode()


def key_from_file(path: Path) -> str:
    """The key kept at ``path``, made on first use and readable only by its owner.

    It appears under its name only when it is whole: another process may be starting as well.
    """
    if not path.exists():
        made = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(new_key())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(made, path)
        made.unlink()
    return path.read_text("ascii").strip()


def _decode(key: str) -> bytes:
    try:
        raw = base64.b64decode(key, validate=True)
    except ValueError as exc:
        raise ConfigError(
            "a secret key is not base64", hint="Make one with: hub secrets new"
        ) from exc
    if len(raw) != 32:
        raise ConfigError("a secret key must be 32 bytes", hint="Make one with: hub secrets new")
    return raw


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"key id" + key).digest()[:ID_BYTES]
