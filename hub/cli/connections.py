"""Commands about connections: check, connect, pull, mapping preview."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import asdict

import click
import orjson

from hub import pipeline
from hub.cli.base import fail, json_option, opened, out, show_json
from hub.errors import AuthError, ConfigError, HubError, UnsupportedError
from hub.mapping import to_canonical
from hub.mapping.draft import draft
from hub.pipeline.lane import leased
from hub.registry import Hub, Live, signin
from hub.sdk import Found, RecordRef
from hub.settings import settings_path
from hub.store import checkpoints, connections, credentials, leases

LOOK_S = 0.5


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
        if state == "ok":
            connections.readmit(conn, live.name)
        else:
            connections.set_state(conn, live.name, state, error)
    return {"connection": live.name, "ok": state == "ok", "error": error, "hint": hint}


@click.command("discover")
@click.argument("connection")
@click.option("--write", is_flag=True, help="Write a draft of each mapping that is missing.")
@json_option
def discover(connection: str, *, write: bool, as_json: bool) -> None:
    """What streams the system behind a connection has, with their fields."""
    with opened() as hub:
        live = hub.registry.get(connection)
        found = list(live.adapter.discover())
        if as_json:
            show_json([asdict(one) for one in found])
            return
        for one in found:
            mapped = "mapped" if one.stream in live.mappings else "no mapping"
            out.print(f"{one.stream} ({mapped}): {', '.join(one.fields)}", highlight=False)
            if write and one.stream not in live.mappings:
                _write_draft(live, one)


def _write_draft(live: Live, one: Found) -> None:
    if not re.fullmatch(r"[\w.-]+", one.stream):
        out.print("  its name cannot be a stream's: letters, digits, . _ - only", highlight=False)
        return
    path = settings_path().parent / "overlays" / live.name / f"{one.stream}.yaml"
    source = f"{live.manifest.name}/{one.stream}"
    try:
        text = draft(source, one.fields, key=one.key, version=one.version)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as exc:
        raise ConfigError(f"{path} is there already", hint="Mend it, or take it away.") from exc
    out.print(f"  wrote {path}", highlight=False, soft_wrap=True)


@click.command("connect")
@click.argument("connection")
@click.option("--paste", is_flag=True, help="Ask for the address the browser ends at.")
def connect(connection: str, *, paste: bool) -> None:
    """Sign in at a vendor in a browser; what waited for it goes on.

    The browser comes back to public_url, where an operator must be signed in. Where it cannot reach
    that, use --paste.
    """
    with opened() as hub:
        callback = signin.callback_url(hub.settings)
        address, version = signin.begin(hub.registry, connection, callback)
        out.print(f"The vendor must know this address: {callback}", highlight=False, soft_wrap=True)
        out.print("Open this in a browser and agree:", highlight=False)
        click.echo(address)
        if paste:
            answer = click.prompt("The address the browser ended at")
            signin.finish(hub.registry, answer.strip(), callback, "hub cli")
        else:
            _wait_for(hub, connection, version)
    out.print(f"[green]✓[/green] {connection} is connected", highlight=False)


def _wait_for(hub: Hub, connection: str, version: int) -> None:
    """Return when the web process has stored the tokens of a sign-in."""
    ends_at = time.monotonic() + signin.LASTS.total_seconds()
    while time.monotonic() < ends_at:
        with hub.database.read() as conn:
            if credentials.version(conn, connection) > version:
                return
        time.sleep(LOOK_S)
    fail(ConfigError("nobody signed in", hint="Run hub connect again, perhaps with --paste."))


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
        if stream is not None and stream not in live.pulled:
            raise ConfigError(f"{connection}/{stream} is not pulled")
        wanted = [stream] if stream else live.pulled
        if not wanted:
            raise ConfigError(
                f"{connection} pulls no stream", hint="It only receives or is written."
            )
        for name in wanted:
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
@click.option("--files", is_flag=True, help="Drop a chosen version: the files count again.")
def mapping_apply(connection: str, stream: str | None, *, files: bool) -> None:
    """Derive stored records anew after a mapping or overlay was changed."""
    with opened() as hub:
        live = hub.registry.get(connection)
        if stream is not None and stream not in live.mappings:
            known = ", ".join(live.mappings)
            raise ConfigError(f"{connection} has no mapping for {stream}", hint=f"Known: {known}")
        for name in [stream] if stream else live.mappings:
            if name in live.chosen:
                _apply_chosen(hub, live, name, files=files)
            else:
                rows = pipeline.remap(hub, connection, name)
                out.print(f"{connection}/{name}: {rows} rows read again", highlight=False)


def _apply_chosen(hub: Hub, live: Live, stream: str, *, files: bool) -> None:
    place = f"{live.name}/{stream}"
    if files:
        job = pipeline.switch(hub, live.name, stream, None, "hub cli")
        said = f"the files count again; job {job} derives its records anew"
    else:
        version = live.mapping(stream).version
        said = f"version {version} was chosen and hides the files; drop it with --files"
    out.print(f"{place}: {said}", highlight=False)


def _one(live: Live, stream: str, id_: str | None) -> dict[str, object] | None:
    if id_ is not None:
        return live.adapter.fetch(RecordRef(stream, id_))
    if stream not in live.streams:
        raise UnsupportedError(f"{live.name} cannot be pulled", hint="Give an id with --id.")
    pages = live.adapter.pull(live.streams[stream], None)
    return next((row for page in pages for row in page.records), None)


COMMANDS: tuple[click.Command, ...] = (check, discover, connect, pull, mapping)
