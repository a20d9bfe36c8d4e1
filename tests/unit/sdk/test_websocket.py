"""A line to a vendor: where it may lead, whom it believes, how it ends; against real servers."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from hub.errors import AuthError, ConfigError, RetryableError
from hub.sdk import Adapter, ConnectionConfig
from hub.sdk import websocket as module
from hub.sdk.websocket import WebSocket, dial

LOOPBACK = ["127.0.0.0/8"]


@contextmanager
def server(
    talk: Callable[[ServerConnection], None],
    *,
    refuse: int | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[str]:
    """The address of a server that talks so, with a ticket in it."""

    def process(connection: ServerConnection, _: Request) -> Response | None:
        return connection.respond(refuse, "no\n") if refuse else None

    listening = serve(talk, "127.0.0.1", 0, process_request=process, ssl=tls)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    try:
        port = listening.socket.getsockname()[1]
        yield f"{'wss' if tls else 'ws'}://localhost:{port}/line?ticket=geheim"
    finally:
        listening.shutdown()


def echo(line: ServerConnection) -> None:
    for text in line:
        line.send(text)


def test_words_go_both_ways() -> None:
    with server(echo) as url, dial(url, LOOPBACK) as line:
        for text in ("hello", "你好", ""):
            line.send(text)
            assert line.receive() == text


def test_a_private_address_needs_permission() -> None:
    with server(echo) as url, pytest.raises(ConfigError, match="private address"), dial(url):
        pass


def test_an_adapter_dials_what_its_connection_allows() -> None:
    with server(echo) as url:
        with pytest.raises(ConfigError), Adapter(ConnectionConfig()).dial(url):
            pass
        adapter = Adapter(ConnectionConfig(allow_networks=("127.0.0.0/8",)))
        with adapter.dial(url) as line:
            line.send("1")
            assert line.receive() == "1"
            adapter.close()
            assert line.receive() is None


def test_a_proxy_variable_does_not_lead_round_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("ws_proxy", "http://127.0.0.1:9")
    with server(echo) as url, dial(url, LOOPBACK) as line:
        line.send("1")
        assert line.receive() == "1"


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, AuthError), (403, AuthError), (404, RetryableError), (503, RetryableError)],
)
def test_a_refusal_shows_no_ticket(status: int, error: type) -> None:
    with (
        server(echo, refuse=status) as url,
        pytest.raises(error, match=str(status)) as caught,
        dial(url, LOOPBACK),
    ):
        pass
    assert "geheim" not in f"{caught.value} {caught.value.hint}"


def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{taken.getsockname()[1]}/?ticket=geheim"
        with pytest.raises(RetryableError) as caught, dial(url, LOOPBACK):
            pass
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "ws:///x", "nonsense"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ConfigError), dial(url, LOOPBACK):
        pass


def test_a_certificate_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    context, trusted = _certificate(tmp_path)
    with server(echo, tls=context) as url:
        with pytest.raises(RetryableError) as caught, dial(url, LOOPBACK):
            pass
        assert "certificate" in caught.value.hint
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(trusted))
            with dial(url, LOOPBACK) as line:
                line.send("1")
                assert line.receive() == "1"
            other = url.replace("localhost", "127.0.0.1")
            with pytest.raises(RetryableError), dial(other, LOOPBACK):  # another name
                pass


def test_an_orderly_end_and_a_broken_line() -> None:
    def leave(line: ServerConnection) -> None:
        if line.recv() == "close":
            line.close()
        else:
            line.socket.shutdown(socket.SHUT_RDWR)

    with server(leave) as url:
        with dial(url, LOOPBACK) as line:
            line.send("close")
            assert line.receive() is None
            with pytest.raises(RetryableError):
                line.send("too late")
        with dial(url, LOOPBACK) as line:
            line.send("break")
            with pytest.raises(RetryableError):
                line.receive()


def test_silence_is_borne_for_a_while_only() -> None:
    with (
        server(echo) as url,
        dial(url, LOOPBACK) as line,
        pytest.raises(RetryableError, match="nothing"),
    ):
        line.receive(0.05)


def test_a_flood_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SIZE_MAX_BYTES", 1000)
    with server(echo) as url, dial(url, LOOPBACK) as line:
        line.send("x" * 1001)
        with pytest.raises(RetryableError):
            line.receive()


def test_another_thread_ends_the_wait() -> None:
    heard: list[str | None] = []
    with server(echo) as url, dial(url, LOOPBACK) as line:
        thread = threading.Thread(target=lambda: heard.append(line.receive()))
        thread.start()
        line.close()
        thread.join(30)
    assert heard == [None]


def test_a_peer_that_is_gone_without_a_word_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PING_S", 0.1)
    monkeypatch.setattr(module, "CLOSE_S", 0.1)
    with (
        _deaf_after_the_handshake() as url,
        dial(url, LOOPBACK) as line,
        pytest.raises(RetryableError, match="broke off"),
    ):
        line.receive()


def test_no_ticket_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), server(echo) as url, dial(url, LOOPBACK) as line:
        line.send("1")
        assert line.receive() == "1"
    ours = [r.getMessage() for r in caplog.records if not r.name.startswith("websockets.server")]
    assert "geheim" not in "".join(ours)


def test_what_breaks_in_the_block_passes() -> None:
    def use(line: WebSocket) -> None:
        raise KeyError(line.receive)

    with server(echo) as url, pytest.raises(KeyError), dial(url, LOOPBACK) as line:
        use(line)


@contextmanager
def _deaf_after_the_handshake() -> Iterator[str]:
    """A server that says yes and then never reads or writes again."""
    from websockets.server import ServerProtocol

    with socket.create_server(("127.0.0.1", 0)) as listening:
        done = threading.Event()

        def run() -> None:
            connection, _ = listening.accept()
            with connection:
                protocol = ServerProtocol()
                protocol.receive_data(connection.recv(65536))
                (request,) = protocol.events_received()
                assert isinstance(request, Request)
                protocol.send_response(protocol.accept(request))
                for data in protocol.data_to_send():
                    connection.sendall(data)
                done.wait(60)

        thread = threading.Thread(target=run)
        thread.start()
        yield f"ws://127.0.0.1:{listening.getsockname()[1]}/"
        done.set()
        thread.join()


def _certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS for ``localhost``, and the file in which its certificate stands."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "certificate.pem", folder / "key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    return context, pem
