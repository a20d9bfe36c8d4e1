"""Where an adapter may connect to."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import Any

import pytest

from hub.errors import ConfigError, RetryableError
from hub.sdk import connect_address
from hub.sdk.egress import GuardedAdapter


def resolves_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        return [(None, None, None, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.169.254", "100.64.0.1",
     "0.0.0.0",  # noqa: S104
     "::1", "fe80::1", "fd00::1", "::ffff:10.0.0.1", "224.0.0.1",
     "64:ff9b::a00:5", "2002:a00:5::1"],
)  # fmt: skip
def test_private_addresses_need_permission(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    resolves_to(monkeypatch, address)
    with pytest.raises(ConfigError):
        connect_address("erp.example.org", 443)


def test_the_checked_address_is_the_one_to_dial(monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, "10.0.0.5", "93.184.216.34")
    assert connect_address("example.org", 443) == ("93.184.216.34", 443)


def test_an_allowed_network(monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, "10.0.0.5")
    assert connect_address("erp", 80, ["10.0.0.0/8"]) == ("10.0.0.5", 80)
    with pytest.raises(ConfigError):
        connect_address("erp", 80, ["10.1.0.0/16"])


def test_a_name_that_does_not_resolve() -> None:
    with pytest.raises(RetryableError):
        connect_address("no.such.host.invalid", 443)


def test_what_is_written_goes_out_at_once() -> None:
    """Else each request on a kept connection waits for the other side's late acknowledgement."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        adapter = GuardedAdapter(["127.0.0.0/8"])
        pool = adapter.poolmanager.connection_from_host("127.0.0.1", server.getsockname()[1])
        with closing(pool._get_conn()) as connection:
            connection.connect()
            assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        adapter.close()
