"""Signed webhooks into the real receiver, beside bare handlers and other hubs in the same run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from bench import bare, figures, rig
from bench.measuring import largest_of, peak_of
from bench.peers import npm
from bench.rig import ROOT, Served, Site

SECRET = "bench-secret"
CONNECTIONS = (1, 16, 64)
OURS, BARE, NOTHING, NODE_RED, N8N = "Conduit", "Flask + INSERT", "Flask", "Node-RED", "n8n"
SLOW = "sqlite, flush 2 ms"
APPLICATIONS = {
    "sqlite": {OURS: "", BARE: "bench.bare:create_app", NOTHING: "bench.bare:nothing"},
    SLOW: {OURS: "bench.slow:hooks", BARE: "bench.slow:insert"},
}
APPLICATIONS["postgresql"] = APPLICATIONS["sqlite"]
PEERS = {NODE_RED: npm.NODE_RED, N8N: npm.N8N}
WORKERS = {"postgresql": os.cpu_count() or 1}
"""As the Procfile has it, one process per core; embedded there is one."""

NOTES = (
    "Conduit: HMAC checked, receipt, order key and lane stored, on disk before the 202",
    "Flask + INSERT: one INSERT and one commit per request, no signature checked, no repetition",
    "Flask: reads the request and keeps nothing. All three under the same server, with as many "
    "processes: one on SQLite, one per core on PostgreSQL",
    "Node-RED, n8n: one process, as they come; Node-RED checks the HMAC, n8n does not",
    f"{SLOW}: no flush at all, and 2 ms of waiting in its place (bench/slow.py)",
    "peak MiB: of the largest process. generator: share of a processor the load generator used; "
    "well below 1 it is not the limit",
)


@dataclass(frozen=True)
class Aim:
    """What a figure should come to: ours, as a multiple of another's."""

    figure: str
    of: str
    wanted: float
    databases: tuple[str, ...]
    at_most: bool = False

    def said(self, found: dict[tuple[str, int, str], dict[str, Any]]) -> Iterator[str]:
        """One sentence per database and number of connections that was measured."""
        for (database, connections, name), ours in found.items():
            other = found.get((database, connections, self.of))
            if name != OURS or other is None or database not in self.databases:
                continue
            ratio = figures.ratio(ours[self.figure], other[self.figure])
            well = ratio <= self.wanted if self.at_most else ratio >= self.wanted
            sign = "≤" if self.at_most else "≥"
            yield (
                f"{'met' if well else 'MISSED'}: {self.figure.replace('_', ' ')} {ratio:.2f} × "
                f"{self.of} (aim {sign} {self.wanted}), {database}, {connections} connections"
            )


AIMS = (
    Aim("events_per_s", BARE, 0.8, ("postgresql",)),
    Aim("events_per_s", NODE_RED, 1.0, ("postgresql",)),
    Aim("events_per_s", N8N, 20.0, ("postgresql",)),
    Aim("p99_ms", BARE, 2.0, ("postgresql", "sqlite"), at_most=True),
    Aim("events_per_s", BARE, 2.5, (SLOW,)),
)


def run(databases: Sequence[str], *, seconds: float = 5.0, rounds: int = 3) -> list[dict[str, Any]]:
    """Events per second and their latency, by database, connections and application."""
    chosen = [*databases, *([SLOW] if "sqlite" in databases else [])]
    return [row for database in chosen for row in _database(database, seconds, rounds)]


def show(rows: Sequence[figures.Row]) -> None:
    """Print them, and what they come to beside what they should."""
    figures.show("Webhooks: accepted events", rows, NOTES)
    found = {(r["database"], r["connections"], r["application"]): dict(r) for r in rows}
    for aim in AIMS:
        for sentence in aim.said(found):
            figures.out.print(sentence)


def _database(database: str, seconds: float, rounds: int) -> Iterator[dict[str, Any]]:
    demo = {"adapter": "demo", "webhook_secrets": [SECRET]}
    with rig.site(database.partition(",")[0], {"crm": demo}) as site:
        found: dict[tuple[int, str], list[dict[str, Any]]] = {}
        figures.say(f"webhooks, {database}")
        with site.hub() as hub:
            bare.TABLE.create(hub.database.engine)
        names = [*APPLICATIONS[database], *(_peers() if database == "postgresql" else ())]
        for turn in range(rounds):  # taking turns, so that a busy moment of the machine hits all
            for name in names:
                for connections, told in _application(site, database, name, seconds, turn):
                    found.setdefault((connections, name), []).append(told)
        for connections in CONNECTIONS:
            for name in names:
                runs = found[connections, name]
                yield _row(database, connections, name, figures.middle(runs))


def _peers() -> Iterator[str]:
    for name, folder in PEERS.items():
        if npm.installed(folder):
            yield name
        else:
            figures.say(f"{name} is not installed and left out: make bench-peers")


def _application(
    site: Site, database: str, name: str, seconds: float, turn: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    with _served(site, database, name) as server:
        for connections in CONNECTIONS:
            before = _kept(site)
            job = {"sort": "webhooks", "port": server.port, "path": "/hooks/crm", "secret": SECRET}
            job |= {"connections": connections, "seconds": seconds}
            job["first"] = turn * 10_000_000 + connections * 100_000_000
            told = load(job, "202")
            figures.say(f"{name}, {connections} connections: {told['per_s']:,.0f} events/s")
            kept = _kept(site) - before
            if name == OURS and kept < told["answers"]:
                raise RuntimeError(f"{told['answers']} were acknowledged, {kept} are stored")
            told["peak_mib"] = largest_of(server.pid) or peak_of(server.pid) or 0.0
            yield connections, told


def _served(site: Site, database: str, name: str) -> AbstractContextManager[Served]:
    if name not in PEERS:
        target = APPLICATIONS[database][name]
        return rig.server(site, "hooks", target, workers=WORKERS.get(database, 1))
    folder = npm.installed(PEERS[name])
    assert folder is not None  # noqa: S101 - only what is installed is asked for
    given = {"PEER_DATABASE": site.settings.database, "PEER_SECRET": SECRET}
    return npm.SERVERS[PEERS[name]](folder, given)


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


def _row(database: str, connections: int, name: str, told: dict[str, Any]) -> dict[str, Any]:
    return {
        "database": database,
        "connections": connections,
        "application": name,
        "events_per_s": told["per_s"],
        "p50_ms": told["p50_ms"],
        "p99_ms": told["p99_ms"],
        "peak_mib": told["peak_mib"],
        "generator": told["generator_busy"],
    }
