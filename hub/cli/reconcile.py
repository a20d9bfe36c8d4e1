"""The command that compares streams with their sources, here and now."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import Any

import click

from hub.cli.base import json_option, opened, show
from hub.errors import ConfigError, HubError
from hub.pipeline import jobs, reconcile
from hub.pipeline.lane import leased
from hub.registry import Hub
from hub.store import certificates, checkpoints, leases
from hub.store import jobs as store_jobs

LOOK_S = 0.2
COLUMNS = (
    "connection", "stream", "status", "source_count", "hub_count", "missing", "stale", "extra",
    "repaired", "checked_at", "reason",
)  # fmt: skip


@click.command("reconcile")
@click.argument("connection", required=False)
@click.argument("stream", required=False)
@click.option(
    "--accept-drop", is_flag=True, help="It is right that far fewer records are there: delete."
)
@json_option
def reconcile_(
    connection: str | None, stream: str | None, *, accept_drop: bool, as_json: bool
) -> None:
    """Compare streams with their sources, mend what differs, and say what is true then."""
    if accept_drop and not stream:
        raise ConfigError("--accept-drop is said of one stream", hint="Name the stream.")
    with opened() as hub:
        found = [
            _reconcile(hub, *one, accept_drop=accept_drop)
            for one in _chosen(hub, connection, stream)
        ]
    show(found, COLUMNS, as_json=as_json)
    sys.exit(0 if all(row["complete"] for row in found) else 1)


def _chosen(hub: Hub, connection: str | None, stream: str | None) -> list[tuple[str, str]]:
    """The streams that were asked for and can be compared."""
    lives = [hub.registry.get(connection)] if connection else hub.registry.all().values()
    every = [(live.name, name) for live in lives for name in reconcile.comparable(live)]
    if stream is None:
        return every
    if (connection, stream) not in every:
        known = ", ".join(name for _, name in every) or "none"
        raise ConfigError(f"{connection} has no stream {stream} to compare", hint=f"Known: {known}")
    return [(str(connection), stream)]


def _reconcile(hub: Hub, connection: str, stream: str, *, accept_drop: bool) -> dict[str, Any]:
    """What is true of a stream after its reconciliation; or why there was none."""
    error = ""
    try:
        _run(hub, connection, stream, accept_drop=accept_drop)
    except HubError as exc:
        error = str(exc)
    with hub.database.read() as conn:
        states = {(one.connection, one.stream): one for one in certificates.streams(conn)}
    state = states[connection, stream]
    told = asdict(state.certificate) if state.certificate and not error else {"complete": False}
    row = {"connection": connection, "stream": stream, "status": state.status, **told}
    return {**row, "reason": error or state.reason}


def _run(hub: Hub, connection: str, stream: str, *, accept_drop: bool) -> None:
    """One reconciliation from its beginning to its end, whoever works on it."""
    _ = hub.registry.get(connection).adapter  # what it lacks here is said here
    with hub.database.read() as conn:
        if not checkpoints.get(conn, connection, stream).get("completed_at"):
            raise ConfigError(
                f"the first load of {connection}/{stream} is not complete",
                hint=f"Run: hub pull {connection} {stream}",
            )
    argument = {"accept_drop": True} if accept_drop else {}
    with hub.database.write() as conn:
        id_ = store_jobs.add(conn, reconcile.KIND, connection, stream, argument, actor="hub cli")
        leases.ensure(conn, [jobs.lease_name(id_)])
    ended = False
    while not ended:
        with leased(hub, jobs.lease_name(id_)) as lane:
            if lane is not None:
                ended = jobs.run(hub, lane, id_)
        if lane is None:  # a worker has it
            time.sleep(LOOK_S)
    with hub.database.read() as conn:
        job = store_jobs.get(conn, id_)
    if job and job.state == store_jobs.FAILED:
        raise ConfigError(job.error)


COMMANDS: tuple[click.Command, ...] = (reconcile_,)
