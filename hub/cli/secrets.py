"""Commands about keys for secrets at rest."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from hub.cli.base import json_option, opened, out, show, show_json
from hub.store import audit
from hub.store.crypto import new_key
from hub.store.rotation import Rotated, rotate


@click.group("secrets")
def secrets() -> None:
    """Keys for secrets at rest."""


@secrets.command("new")
def secrets_new() -> None:
    """Print a fresh key for secret_keys."""
    click.echo(new_key())


@secrets.command("rotate")
@json_option
def secrets_rotate(*, as_json: bool) -> None:
    """Encrypt everything stored with the first of secret_keys, while the hub runs.

    Without secret_keys, the key file gets a new key and loses the old one.
    """
    with opened() as hub:
        rotated = rotate(hub.database, hub.registry.vault)
        with hub.database.write() as conn:
            audit.note(conn, "hub cli", "rotate", f"key:{rotated.current}")
    if as_json:
        show_json({**asdict(rotated), "complete": rotated.is_complete})
    else:
        _print(rotated)
    sys.exit(0 if rotated.is_complete else 1)


def _print(rotated: Rotated) -> None:
    out.print(f"{rotated.done} secrets encrypted anew", highlight=False)
    keys = {rotated.current: 0, **rotated.left}
    rows = [
        {"key": key, "secrets": n, "": "in use" if key == rotated.current else "still needed"}
        for key, n in keys.items()
    ]
    show(rows, ("key", "secrets", ""), as_json=False)
    if rotated.is_complete:
        out.print("Nothing needs another key: take old ones out of secret_keys.", highlight=False)
    else:
        out.print(
            "Some need another key: put it behind the first of secret_keys, and run this again.",
            highlight=False,
        )


COMMANDS: tuple[click.Command, ...] = (secrets,)
