"""Secrets at rest: AES-256-GCM, the key's id in front of the ciphertext so that keys can rotate."""

from __future__ import annotations

import base64
import hashlib
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.errors import ConfigError

NONCE_BYTES, ID_BYTES = 12, 4


class Vault:
    """Encrypts with the first key, decrypts with any.

    Args:
        keys: base64 of 32 bytes each, the one in use first; or the file that holds them.
    """

    def __init__(self, keys: Sequence[str] | KeyFile) -> None:
        self.file = keys if isinstance(keys, KeyFile) else None
        self._stamp = self.file.stamp() if self.file else None
        self._ring = _ring(keys.keys() if isinstance(keys, KeyFile) else keys)

    @property
    def current(self) -> str:
        """The id of the key in use."""
        return next(iter(self._ciphers())).hex()

    def encrypt(self, plain: bytes, *, context: str) -> bytes:
        """Ciphertext that opens only for the same ``context`` (the row it belongs to).

        What is stored is encrypted inside the transaction that stores it: keys are given up in a
        transaction as well, and neither may happen in the middle of the other.
        """
        key_id, cipher = next(iter(self._ciphers().items()))
        nonce = os.urandom(NONCE_BYTES)
        return key_id + nonce + cipher.encrypt(nonce, plain, context.encode())

    def decrypt(self, sealed: bytes, *, context: str) -> bytes:
        """What was encrypted.

        Raises:
            ConfigError: the key it was encrypted with is not among ours, or the bytes were changed.
        """
        key_id, rest = sealed[:ID_BYTES], sealed[ID_BYTES:]
        cipher = self._ciphers().get(key_id)
        if cipher is None:
            raise ConfigError(
                "a stored secret was encrypted with a key that is not configured",
                hint="Put the old key behind the new one in secret_keys.",
            )
        try:
            return cipher.decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], context.encode())
        except InvalidTag as exc:
            raise ConfigError("a stored secret was changed or belongs to another row") from exc

    def _ciphers(self) -> dict[bytes, AESGCM]:
        """By key id, the one in use first; a file that was replaced is read again."""
        if self.file is not None and (stamp := self.file.stamp()) not in (None, self._stamp):
            self._ring, self._stamp = _ring(self.file.keys()), stamp
        return self._ring


def key_id(sealed: bytes) -> str:
    """Which key something was encrypted with."""
    return sealed[:ID_BYTES].hex()


def new_key() -> str:
    """A fresh key, as base64."""
    return base64.b64encode(os.urandom(32)).decode()


class KeyFile:
    """Embedded mode's own keys, a line each, the one in use first; readable only by their owner."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keys(self) -> list[str]:
        """The keys, one made on first use."""
        if not self._path.exists():
            self._write([new_key()], new=True)
        return self._path.read_text("ascii").split()

    def stamp(self) -> object:
        """Differs after each change; None when there is no file."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    def lead(self) -> None:
        """Put a fresh key in front, unless a rotation that was cut off did so already."""
        keys = self.keys()
        if len(keys) == 1:
            self._write([new_key(), *keys])

    def drop(self) -> None:
        """Give up all keys but the one in use."""
        keys = self.keys()
        if len(keys) > 1:
            self._write(keys[:1])

    def _write(self, keys: Sequence[str], *, new: bool = False) -> None:
        """Replace the file as a whole; a new one gives way to what another process just made."""
        made = self._path.with_name(f"{self._path.name}.{os.getpid()}.{threading.get_ident()}")
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("\n".join(keys))
            file.flush()
            os.fsync(file.fileno())
        if new:
            with suppress(FileExistsError):
                os.link(made, self._path)
            made.unlink()
        else:
            made.replace(self._path)
        _sync_folder(self._path.parent)


def _sync_folder(path: Path) -> None:
    """Rows may be sealed with a key only once its name survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _ring(keys: Sequence[str]) -> dict[bytes, AESGCM]:
    decoded = [_decode(key) for key in keys]
    return {_key_id(key): AESGCM(key) for key in decoded}


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
