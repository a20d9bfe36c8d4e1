"""Commands about connections: check, pull, mapping preview, secrets."""

from __future__ import annotations

import sys

import click
import orjson

from hub import pipeline
from hub.cli.base import fail, json_option, opened, out, show_json
from hub.errors import AuthError, ConfigError, HubError, UnsupportedError
from hub.mapping import to_canonical
from hub.pipeline.lane import leased
from hub.registry import Hub, Live
from hub.sdk import RecordRef
from hub.store import checkpoints, connections, leases
from hub.store.crypto import new_key


@click.command("check")
@click.argument("connection", required=False)
@json_option
def check(connection: str | None, *, as_json: bool) -> None:
    """Try the credentials and permissions of one or every connection."""
    with opened() as hub:
        names = [connection] if connection else sorted(hub.registry.all())
        found = [_check_one(hub, hub.registry.get(name)) for name in names]
    if as_json:
        show_json(found)
    for row in [] if as_json else found:
        mark = "[green]✓[/green]" if row["ok"] else "[red]✗[/red]"
        out.print(f"{mark} {row['connection']} {row['error']}".rstrip(), highlight=False)
        if row["hint"]:
            out.print(f"  → {row['hint']}", highlight=False)
    sys.exit(0 if all(row["ok"] for row in found) else 1)


def _check_one(hub: Hub, live: Live) -> dict[str, str | bool]:
    state, error, hint = "ok", "", ""
    try:
        if live.manifest.adapter is None:
            _ = live.receiver  # a receiver has no account to try; its config must be sound
        else:
            live.adapter.check()
    except HubError as exc:
        state = "auth_failed" if isinstance(exc, AuthError) else "degraded"
        error, hint = str(exc), exc.hint
    with hub.database.write() as conn:
        connections.set_state(conn, live.name, state, error)
        if state == "ok":
            checkpoints.hasten(conn, live.name)
    return {"connection": live.name, "ok": state == "ok", "error": error, "hint": hint}


@click.command("pull")
@click.argument("connection")
@click.argument("stream", required=False)
@click.option("--full", is_flag=True, help="From the beginning instead of the checkpoint.")
def pull(connection: str, stream: str | None, *, full: bool) -> None:
    """Pull one or every stream now, to its end."""
    with opened() as hub:
        live = hub.registry.get(connection)
        if stream is not None and stream not in live.streams:
            known = ", ".join(live.streams)
            raise ConfigError(f"{connection} has no stream {stream}", hint=f"Known: {known}")
        for name in [stream] if stream else [s for s in live.streams if s in live.mappings]:
            _pull_one(hub, connection, name, full=full)


def _pull_one(hub: Hub, connection: str, stream: str, *, full: bool) -> None:
    name = pipeline.pull_lease(connection, stream)
    with hub.database.write() as conn:
        leases.ensure(conn, [name])
        checkpoints.ensure(conn, connection, [stream])
    done = False
    while not done:
        with leased(hub, name) as held:
            if held is None:
                out.print(f"{connection}/{stream} is being pulled already", highlight=False)
                return
            if full:
                with hub.database.write() as conn:
                    checkpoints.restart(conn, connection, stream)
                full = False
            done = pipeline.pull(hub, held, connection, stream)
            with hub.database.read() as conn:
                rows = checkpoints.get(conn, connection, stream)["rows"]
            out.print(f"{connection}/{stream}: {rows} rows so far", highlight=False)


@click.group("mapping")
def mapping() -> None:
    """What a mapping makes of a record, and of all of them after a change."""


@mapping.command("preview")
@click.argument("connection")
@click.argument("stream")
@click.option("--id", "id_", help="The vendor's id; otherwise the first record of the stream.")
def preview(connection: str, stream: str, id_: str | None) -> None:
    """Fetch one record and show it raw and mapped; nothing is stored."""
    with opened() as hub:
        live = hub.registry.get(connection)
        spec = live.mappings.get(stream)
        if spec is None:
            known = ", ".join(live.mappings)
            raise ConfigError(f"{connection} has no mapping for {stream}", hint=f"Known: {known}")
        raw = _one(live, stream, id_)
        if raw is None:
            fail(ConfigError(f"{connection}/{stream} has no such record"))
        records = to_canonical(spec, raw, connection=connection)
        show_json(
            {
                "mapping": {"name": spec.source, "version": spec.version},
                "raw": orjson.loads(orjson.dumps(raw, default=str)),
                "records": [{"kind": r.kind, **r.model_dump(mode="json")} for r in records],
            }
        )


@mapping.command("apply")
@click.argument("connection")
@click.argument("stream", required=False)
def mapping_apply(connection: str, stream: str | None) -> None:
    """Derive stored records anew after a mapping or overlay was changed."""
    with opened() as hub:
        live = hub.registry.get(connection)
        if stream is not None and stream not in live.mappings:
            known = ", ".join(live.mappings)
            raise ConfigError(f"{connection} has no mapping for {stream}", hint=f"Known: {known}")
        for name in [stream] if stream else live.mappings:
            rows = pipeline.remap(hub, connection, name)
            out.print(f"{connection}/{name}: {rows} rows read again", highlight=False)


def _one(live: Live, stream: str, id_: str | None) -> dict[str, object] | None:
    if id_ is not None:
        return live.adapter.fetch(RecordRef(stream, id_))
    if stream not in live.streams:
        raise UnsupportedError(f"{live.name} cannot be pulled", hint="Give an id with --id.")
    pages = live.adapter.pull(live.streams[stream], None)
    return next((row for page in pages for row in page.records), None)


@click.group("secrets")
def secrets() -> None:
    """Keys for secrets at rest."""


@secrets.command("new")
def secrets_new() -> None:
    """Print a fresh key for secret_keys."""
    click.echo(new_key())


COMMANDS: tuple[click.Command, ...] = (check, pull, mapping, secrets)
