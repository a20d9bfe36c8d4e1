"""Commands that run the hub: up, apply, doctor, status."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from types import FrameType
from typing import Any

import click
from sqlalchemy import Connection

from hub import log
from hub.cli.base import err, fail, json_option, opened, out, show, show_json
from hub.errors import ConfigError, HubError
from hub.pipeline import listen
from hub.registry import Hub, apply, check_settings
from hub.settings import Settings, settings
from hub.store import (
    alerts,
    budget,
    certificates,
    connections,
    inbox,
    listeners,
    outbox,
    quarantine,
    read,
    records,
)
from hub.store.migrate import is_current, migrate

RESTART_S = 1.0
PR_SET_PDEATHSIG = 1
STOP_S = 20.0


@click.command("up")
@click.option("--port", type=int, help="Port of the web pages and API.")
@click.option("--hooks-port", type=int, help="Port of the webhook receiver.")
def up(port: int | None, hooks_port: int | None) -> None:
    """Run everything here: web, hooks and worker, without a broker."""
    if port is not None:
        os.environ["HUB_WEB_PORT"] = str(port)
    if hooks_port is not None:
        os.environ["HUB_HOOKS_PORT"] = str(hooks_port)
    chosen = settings()
    _check_ports(chosen)
    with opened(current=False) as hub:
        migrate(hub.database)
        _print_plan(apply(hub.registry, chosen))
    out.print(f"web   http://{chosen.bind}:{chosen.web_port}")
    out.print(f"hooks http://{chosen.bind}:{chosen.hooks_port}/hooks/<connection>")
    sys.exit(_supervise(_children(chosen)))


@click.command("apply")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@json_option
def apply_(*, dry_run: bool, as_json: bool) -> None:
    """Bring the database and its connections to what settings.toml says."""
    with opened(current=False) as hub:
        if not dry_run:
            migrate(hub.database)
        else:
            with hub.database.read() as conn:
                if not is_current(conn):
                    check_settings(hub.settings)
                    out.print("the settings are sound; the database has no schema yet")
                    return
        plan = apply(hub.registry, hub.settings, dry_run=dry_run)
    if as_json:
        show_json(plan)
    else:
        _print_plan(plan)


@click.command("listen")
def listen_() -> None:
    """Receive from vendors that stream to us; one process, beside the workers."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with opened() as hub:
        log.configure(hub.settings.log_level, hub.settings.log_format)
        listen.run(hub, stopping)


@click.command("status")
@json_option
def status(*, as_json: bool) -> None:
    """Connections, streams, queues: how fresh, how much waits."""
    with opened() as hub, hub.database.read() as conn:
        found: dict[str, Any] = {
            "connections": connections.overview(conn),
            "streams": [
                {**asdict(row), "records": records.count(conn, row.connection, row.stream)}
                for row in certificates.streams(conn)
            ],
            "alerts": alerts.every(conn),
            "listeners": listeners.every(conn),
            "budgets": budget.overview(conn, _limits(hub)),
            "inbox": _counts(inbox.counts(conn)),
            "deliveries": _counts(outbox.counts(conn)),
            "quarantine": [
                {"connection": name, "held": n} for name, n in quarantine.count(conn).items()
            ],
            "customers": read.customer_count(conn),
        }
    if as_json:
        show_json(found)
        return
    out.print(f"[bold]customers[/bold] {found['customers']}")
    show(found["connections"], ("name", "adapter", "state", "reason"), as_json=False)
    streams = ("connection", "stream", "status", "records", "certified", "due_at", "reason")
    rows = [{**row, "certified": _certified(row["certificate"])} for row in found["streams"]]
    show(rows, streams, as_json=False)
    if found["alerts"]:
        out.print("[bold]alerts[/bold]")
        show(found["alerts"], ("opened_at", "kind", "message", "hint"), as_json=False)
    for queue in ("listeners", "budgets", "inbox", "deliveries", "quarantine"):
        if found[queue]:
            out.print(f"[bold]{queue}[/bold]")
            show(found[queue], tuple(found[queue][0]), as_json=False)


def _certified(certificate: dict[str, Any] | None) -> datetime | None:
    return certificate["checked_at"] if certificate and certificate["complete"] else None


def _limits(hub: Hub) -> dict[str, budget.Limits]:
    return {name: live.limits for name, live in hub.registry.all().items()}


def _counts(counts: dict[tuple[str, str], int]) -> list[dict[str, Any]]:
    return [
        {"connection": connection, "state": state, "count": n}
        for (connection, state), n in sorted(counts.items())
    ]


@click.command("doctor")
@json_option
def doctor(*, as_json: bool) -> None:
    """What is wrong, and what to do about it."""
    findings = list(_findings())
    if as_json:
        show_json(findings)
    for finding in [] if as_json else findings:
        mark = "[green]✓[/green]" if finding["ok"] else "[red]✗[/red]"
        out.print(f"{mark} {finding['what']}", highlight=False)
        if not finding["ok"] and finding["hint"]:
            out.print(f"  → {finding['hint']}", highlight=False)
    sys.exit(0 if all(finding["ok"] for finding in findings) else 1)


def _findings() -> Iterator[dict[str, Any]]:
    try:
        with opened(current=False) as hub:
            yield _finding("settings.toml can be read", ok=True)
            yield from _findings_in(hub)
    except HubError as exc:
        yield _finding(str(exc), ok=False, hint=exc.hint)


