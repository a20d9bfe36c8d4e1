"""An SFTP server over a folder, in threads, as paramiko makes one."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko

USER, PASSWORD = "hub", "geheim-密码"


@dataclass
class Server:
    """Where it listens, what it shows, and how often somebody signed in."""

    root: Path
    key: paramiko.PKey
    port: int = 0
    known: list[paramiko.PKey] = field(default_factory=list)
    breaks_after: int | None = None
    """Bytes read after which the line breaks off."""


class _Door(paramiko.ServerInterface):
    def __init__(self, server: Server) -> None:
        self.server = server

    def check_auth_password(self, username: str, password: str) -> int:
        fits = (username, password) == (USER, PASSWORD)
        return paramiko.AUTH_SUCCESSFUL if fits else paramiko.AUTH_FAILED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        fits = username == USER and key in self.server.known
        return paramiko.AUTH_SUCCESSFUL if fits else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "password,publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


class _Handle(paramiko.SFTPHandle):
    server: Server

    def read(self, offset: int, length: int) -> bytes | int:
        limit = self.server.breaks_after
        if limit is not None and offset + length > limit:
            raise EOFError
        return super().read(offset, length)


class _Files(paramiko.SFTPServerInterface):
    def __init__(self, door: _Door, *args: Any, **kwargs: Any) -> None:
        self.server = door.server
        super().__init__(door, *args, **kwargs)

    def _path(self, path: str) -> Path:
        return self.server.root / self.canonicalize(path).lstrip("/")

    def list_folder(self, path: str) -> list[paramiko.SFTPAttributes] | int:
        try:
            files = sorted(self._path(path).iterdir())
        except OSError as exc:
            return paramiko.SFTPServer.convert_errno(exc.errno or 0)
        return [paramiko.SFTPAttributes.from_stat(f.stat(), f.name) for f in files]

    def stat(self, path: str) -> paramiko.SFTPAttributes | int:
        try:
            return paramiko.SFTPAttributes.from_stat(self._path(path).stat())
        except OSError as exc:
            return paramiko.SFTPServer.convert_errno(exc.errno or 0)

    lstat = stat

    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> Any:
        try:
            fd = os.open(self._path(path), flags, 0o644)
        except OSError as exc:
            return paramiko.SFTPServer.convert_errno(exc.errno or 0)
        handle = _Handle(flags)
        handle.server = self.server
        mode = "wb" if flags & os.O_WRONLY else "rb"
        handle.readfile = handle.writefile = os.fdopen(fd, mode)  # type: ignore[attr-defined]
        return handle

    def posix_rename(self, oldpath: str, newpath: str) -> int:
        self._path(oldpath).replace(self._path(newpath))
        return paramiko.SFTP_OK


@contextmanager
def serving(root: Path) -> Iterator[Server]:
    """A server on a free port while the block runs."""
    server = Server(root, paramiko.ECDSAKey.generate())
    listener = socket.create_server(("127.0.0.1", 0))
    server.port = listener.getsockname()[1]
    transports: list[paramiko.Transport] = []

    def accept() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(line)
            transport.add_server_key(server.key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _Files)
            transports.append(transport)
            with suppress(paramiko.SSHException, EOFError, OSError):
                transport.start_server(server=_Door(server))

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
        for transport in transports:
            transport.close()
