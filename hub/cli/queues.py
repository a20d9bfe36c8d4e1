"""Commands about what goes out and what could not be used: deliveries, quarantine."""

from __future__ import annotations

from typing import Any

import click

from hub import pipeline
from hub.cli.base import json_option, opened, out, show, show_json
from hub.errors import ConfigError
from hub.store import audit, outbox, quarantine


def _filters(command: Any) -> Any:
    command = click.option("--connection", help="Only of this connection.")(command)
    command = click.option("--state", help="Only in this state.")(command)
    command = click.option("--before", type=int, help="Only older than this id.")(command)
    return click.option("--limit", type=click.IntRange(1, 1000), default=50)(command)


@click.group("deliveries")
def deliveries() -> None:
    """Writes to other systems."""


@deliveries.command("list")
@_filters
@json_option
def deliveries_list(*, as_json: bool, **filters: Any) -> None:
    """Deliveries, newest first."""
    with opened() as hub, hub.database.read() as conn:
        rows = outbox.page(conn, **filters)
    columns = ("id", "connection", "stream", "subject", "state", "attempts", "error")
    show(rows, columns, as_json=as_json)


@deliveries.command("show")
@click.argument("id_", metavar="ID", type=int)
def deliveries_show(id_: int) -> None:
    """One delivery with what it writes and every try."""
    with opened() as hub, hub.database.read() as conn:
        row = outbox.get(conn, id_)
    if row is None:
        raise ConfigError(f"there is no delivery {id_}")
    show_json(row)


@deliveries.command("replay")
@click.argument("ids", metavar="ID...", type=int, nargs=-1, required=True)
def deliveries_replay(ids: tuple[int, ...]) -> None:
    """Queue deliveries again that gave up or are unknown."""
    with opened() as hub, hub.database.write() as conn:
        n = outbox.replay(conn, ids)
        _note(conn, "replay", "delivery", ids)
    out.print(f"{n} deliveries queued again", highlight=False)


@deliveries.command("skip")
@click.argument("ids", metavar="ID...", type=int, nargs=-1, required=True)
def deliveries_skip(ids: tuple[int, ...]) -> None:
    """Leave deliveries aside for good."""
    with opened() as hub, hub.database.write() as conn:
        n = outbox.skip(conn, ids)
        _note(conn, "skip", "delivery", ids)
    out.print(f"{n} deliveries skipped", highlight=False)


@deliveries.command("adopt")
@click.argument("id_", metavar="ID", type=int)
@click.argument("external_id")
def deliveries_adopt(id_: int, external_id: str) -> None:
    """Say which record over there is the copy, and queue the delivery again as its update."""
    with opened() as hub, hub.database.write() as conn:
        if not outbox.adopt(conn, id_, external_id):
            raise ConfigError(f"there is no delivery {id_} that waits for that")
        _note(conn, "adopt", "delivery", (id_,))
    out.print("bound, and queued again", highlight=False)


@deliveries.command("refetch")
@click.argument("id_", metavar="ID", type=int)
def deliveries_refetch(id_: int) -> None:
    """Look at the vendor's copy anew, then queue the delivery again."""
    with opened() as hub:
        pipeline.refetch(hub, id_)
        with hub.database.write() as conn:
            n = outbox.replay(conn, [id_])
            _note(conn, "refetch", "delivery", (id_,))
    out.print(f"fetched; {n} deliveries queued again", highlight=False)


@click.group("quarantine")
def quarantine_() -> None:
    """Rows no mapping could use."""


@quarantine_.command("list")
@click.option("--connection", help="Only of this connection.")
@json_option
def quarantine_list(connection: str | None, *, as_json: bool) -> None:
    """Rows held, oldest first."""
    with opened() as hub, hub.database.read() as conn:
        rows = quarantine.held(conn, connection)
    show(rows, ("id", "connection", "stream", "path", "error", "at"), as_json=as_json)


@quarantine_.command("replay")
@click.argument("connection")
def quarantine_replay(connection: str) -> None:
    """Try the rows held of a connection again, after its mapping was mended."""
    with opened() as hub:
        taken, still = pipeline.replay_quarantine(hub, connection)
    out.print(f"{taken} rows taken in, {still} still held", highlight=False)


def _note(conn: Any, verb: str, what: str, ids: tuple[int, ...]) -> None:
    for id_ in ids:
        audit.note(conn, "hub cli", verb, f"{what}:{id_}")


COMMANDS: tuple[click.Command, ...] = (deliveries, quarantine_)
