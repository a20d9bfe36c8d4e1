"""The receiver as the Procfile starts it, and what no HTTP library would send it."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.demo.webhook import sign
from tests.story.helpers import demo, drain, scalar
from tests.story.processes import Installation, children, installed, wait_until

SECRET = "shared-with-the-sender"
PATIENCE_S = 60.0

LONG = b"9" * 30
KEY = b"Sec-WebSocket-Key: x"


def post(*headers: bytes, path: bytes = b"/hooks/shop", body: bytes = b"") -> bytes:
    return b"\r\n".join([b"POST " + path + b" HTTP/1.1", b"Host: x", *headers, b"", body])


def of_length(length: bytes, body: bytes = b"x") -> bytes:
    return post(b"Content-Length: " + length, body=body)


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body=body)


ODD = {
    "nothing": b"",
    "zeros": b"\x00" * 4096,
    "no HTTP": b"EHLO localhost\r\nMAIL FROM:<a@b>\r\n\r\n",
    "TLS": bytes.fromhex("16030100a5010000a10303") + b"\x41" * 160,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 9,
    "HTTP/9.9": b"POST /hooks/shop HTTP/9.9\r\nHost: x\r\n\r\n",
    "HTTP/1.0": b"POST /hooks/shop HTTP/1.0\r\nContent-Length: 1\r\n\r\nx",
    "no host": b"POST /hooks/shop HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
    "odd host": b"POST /hooks/shop HTTP/1.1\r\nHost: [::1\xff\r\nContent-Length: 0\r\n\r\n",
    "absolute": post(path=b"http://a\xffb:99999/hooks/shop"),
    "raw bytes in the path": post(path=b"/hooks/\xff\xfe\x80"),
    "NUL in the path": post(path=b"/hooks/shop%00%ff/%0d%0a"),
    "query": post(path=b"/hooks/shop?%00=%ff&&=&" + b"a" * 9000),
    "odd header": post(b"X-\x00: \x01"),
    "latin header": post(b"X-Demo-Signature: \xe9\xff", b"X-Demo-Timestamp: 1"),
    "header twice": post(b"Host: y", b"X-Demo-Timestamp: 1", b"X-Demo-Timestamp: 2"),
    "long header": post(b"X: " + b"a" * 1_000_000),
    "many headers": post(*[b"X: a"] * 5000),
    "length -1": of_length(b"-1"),
    "length of 63 bits": of_length(b"%d" % 2**63),
    "length of 64 bits": of_length(b"%d" % (2**64 - 2)),
    "length beyond": of_length(LONG),
    "two lengths": post(b"Content-Length: 1", b"Content-Length: 2", body=b"xy"),
    "cut body": of_length(b"100", b"cut"),
    "both lengths": post(
        b"Content-Length: 3", b"Transfer-Encoding: chunked",
        body=b"0\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n",
    ),
    "cut chunk": chunked(b"ff\r\ncut"),
    "no chunk": chunked(b"xyz\r\n\r\n"),
    "endless chunk": chunked(b"ffffffffffffffff\r\nx"),
    "odd encoding": post(b"Transfer-Encoding: klingon", body=b"x"),
    "upgrade": post(b"Connection: Upgrade", b"Upgrade: websocket", KEY),
    "expect": post(b"Expect: 100-continue", b"Content-Length: 3"),
}  # fmt: skip


@pytest.fixture
def there(tmp_path: Path, sqlite_template: Path) -> Iterator[Installation]:
    url = f"sqlite:///{tmp_path}/hub.db"
    with installed(tmp_path, url, connections={"shop": demo(webhook_secrets=[SECRET])}) as there:
        there.start_production("hooks")
        wait_until("hooks answer", there.is_reachable)
        yield there


def exchanged(there: Installation, sent: bytes, *, half: bool = True) -> bytes:
    """What is answered until the other side hangs up, or has said all."""
    with socket.create_connection(("127.0.0.1", there.hooks_port), PATIENCE_S) as line:
        answer = b""
        with suppress(OSError):  # it need not listen to the end, and may be gone by now
            line.sendall(sent)
            if half:
                line.shutdown(socket.SHUT_WR)
            while some := line.recv(65536):
                answer += some
                if not half and len(statuses(answer)) == sent.count(b" HTTP/1.1\r\n"):
                    return answer
        return answer


def statuses(answer: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d{3})", answer)]


def genuine(event_id: str, *, in_chunks: bool = False) -> bytes:
    row = {"id": event_id, "name": "李娜", "version": "1"}
    told = {"event_id": event_id, "stream": "customers", "record": row}
    body = json.dumps(told, ensure_ascii=False).encode()
    headers = {"Host": "x", **sign(SECRET, body, datetime.now(UTC))}
    if in_chunks:
        headers["Transfer-Encoding"] = "chunked"
        parts = [body[:7], body[7:]]
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    else:
        headers["Content-Length"] = str(len(body))
    told_headers = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /hooks/shop HTTP/1.1\r\n{told_headers}\r\n".encode() + body


def test_what_is_no_request_stops_nobody(there: Installation) -> None:
    workers = children(there.pid("hooks"))
    for name, sent in ODD.items():
        found = statuses(exchanged(there, sent))
        assert all(status < 500 and status // 100 != 2 for status in found), (name, found)
    assert statuses(exchanged(there, genuine("e1"), half=False)) == [202]
    pipelined = genuine("e2") + genuine("e3", in_chunks=True) + genuine("e2")
    assert statuses(exchanged(there, pipelined, half=False)) == [202, 202, 200]
    assert children(there.pid("hooks")) == workers
    with there.hub() as hub:
        wait_until("refusals are kept", lambda: scalar(hub, "SELECT count(*) FROM refusal") > 0)
        assert scalar(hub, "SELECT count(*) FROM inbox") == 3
        drain(hub)
        assert scalar(hub, "SELECT count(*) FROM record WHERE kind = 'Person'") == 3
