"""Commands about who may come in: user, token."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from hub.cli.base import json_option, opened, out, show
from hub.store import accounts, audit

masked_option = click.option(
    "--masked", is_flag=True, help="Hide phones and mail addresses from them."
)


@click.group("user")
def user() -> None:
    """People who may sign in."""


@user.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(accounts.ROLES), default="agent", show_default=True)
@masked_option
@click.password_option(help="Asked for when not given.")
def user_add(name: str, role: str, password: str, *, masked: bool) -> None:
    """Add a person."""
    with opened() as hub, hub.database.write() as conn:
        accounts.create(conn, name, password, role, masked=masked)
        audit.note(conn, "hub cli", "add", f"account:{name}")
    out.print(f"{name} may sign in as {role}", highlight=False)


@user.command("password")
@click.argument("name")
@click.password_option()
def user_password(name: str, password: str) -> None:
    """Give a person a new password; their sessions end."""
    with opened() as hub, hub.database.write() as conn:
        accounts.set_password(conn, name, password)
        audit.note(conn, "hub cli", "password", f"account:{name}")


@user.command("mask")
@click.argument("name")
@click.option("--off", is_flag=True, help="Show them again, as far as the role may see them.")
def user_mask(name: str, *, off: bool) -> None:
    """Hide phones and mail addresses from a person, from their next request on."""
    with opened() as hub, hub.database.write() as conn:
        accounts.set_masked(conn, name, masked=not off)
        audit.note(conn, "hub cli", "unmask" if off else "mask", f"account:{name}")


@user.command("list")
@json_option
def user_list(*, as_json: bool) -> None:
    """Everybody who may sign in."""
    with opened() as hub, hub.database.read() as conn:
        rows = [a._asdict() for a in accounts.everyone(conn)]
    shown = ("name", "role", "masked", "active", "created_at")
    show([{key: row[key] for key in shown} for row in rows], shown, as_json=as_json)


@click.group("token")
def token() -> None:
    """Keys for programs that use the API."""


@token.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(accounts.ROLES), default="agent", show_default=True)
@masked_option
@click.option("--days", type=click.IntRange(1, 3650), default=365, show_default=True)
def token_add(name: str, role: str, days: int, *, masked: bool) -> None:
    """Make a token and print it; it is shown only this once."""
    with opened() as hub, hub.database.write() as conn:
        expires_at = datetime.now(UTC) + timedelta(days=days)
        secret = accounts.create_token(conn, name, role, expires_at=expires_at, masked=masked)
        audit.note(conn, "hub cli", "add", f"token:{name}")
    click.echo(secret)


@token.command("list")
@json_option
def token_list(*, as_json: bool) -> None:
    """All tokens; what they are is not kept."""
    with opened() as hub, hub.database.read() as conn:
        rows = [t._asdict() for t in accounts.tokens(conn)]
    show(rows, ("name", "role", "masked", "created_at", "expires_at"), as_json=as_json)


@token.command("revoke")
@click.argument("name")
def token_revoke(name: str) -> None:
    """End a token now."""
    with opened() as hub, hub.database.write() as conn:
        accounts.revoke_token(conn, name)
        audit.note(conn, "hub cli", "revoke", f"token:{name}")


COMMANDS: tuple[click.Command, ...] = (user, token)
