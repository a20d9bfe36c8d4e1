"""The CRM to pull from, a process of its own: ``GET /contacts?after=ID&limit=N``.

``python -m bench.source ROWS`` prints its port. ``POST /change`` makes a new edition, in which one
row in ``CHANGED_EVERY`` differs.
"""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import orjson

from bench.contacts import contact


class Source(ThreadingHTTPServer):
    """So many contacts, in their current edition."""

    daemon_threads = True

    def __init__(self, rows: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.rows, self.edition = rows, 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Source

    def do_GET(self) -> None:
        asked = parse_qs(urlsplit(self.path).query)
        after, limit = asked.get("after", [""])[0], int(asked.get("limit", ["1000"])[0])
        first = int(after[1:]) + 1 if after else 0
        last = min(first + limit, self.server.rows)
        items = [contact(n, self.server.edition) for n in range(first, last)]
        self._answer({"items": items, "more": last < self.server.rows})

    def do_POST(self) -> None:
        self.server.edition += 1
        self._answer({"edition": self.server.edition})

    def _answer(self, document: object) -> None:
        body = orjson.dumps(document)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: printing each request would be part of the measurement."""


def main() -> None:
    server = Source(int(sys.argv[1]))
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
