"""Static files under addresses that change with their content, so that browsers may keep them."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from flask import Flask, request, url_for

STATIC = Path(__file__).parent / "static"


@cache
def _fingerprint(name: str) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def asset(name: str) -> str:
    """The address of a static file."""
    return _address(name, request.script_root)


@cache
def _address(name: str, root: str) -> str:
    """Kept, for a page names hundreds; ``root`` is where a proxy has put the application."""
    return url_for("static", filename=name, v=_fingerprint(name))


def icon(name: str) -> str:
    """The address of one drawing of the sheet."""
    return f"{asset('icons.svg')}#{name}"


def install(app: Flask) -> None:
    """Give the templates the addresses."""
    app.jinja_env.globals.update(asset=asset, icon=icon)
