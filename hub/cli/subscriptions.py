"""Commands about subscriptions: who is told of the hub's own events."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click
from sqlalchemy import Connection

from hub.cli.base import Instant, json_option, opened, out, plain, show, show_json
from hub.pipeline import publish
from hub.registry import Hub
from hub.store import audit
from hub.store import subscriptions as store
from hub.store.subscriptions import Subscription

COLUMNS = ("name", "url", "types", "format", "state", "waiting", "lost", "reason")


@click.group("subscriptions")
def subscriptions() -> None:
    """Receivers that are told when customers and requests change.

    客户和请求发生变化时收到通知的接收方。
    """


@contextmanager
def _changing(name: str, verb: str) -> Iterator[tuple[Hub, Connection, Subscription]]:
    """A transaction on one subscription, with its line in the audit."""
    with opened() as hub, hub.database.write() as conn:
        yield hub, conn, store.named(conn, name)
        audit.note(conn, "hub cli", verb, f"subscription:{name}")


@subscriptions.command("add")
@click.argument("name")
@click.argument("url")
@click.option("--type", "types", multiple=True, help="Only these: customer.*, request.created …")
@click.option(
    "--format", "format_", type=click.Choice(store.FORMATS), default="standard", show_default=True
)
@click.option("--allow-networks", multiple=True, help="A private network it may be in, as CIDR.")
@json_option
def add(
    name: str,
    url: str,
    types: tuple[str, ...],
    format_: str,
    allow_networks: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Tell a receiver what happens from now on; its secret is printed only this once.

    从现在起通知一个接收方；密钥只显示这一次。
    """
    publish.check_address(url, allow_networks)
    chosen: dict[str, Any] = {"types": types, "format_": format_, "allow_networks": allow_networks}
    with opened() as hub, hub.database.write() as conn:
        secret = store.add(conn, hub.registry.vault, name, url, **chosen)
        audit.note(conn, "hub cli", "add", f"subscription:{name}")
    _show_secret(name, secret, as_json=as_json)


@subscriptions.command("list")
@json_option
def subscriptions_list(*, as_json: bool) -> None:
    """All subscriptions, and how many events wait for each."""
    with opened() as hub, hub.database.read() as conn:
        rows = [store.overview(conn, one) for one in store.every(conn)]
    shown = [{**row, "types": ", ".join(row["types"]) or "all"} for row in rows]
    show(rows if as_json else shown, COLUMNS, as_json=as_json)


@subscriptions.command("show")
@click.argument("name")
@json_option
def subscriptions_show(name: str, *, as_json: bool) -> None:
    """One subscription: where, what, how far."""
    with opened() as hub, hub.database.read() as conn:
        row = store.overview(conn, store.named(conn, name))
    if as_json:
        show_json(row)
        return
    for key, value in row.items():
        told = ", ".join(value) if isinstance(value, tuple) else value
        out.print(f"{key:<14} {told}", highlight=False, markup=False)
    _say_lost(row)


@subscriptions.command("pause")
@click.argument("name")
def pause(name: str) -> None:
    """Tell it nothing until it is resumed."""
    with _changing(name, "pause") as (_, conn, one):
        store.pause(conn, one.name)


@subscriptions.command("resume")
@click.argument("name")
def resume(name: str) -> None:
    """Go on from where it was, also after it was disabled.

    从中断处继续，被停用后也一样。
    """
    with _changing(name, "resume") as (_, conn, one):
        store.resume(conn, one.name)
        row = store.overview(conn, one)
    out.print(f"{name} goes on; {row['waiting'] - row['lost']} events wait", highlight=False)
    _say_lost(row)


@subscriptions.command("rotate")
@click.argument("name")
@json_option
def rotate(name: str, *, as_json: bool) -> None:
    """Make a new secret, printed only this once; the old one is used beside it for 24 hours.

    生成新密钥，只显示这一次；旧密钥在 24 小时内仍同时使用。
    """
    with _changing(name, "rotate") as (hub, conn, one):
        secret = store.rotate(conn, hub.registry.vault, one.name)
    _show_secret(name, secret, as_json=as_json)


@subscriptions.command("replay")
@click.argument("name")
@click.option("--since", type=Instant(), required=True, help="Begin with what happened then.")
def replay(name: str, since: datetime) -> None:
    """Tell it again what happened since an instant, under the same ids.

    从某一时刻起重新通知，事件编号不变。
    """
    with _changing(name, "replay") as (_, conn, one):
        kept_since = store.seek(conn, one.name, since)
        row = store.overview(conn, store.named(conn, name))
    out.print(f"{row['waiting']} events wait for {name}", highlight=False)
    if kept_since:
        out.print(f"What happened before {kept_since} is no longer kept.", highlight=False)
    if row["state"] != store.ACTIVE:
        out.print(f"It is {row['state']}: hub subscriptions resume {name}", highlight=False)


@subscriptions.command("test")
@click.argument("name")
def test(name: str) -> None:
    """Send it a signed event that means nothing, now.

    立即发送一个已签名的测试事件。
    """
    with opened() as hub:
        failure = publish.probe(hub, name)
    if failure is None:
        out.print(f"[green]✓[/green] {name} took it", highlight=False)
        return
    out.print(f"[red]✗[/red] {name}: {plain(failure.reason)}", highlight=False, soft_wrap=True)
    sys.exit(1)


@subscriptions.command("remove")
@click.argument("name")
def remove(name: str) -> None:
    """Forget a receiver."""
    with _changing(name, "remove") as (_, conn, one):
        store.remove(conn, one.name)


def _show_secret(name: str, secret: str, *, as_json: bool) -> None:
    if as_json:
        show_json({"name": name, "secret": secret})
    else:
        click.echo(secret)


def _say_lost(row: dict[str, Any]) -> None:
    if row["lost"]:
        out.print(f"{row['lost']} events before are no longer kept.", highlight=False)


COMMANDS: tuple[click.Command, ...] = (subscriptions,)
