# mypy: disable-error-code="import-not-found,import-untyped"
# (what it imports is installed in Roundup's own environment only)
"""Serve the demo's Roundup: ``python roundup_serve.py TRACKER PORT``, in its own environment.

Roundup's own server refuses to run as root, which is what one is in many containers.
"""

from __future__ import annotations

import sys

import waitress
from roundup.cgi.wsgi_handler import RequestDispatcher


def main() -> None:
    """Load the tracker, then listen."""
    tracker, port = sys.argv[1:]
    app = RequestDispatcher(tracker)
    waitress.serve(app, host="127.0.0.1", port=int(port), threads=4, ident="roundup")


if __name__ == "__main__":
    main()
