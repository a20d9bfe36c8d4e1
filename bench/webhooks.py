"""Signed webhooks into the real receiver, against a bare Flask + INSERT handler in the same run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import text

from bench import figures, rig
from bench.rig import ROOT, Site

SECRET = "bench-secret"
CONNECTIONS = (1, 16)
APPLICATIONS = {
    "conduit": ("", True),
    "bare Flask + INSERT": ("bench.bare:create_app", True),
    "no-op WSGI": ("bench.bare:nothing", False),
}
NOTES = (
    "conduit: HMAC checked, receipt, order key and lane stored, one commit on disk before the 202",
    "bare: Flask, one INSERT and one commit per request; it checks no signature and no repetition",
    "generator: share of a processor the load generator used; well below 1 it is not the limit",
)


def run(databases: Sequence[str], *, seconds: float = 5.0, rounds: int = 3) -> list[dict[str, Any]]:
    """Events per second and their latency, by database, connections and application."""
    return [row for database in databases for row in _database(database, seconds, rounds)]


def show(rows: Sequence[figures.Row]) -> None:
    """Print them."""
    figures.show("Webhooks: accepted events", rows, NOTES)


def _database(database: str, seconds: float, rounds: int) -> Iterator[dict[str, Any]]:
    demo = {"adapter": "demo", "webhook_secrets": [SECRET]}
    with rig.site(database, {"crm": demo}) as site:
        found: dict[tuple[int, str], list[dict[str, Any]]] = {}
        figures.say(f"webhooks, {database}")
        for turn in range(rounds):  # taking turns, so that a busy moment of the machine hits all
            for name in APPLICATIONS:
                for connections, told in _application(site, name, seconds, turn):
                    found.setdefault((connections, name), []).append(told)
        medians = {key: figures.middle(runs) for key, runs in found.items()}
        for connections in CONNECTIONS:
            bare = medians[connections, "bare Flask + INSERT"]["per_s"]
            for name in APPLICATIONS:
                yield _row(database, connections, name, medians[connections, name], bare)


def _application(
    site: Site, name: str, seconds: float, turn: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    target, factory = APPLICATIONS[name]
    with rig.server(site, "hooks", target, factory=factory) as port:
        for connections in CONNECTIONS:
            before = _kept(site)
            job = {"sort": "webhooks", "port": port, "path": "/hooks/crm", "secret": SECRET}
            job |= {"connections": connections, "seconds": seconds}
            job["first"] = turn * 10_000_000 + connections * 100_000_000
            told = load(job, "202")
            figures.say(f"{name}, {connections} connections: {told['per_s']:,.0f} events/s")
            kept = _kept(site) - before
            if name == "conduit" and kept < told["answers"]:
                raise RuntimeError(f"{told['answers']} were acknowledged, {kept} are stored")
            yield connections, told


def load(job: dict[str, Any], status: str) -> dict[str, Any]:
    """What the load generator found; every answer must have that status."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(job).encode(),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        check=True,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    if set(told["statuses"]) != {status}:
        raise RuntimeError(f"port {job['port']} answered {told['statuses']}, not only {status}")
    return told


def _kept(site: Site) -> int:
    with site.hub() as hub, hub.database.read() as conn:
        return int(conn.execute(text("SELECT count(*) FROM inbox")).scalar_one())


def _row(
    database: str, connections: int, name: str, told: dict[str, Any], bare: float
) -> dict[str, Any]:
    return {
        "database": database,
        "connections": connections,
        "application": name,
        "events_per_s": told["per_s"],
        "p50_ms": told["p50_ms"],
        "p99_ms": told["p99_ms"],
        "of_bare": figures.ratio(told["per_s"], bare),
        "generator": told["generator_busy"],
    }
