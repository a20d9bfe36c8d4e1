"""A line to a vendor that talks first: guarded address, verified TLS, pings, a limit of size.

Adapters get one by ``with self.dial(url) as line:``.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

from websockets.exceptions import (
    ConnectionClosed,
    ConnectionClosedOK,
    InvalidStatus,
    WebSocketException,
)
from websockets.sync.client import ClientConnection, connect

from hub.errors import AuthError, ConfigError, RemoteError, RetryableError
from hub.sdk.egress import connect_address

OPEN_S = 20.0
PING_S = 20.0
"""How often the other side is asked whether it is there, and how long it may take to say so."""

CLOSE_S = 2.0
SIZE_MAX_BYTES = 4 * 1024 * 1024

_quiet = logging.getLogger(f"{__name__}.frames")
_quiet.setLevel(logging.WARNING)  # below that it writes down whole requests, tickets included


class WebSocket:
    """One open line of text messages (RFC 6455)."""

    def __init__(self, connection: ClientConnection, where: str) -> None:
        self._connection, self._where = connection, where

    def receive(self, timeout_s: float | None = None) -> str | None:
        """The next message; None when the other side has closed the line in good order.

        Args:
            timeout_s: how long the other side may be silent; pings are not counted as words.

        Raises:
            RetryableError: the line broke, or nothing came in time.
        """
        try:
            return self._connection.recv(timeout_s, decode=True)
        except ConnectionClosedOK:
            return None
        except TimeoutError:
            raise RetryableError(f"{self._where} has said nothing for {timeout_s:g} s") from None
        except (ConnectionClosed, UnicodeDecodeError):
            raise self._broken() from None

    def send(self, text: str) -> None:
        """Send one message.

        Raises:
            RetryableError: the line is closed or broke.
        """
        try:
            self._connection.send(text)
        except ConnectionClosed:
            raise self._broken() from None

    def close(self) -> None:
        """End it, also while another thread waits for a message, which then gets None."""
        self._connection.close()

    def _broken(self) -> RetryableError:
        return RetryableError(f"the line to {self._where} broke off")


@contextmanager
def dial(url: str, allow_networks: Sequence[str] = ()) -> Iterator[WebSocket]:
    """A line to ``ws://…`` or ``wss://…``, closed at the end of the block.

    Redirects are not followed. Errors never show the query, where tickets hide.

    Raises:
        AuthError: it answered 401 or 403.
        ConfigError: it leads to a network this connection may not reach, or is no such address.
        RetryableError: it cannot be reached or takes no line now.
    """
    where = _bare(url)
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(
                connect(
                    url,
                    sock=_socket(url, where, allow_networks),
                    proxy=None,  # a proxy variable must not lead round the guard
                    open_timeout=OPEN_S,
                    ping_interval=PING_S,
                    ping_timeout=PING_S,
                    close_timeout=CLOSE_S,
                    max_size=SIZE_MAX_BYTES,
                    logger=_quiet,
                )
            )
        except (WebSocketException, OSError, ValueError) as exc:
            raise _refused(exc, where) from None
        yield WebSocket(connection, where)


def _socket(url: str, where: str, allow_networks: Sequence[str]) -> socket.socket:
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ConfigError(f"{where} is not the address of a WebSocket")
    port = parts.port or (443 if parts.scheme == "wss" else 80)
    return socket.create_connection(connect_address(parts.hostname, port, allow_networks), OPEN_S)


def _refused(exc: Exception, where: str) -> RemoteError:
    if isinstance(exc, InvalidStatus):
        words = f"{where} answered {exc.response.status_code}"
        refused = exc.response.status_code in (401, 403)
        return (AuthError if refused else RetryableError)(words)
    if isinstance(exc, ssl.SSLError):
        hint = "The certificate of this address is not valid."
        return RetryableError(f"{where} cannot be reached", hint=hint)
    return RetryableError(
        f"{where} cannot be reached: {type(exc).__name__}",
        hint="Check the address, and that the system is running.",
    )


def _bare(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