def _findings_in(hub: Hub) -> Iterator[dict[str, Any]]:
    try:
        check_settings(hub.settings)
        yield _finding(f"{len(hub.settings.connections)} connections are sound", ok=True)
    except ConfigError as exc:
        for line in str(exc).splitlines():
            yield _finding(line, ok=False, hint=exc.hint)
    with hub.database.read() as conn:
        if not is_current(conn):
            yield _finding("the database has no current schema", ok=False, hint="Run: hub apply")
            return
        yield _finding("the database answers and its schema is current", ok=True)
        for row in connections.overview(conn):
            fine = row["state"] in ("new", "ok")
            said = f"connection {row['name']} is {row['state']}: {row['reason']}".rstrip(": ")
            yield _finding(said, ok=fine, hint=f"Run: hub check {row['name']}")
        yield from _stream_findings(conn)
        yield from _budget_findings(hub, conn)
        dead = sum(n for (_, s), n in outbox.counts(conn).items() if s in ("dead", "unknown"))
        yield _finding(f"{dead} deliveries gave up", ok=not dead, hint="Run: hub deliveries list")
        held = sum(quarantine.count(conn).values())
        held += sum(n for (_, s), n in inbox.counts(conn).items() if s == "quarantined")
        hint = "Run: hub inbox list --state quarantined"
        yield _finding(f"{held} rows in quarantine", ok=not held, hint=hint)
    if hub.database.is_sqlite:
        free = shutil.disk_usage(hub.settings.state_dir.resolve()).free
        few = free < 500 * 1024 * 1024
        hint = "Free some space: a full disk makes webhooks answer 503."
        yield _finding(f"{free // 1024**2} MiB of disk are free", ok=not few, hint=hint)


def _stream_findings(conn: Connection) -> Iterator[dict[str, Any]]:
    """The red streams, and how many of all are certified to be complete."""
    every = certificates.streams(conn)
    for row in every:
        if row.status == certificates.RED:
            name = f"{row.connection}/{row.stream}"
            hint = f"Run: hub reconcile {row.connection} {row.stream}"
            yield _finding(f"stream {name}: {row.reason}", ok=False, hint=hint)
    green = sum(row.status == certificates.GREEN for row in every)
    yield _finding(f"{green} of {len(every)} streams are certified to be complete", ok=True)


def _budget_findings(hub: Hub, conn: Connection) -> Iterator[dict[str, Any]]:
    """Connections with a budget for the day: how much is left, and for whom."""
    for row in budget.overview(conn, _limits(hub)):
        if per_day := row["per_day"]:
            left = per_day - row["spent_today"]
            words = f"{row['connection']}: {left} of today's {per_day} calls are left"
            hint = "The rest is kept for customers with an open request, until midnight UTC."
            yield _finding(words, ok=left > per_day * budget.KEPT, hint=hint)


def _finding(what: str, *, ok: bool, hint: str = "") -> dict[str, Any]:
    return {"what": what, "ok": ok, "hint": hint}


def _print_plan(plan: dict[str, str]) -> None:
    for name, verb in plan.items():
        out.print(f"{verb:<6} connection {name}", highlight=False)
    if not plan:
        out.print("settings.toml names no connections yet", highlight=False)


@dataclass(slots=True)
class Child:
    """One process of the embedded hub."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None


def _children(chosen: Settings) -> list[Child]:
    """By name, never by import: the web-facing processes must not load the worker."""
    granian = [sys.executable, "-m", "granian", "--interface", "wsgi", "--factory"]
    granian += ["--host", chosen.bind, "--workers", "1", "--no-ws", "--log-level", "error"]
    worker = [sys.executable, "-m", "celery", "--quiet", "-A", "hub.relay", "worker"]
    worker += ["--pool", "threads"]
    worker += ["--concurrency", str(chosen.worker_threads), "--without-gossip", "--without-mingle"]
    worker += ["--without-heartbeat", "--loglevel", "WARNING"]
    # Half as many again as may wait for the disk: somebody must be left to refuse the others.
    hooks = ["--port", str(chosen.hooks_port), "--blocking-threads", "24"]
    web = ["--port", str(chosen.web_port), "--blocking-threads", "16"]
    return [
        Child("hooks", [*granian, *hooks, "webhooks.app:create_app"]),
        Child("web", [*granian, *web, "hub.web.app:create_app"]),
        Child("worker", worker),
    ]


def _supervise(children: list[Child]) -> int:
    """Start the children and start again what dies, until told to stop."""
    stopping = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    while not stopping:
        for child in children:
            if child.process is None or child.process.poll() is not None:
                if child.process is not None:
                    err.print(f"{child.name} ended and is started again", highlight=False)
                    time.sleep(RESTART_S)
                if not stopping:
                    child.process = subprocess.Popen(  # noqa: S603 - our own words
                        child.command, preexec_fn=end_with_parent
                    )
        time.sleep(0.2)
    return _stop_all(children)


def end_with_parent() -> None:
    """Have this child told to stop when the supervisor is killed, or it would keep its port.

    Only Linux can; elsewhere the children must be ended by hand then.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop_all(children: list[Child]) -> int:
    running = [child.process for child in children if child.process is not None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + STOP_S
    for process in running:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
    return 0


def _check_ports(chosen: Settings) -> None:
    for what, port in (("web", chosen.web_port), ("hooks", chosen.hooks_port)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((chosen.bind, port))
            except OSError:
                name = "--port" if what == "web" else "--hooks-port"
                fail(ConfigError(f"port {port} is taken", hint=f"Choose another with {name}."))


COMMANDS: tuple[click.Command, ...] = (up, apply_, listen_, status, doctor)
