"""The CRM to pull from, a process of its own: ``GET /contacts?since=INSTANT&limit=N``.

It answers with the contacts updated after the instant, the longest unchanged first, and with
``next``, the instant to ask from for more; null is the end. ``python -m bench.source ROWS`` prints
its port. ``POST /change`` makes a new edition, in which one row in ``CHANGED_EVERY`` differs.
"""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from urllib.parse import parse_qs, urlsplit

import orjson

from bench.contacts import changed_since, contact


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
        since, limit = asked.get("since", [""])[0], int(asked.get("limit", ["1000"])[0])
        edition = self.server.edition
        found = changed_since(since, self.server.rows, edition)
        items = [contact(n, edition) for n in islice(found, limit)]
        more = next(found, None) is not None
        self._answer({"items": items, "next": items[-1]["updated_at"] if more else None})

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
