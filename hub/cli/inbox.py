"""Commands about what came in: find an event, read it, have it read again, leave it aside."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from hub import pipeline
from hub.cli.base import Instant, hides, json_option, opened, out, plain, show, show_json
from hub.errors import ConfigError
from hub.pipeline import REPLAY, SKIP, Verb
from hub.registry import Hub
from hub.store import audit, events
from hub.store.events import Filter, Mark, Shown

WHO = "hub cli"


class _Place(click.ParamType[Mark]):
    """Where a page ended, as ``list`` printed it."""

    name = "place"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Mark:
        us, _, id_ = value.partition("-")
        if not (us.isdecimal() and id_.isdecimal()):
            self.fail(f'"{value}" is not what the page before printed', param, ctx)
        return int(us), int(id_)


def _filters(command: Any) -> Any:
    for option in (
        click.option("--connection", help="Only of this connection."),
        click.option("--type", help="Only of this type, in the vendor's word."),
        click.option("--state", type=click.Choice(events.STATES), help="Only in this state."),
        click.option("--since", type=Instant(), help="Only received then or later."),
        click.option("--until", type=Instant(), help="Only received before."),
        click.option("--record", help="Only about this record: connection/stream/id."),
        click.option("--text", help="Only with this in id, type, order key or body."),
    ):
        command = option(command)
    return command


@click.group("inbox")
def inbox() -> None:
    """Events that came in.

    收到的事件：查找、查看、重新处理、跳过。
    """


@inbox.command("list")
@_filters
@click.option("--limit", type=click.IntRange(1, 1000), default=50)
@click.option("--after", type=_Place(), help="Go on where a page ended.")
@json_option
def inbox_list(limit: int, after: Mark | None, *, as_json: bool, **filters: Any) -> None:
    """Events, newest first."""
    with opened() as hub, hub.database.read() as conn:
        page = events.page(conn, Filter(**filters), after=after, limit=limit)
    place = "-".join(map(str, page.next)) if page.next else None
    if as_json:
        show_json({"items": page.items, "next": place, "looked_at": page.looked_at})
        return
    columns = ("id", "connection", "type", "event_id", "state", "received_at", "attempts", "error")
    show(page.items, columns, as_json=False)
    for row in page.items:
        if row["hint"]:
            out.print(f"[dim]{row['id']}: {plain(row['hint'])}[/dim]", highlight=False)
    if place:
        sieved = f"looked at {page.looked_at} events; " if page.looked_at else ""
        out.print(f"[dim]{sieved}more: --after {place}[/dim]", highlight=False)


@inbox.command("show")
@click.argument("id_", metavar="ID", type=int)
@click.option("--raw", is_flag=True, help="The bytes as they came, with all secrets; noted.")
@json_option
def inbox_show(id_: int, *, raw: bool, as_json: bool) -> None:
    """One event, its headers and body without secrets, and what became of it."""
    with opened() as hub:
        if raw:
            _print_raw(hub, id_)
            return
        with hub.database.read() as conn:
            found = events.shown(conn, id_)
    if found is None:
        raise _unknown(id_)
    if as_json:
        show_json(found.model_dump(mode="json"))
    else:
        _print_event(found)


@inbox.command("replay")
@click.argument("ids", metavar="[ID]...", type=int, nargs=-1)
@_filters
@click.option("--dry-run", is_flag=True, help="Only say how many there are.")
def inbox_replay(ids: tuple[int, ...], *, dry_run: bool, **filters: Any) -> None:
    """Queue events again, those named or all that a filter finds.

    按编号或按条件重新处理事件；加 --dry-run 只统计数量。
    """
    _do(REPLAY, "queued again", ids, filters, dry_run=dry_run)


@inbox.command("skip")
@click.argument("ids", metavar="[ID]...", type=int, nargs=-1)
@_filters
@click.option("--dry-run", is_flag=True, help="Only say how many there are.")
def inbox_skip(ids: tuple[int, ...], *, dry_run: bool, **filters: Any) -> None:
    """Leave events aside, so that later ones of the same record go on."""
    _do(SKIP, "skipped", ids, filters, dry_run=dry_run)


def _do(
    verb: Verb, past: str, ids: Sequence[int], filters: dict[str, Any], *, dry_run: bool
) -> None:
    filters = {name: value for name, value in filters.items() if value is not None}
    if bool(ids) == bool(filters) or (ids and dry_run):
        raise click.UsageError("Name events by their ids, or give a filter.")
    with opened() as hub:
        if ids:
            n, left = _do_named(hub, verb, ids)
        else:
            chosen = Filter(**filters)
            n, left, _ = pipeline.do_all(hub.database, verb, chosen, WHO, dry_run=dry_run)
    out.print(f"{n} events {'would be ' if dry_run else ''}{past}", highlight=False)
    if left:
        why = "have expired" if verb is REPLAY else "are over already"
        out.print(f"{left} {why} and are left as they are", highlight=False)


def _do_named(hub: Hub, verb: Verb, ids: Sequence[int]) -> tuple[int, int]:
    """How many were changed, and how many were not.

    Raises:
        ConfigError: none was; says why.
    """
    with hub.database.write() as conn:
        n = pipeline.do(conn, verb, ids, WHO)
        found = None if n else events.get(conn, ids[0])
    if n:
        return n, len(set(ids)) - n
    if found is None:
        raise _unknown(ids[0])
    if verb is REPLAY:
        raise ConfigError(
            f"event {ids[0]} cannot be replayed: its bytes have expired",
            hint="keep_days of its connection says how long they are kept.",
        )
    raise ConfigError(f"event {ids[0]} is over already")


def _unknown(id_: int) -> ConfigError:
    return ConfigError(f"there is no event {id_}", hint="See: hub inbox list")


def _print_raw(hub: Hub, id_: int) -> None:
    """Write the bytes to standard output, and who read them into the audit."""
    if hides():
        raise ConfigError("bytes as they came cannot be masked", hint="Leave --raw out.")
    with hub.database.write() as conn:
        row = events.get(conn, id_)
        if row is None:
            raise _unknown(id_)
        audit.note(conn, WHO, "read raw", f"event:{id_}")
    if row["expired_at"]:
        raise ConfigError(f"the bytes of event {id_} have expired")
    sys.stdout.buffer.write(row["body"])
    sys.stdout.flush()


def _print_event(e: Shown) -> None:
    came = {"webhook": "a proven sender, by webhook", "line": "a line of our own"}.get(e.came_by)
    facts: dict[str, Any] = {
        "event": f"{e.id}: {e.event_id}",
        "of": " ".join(filter(None, (e.connection, e.type))),
        "order key": e.order_key,
        "received": e.received_at,
        "from": came,
        "state": f"{e.state}{f' after {e.attempts} retries' if e.attempts else ''}",
        "over since": e.done_at,
        "next try": e.available_at if e.state == "retry" else None,
        "error": e.error,
        "hint": e.hint,
        "size": f"{e.size_bytes} bytes",
        "bytes": f"expired {_local(e.expired_at)}" if e.expired_at else None,
    }
    for name, value in facts.items():
        if value:
            told = _local(value) if isinstance(value, datetime) else str(value)
            out.print(f"[dim]{name:<10}[/dim] {plain(told)}", highlight=False, soft_wrap=True)
    for held in e.held:
        fact = f"a row of {held.stream} at {held.path or '.'}: {held.error}"
        out.print(f"[dim]quarantine[/dim] {plain(fact)}", highlight=False, soft_wrap=True)
    if e.held:
        told = f"mend the mapping, then: hub quarantine replay {e.connection}"
        out.print(f"[dim]          [/dim] {told}", highlight=False)
    out.print(f"[dim]{'its way':<10}[/dim] hub trace event:{e.id}", highlight=False)
    for name, value in e.headers.items():
        out.print(f"[cyan]{plain(name)}[/cyan]: {plain(value)}", highlight=False, soft_wrap=True)
    if e.body:
        click.echo(f"\n{e.body}")
    if e.body_cut:
        out.print(f"[dim]… and more: hub inbox show {e.id} --raw[/dim]", highlight=False)


def _local(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


COMMANDS: tuple[click.Command, ...] = (inbox,)
