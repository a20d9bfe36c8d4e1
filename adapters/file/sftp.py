"""Files of an SFTP server, whose key is known beforehand."""

from __future__ import annotations

import base64
import hashlib
import io
import socket
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import PurePosixPath
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

import paramiko

from adapters.file.config import FileConfig
from adapters.file.places import Entry
from hub.sdk import AuthError, ConfigError, RejectedError, RetryableError, connect_address

TIMEOUT_S = 30
MEMORY_BYTES = 4 * 1024 * 1024
"""Larger files are laid on disk while they are read."""

KEYS: tuple[type[paramiko.PKey], ...] = (
    paramiko.Ed25519Key,
    paramiko.ECDSAKey,
    paramiko.RSAKey,
)


class Sftp:
    """One folder of one server; every step signs in anew, so that no line has to last."""

    def __init__(self, config: FileConfig) -> None:
        self._config, self._url = config, urlsplit(config.sftp)
        self._root = PurePosixPath(unquote(self._url.path) or ".")

    def entries(self, folder: str) -> Sequence[Entry]:
        here = PurePosixPath(folder)
        with self._session() as session:
            try:
                found = session.listdir_attr(str(self._root / here))
            except FileNotFoundError:
                raise ConfigError(
                    f"the server has no folder {self._root / here}", hint="Correct it."
                ) from None
        return [
            Entry(
                str(here / one.filename),
                one.st_size or 0,
                f"{one.st_size}:{one.st_mtime}",
                float(one.st_mtime or 0),
            )
            for one in found
            if one.st_mode is None or stat.S_ISREG(one.st_mode)  # not every server tells
        ]

    @contextmanager
    def opened(self, entry: Entry) -> Iterator[BinaryIO]:
        with tempfile.SpooledTemporaryFile(MEMORY_BYTES) as file:
            with self._session() as session:
                session.getfo(str(self._root / entry.name), file)
            file.seek(0)
            yield file  # type: ignore[misc]

    def write(self, name: str, body: bytes) -> None:
        path = self._root / name
        part = path.with_name(f".{path.name}.part")
        with self._session() as session:
            try:
                with session.open(str(part), "wb") as file:
                    file.write(body)
            except FileNotFoundError:
                raise ConfigError(
                    f"the server has no folder {path.parent}", hint="Make it there."
                ) from None
            except PermissionError:
                raise RejectedError("the server lets nobody write there") from None
            session.posix_rename(str(part), str(path))

    @contextmanager
    def _session(self) -> Iterator[paramiko.SFTPClient]:
        host, port = str(self._url.hostname), self._url.port or 22
        address = connect_address(host, port, self._config.allow_networks)
        try:
            line = socket.create_connection(address, TIMEOUT_S)
            with line, self._signed_in(line) as session:
                yield session
        except paramiko.AuthenticationException:
            raise AuthError(
                "the SFTP server does not take the account", hint="Check user and password or key."
            ) from None
        except PermissionError:
            raise ConfigError("the account may not read that folder or file") from None
        except (paramiko.SSHException, EOFError, OSError) as exc:
            raise RetryableError(f"the SFTP server broke off: {type(exc).__name__}") from None

    @contextmanager
    def _signed_in(self, line: socket.socket) -> Iterator[paramiko.SFTPClient]:
        transport = paramiko.Transport(line)
        try:
            transport.start_client(timeout=TIMEOUT_S)
            self._check(transport.get_remote_server_key())
            self._sign_in(transport)
            session = paramiko.SFTPClient.from_transport(transport)
            if session is None:
                raise RetryableError("the SFTP server opens no session")
            channel = session.get_channel()
            if channel is not None:
                channel.settimeout(TIMEOUT_S)
            yield session
        finally:
            transport.close()

    def _check(self, key: paramiko.PKey) -> None:
        """Return when the server is the one that was told of."""
        digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")
        known = {f"SHA256:{digest}", key.get_base64()}
        if not known & {*self._config.host_key.split()}:
            told = "another key than host_key says" if self._config.host_key else "a key"
            raise ConfigError(
                f"the SFTP server shows {told}",
                hint=f'If it is the right one, write host_key = "SHA256:{digest}"; ask its owner.',
            )

    def _sign_in(self, transport: paramiko.Transport) -> None:
        user, config = unquote(self._url.username or ""), self._config
        if config.private_key:
            transport.auth_publickey(user, _key(config.private_key.get_secret_value()))
        else:
            secret = config.password.get_secret_value() if config.password else ""
            transport.auth_password(user, secret)


def _key(text: str) -> paramiko.PKey:
    for class_ in KEYS:
        with suppress(paramiko.SSHException, ValueError):
            return class_.from_private_key(io.StringIO(text))
    raise ConfigError("private_key is no key", hint="Write the PEM text of a key without password.")
