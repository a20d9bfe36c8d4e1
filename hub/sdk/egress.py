"""Where an adapter may connect to: never a private address unless the connection allows it."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection

from hub.errors import ConfigError, RetryableError

_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052


def connect_address(host: str, port: int, allow_networks: Sequence[str] = ()) -> tuple[str, int]:
    """The address to dial for ``host``: resolved once and checked, so it cannot move later.

    Raises:
        ConfigError: it leads to a network this connection may not reach.
        RetryableError: the name cannot be resolved now.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as exc:
        raise RetryableError(
            f"the name {host} cannot be resolved", hint="Check the address."
        ) from exc
    allowed = [ipaddress.ip_network(network) for network in allow_networks]
    addresses = [ipaddress.ip_address(str(entry[4][0]).split("%")[0]) for entry in found]
    for address in addresses:
        if _is_public(address) or any(address in network for network in allowed):
            return str(address), port
    refused = addresses[0]
    raise ConfigError(
        f"{host} leads to the private address {refused}, which this connection may not reach",
        hint=f'If that is meant, add to the connection: allow_networks = ["{_network(refused)}"]',
    )


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether it leads to the internet: not by its form alone, but also where a gateway leads."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _is_public(inner)
    return address.is_global and not address.is_multicast


def _network(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if address.is_loopback:
        return "127.0.0.0/8" if address.version == 4 else "::1/128"
    return str(
        ipaddress.ip_network(f"{address}/{24 if address.version == 4 else 64}", strict=False)
    )


def _dial(connection: HTTPConnection, allow_networks: Sequence[str]) -> socket.socket:
    timeout = connection.timeout if isinstance(connection.timeout, int | float) else None
    try:
        address = connect_address(connection.host, connection.port or 0, allow_networks)
        # Its options hold TCP_NODELAY: without it each write waits for a late acknowledgement.
        options = connection.socket_options
        return create_connection(address, timeout, connection.source_address, options)
    except RetryableError as exc:
        raise NameResolutionError(connection.host, connection, socket.gaierror(str(exc))) from exc
    except OSError as exc:
        raise NewConnectionError(connection, f"cannot connect: {exc}") from exc


class GuardedAdapter(HTTPAdapter):
    """A requests transport that dials only addresses ``connect_address`` lets through.

    The check sits where the socket is made, so redirects and re-connects pass it as well.
    """

    def __init__(self, allow_networks: Sequence[str] = ()) -> None:
        self._allow_networks = tuple(allow_networks)
        super().__init__(pool_maxsize=16)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pool manager, with our connection classes in it."""
        super().init_poolmanager(*args, **kwargs)
        allow_networks = self._allow_networks

        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return _dial(self, allow_networks)

        class Tls(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return _dial(self, allow_networks)

        http = type("GuardedHTTPPool", (HTTPConnectionPool,), {"ConnectionCls": Plain})
        https = type("GuardedHTTPSPool", (HTTPSConnectionPool,), {"ConnectionCls": Tls})
        self.poolmanager.pool_classes_by_scheme = {"http": http, "https": https}
