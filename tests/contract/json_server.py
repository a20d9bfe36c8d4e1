"""What the stand-ins of several vendors share: JSON over real sockets on a free local port."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Answers with JSON and says nothing of it."""

    def get(self) -> None:
        self.answer(405, None)

    def post(self) -> None:
        self.answer(405, None)

    def do_GET(self) -> None:
        self.get()

    def do_POST(self) -> None:
        self.post()

    def asked(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def answer(self, status: int, body: Any) -> None:
        content = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no news."""


@contextmanager
def at_a_port(handler: type[Handler], **facts: Any) -> Iterator[str]:
    """The address of a server whose handlers have these facts as attributes."""
    server = _Server(("127.0.0.1", 0), type("With", (handler,), facts))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
