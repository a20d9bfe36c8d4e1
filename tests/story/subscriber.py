"""A receiver of the hub's events: a real HTTP server that keeps what comes and answers as told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

LOOPBACK = ("127.0.0.0/8",)


@dataclass(frozen=True)
class Got:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def type(self) -> str:
        return str(self.document["type"])

    @property
    def about(self) -> str:
        return str(self.document["data"]["id"])

    def is_signed_with(self, secret: str) -> bool:
        """As the specification's own library signs it, whatever the clock says."""
        at = datetime.fromtimestamp(int(self.headers["webhook-timestamp"]), UTC)
        told = Webhook(secret).sign(self.id, at, self.body.decode())
        return told in self.headers["webhook-signature"].split(" ")


@dataclass
class Subscriber:
    """What came, and what is answered to the next requests; 204 when nothing is planned."""

    port: int
    got: list[Got] = field(default_factory=list)
    plan: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    meanwhile: Callable[[Got], None] = lambda _: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/events"

    def answers(self, status: int, times: int = 1, **headers: str) -> None:
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        self.plan += [(status, told)] * times

    def take(self) -> list[Got]:
        """What came since the last time."""
        taken, self.got = self.got, []
        return taken


@contextmanager
def subscriber() -> Iterator[Subscriber]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            got = Got(self.path, headers, body)
            there.got.append(got)
            there.meanwhile(got)
            status, more = there.plan.pop(0) if there.plan else (204, {})
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        there = Subscriber(server.server_port)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield there
        server.shutdown()
