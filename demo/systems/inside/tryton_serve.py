# mypy: disable-error-code="import-not-found,import-untyped"
# (what it imports is installed in Tryton's own environment only)
"""Serve the demo's Tryton: ``python tryton_serve.py HOME PORT``, in Tryton's own environment."""

from __future__ import annotations

import os
import sys

import waitress


def main() -> None:
    """Load the database's modules, then listen."""
    home, port = sys.argv[1:]
    os.environ["TRYTOND_CONFIG"] = f"{home}/trytond.conf"
    os.environ["TRYTOND_DATABASE_NAMES"] = "erp"

    from trytond.application import app  # reads both variables

    waitress.serve(app, host="127.0.0.1", port=int(port), threads=4, ident="tryton")


if __name__ == "__main__":
    main()
