"""The load generator against a server of the test's own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from adapters.demo.adapter import DemoConfig
from adapters.demo.webhook import DemoReceiver
from bench import load
from hub.sdk import Envelope, HookRequest


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(202)

    def do_GET(self) -> None:
        self._answer(200 if self.headers["Authorization"] == "Bearer t" else 401)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "3000")
        self.end_headers()
        for _ in range(3):  # in pieces
            self.wfile.write(b"x" * 1000)
            self.wfile.flush()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_every_answer_is_counted_with_its_status(port: int) -> None:
    job = {"sort": "reads", "port": port, "connections": 3, "seconds": 0.2, "token": "t"}
    told = load.run({**job, "paths": ["/a", "/b?c=d"]})
    assert told["statuses"] == {"200": told["answers"]}
    assert told["answers"] >= 3
    assert 0 < told["p50_ms"] <= told["p99_ms"]
    assert set(load.run({**job, "paths": ["/a"], "token": "other"})["statuses"]) == {"401"}


def test_webhooks_are_sent_too(port: int) -> None:
    job = {"sort": "webhooks", "port": port, "connections": 2, "seconds": 0.2}
    told = load.run({**job, "secret": "s", "path": "/hooks/crm"})
    assert told["statuses"] == {"202": told["answers"]}


def test_the_webhooks_are_genuine_and_each_is_an_event_of_its_own() -> None:
    requests = load.webhooks({"secret": "s", "path": "/hooks/crm", "first": 7})
    receiver = DemoReceiver(DemoConfig.model_validate({"webhook_secrets": ["s"]}))
    items = []
    for _ in range(3):
        head, _, body = next(requests).partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (x.partition(": ") for x in lines[1:])}
        assert lines[0] == "POST /hooks/crm HTTP/1.1"
        assert int(headers["content-length"]) == len(body)
        opened = receiver.open(HookRequest("POST", headers, {}, body, datetime.now(UTC)))
        assert isinstance(opened, Envelope)
        items += opened.items
        (row,) = receiver.parse(opened.items[0].body)
        assert row.stream == "customers"
        assert 300 < len(body) < 500
        json.loads(body)
    assert [item.event_id for item in items] == ["e000000000007", "e000000000008", "e000000000009"]
