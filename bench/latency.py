"""How long a customer's profile lags behind the webhook that changes it, at a steady pace."""

from __future__ import annotations

import os
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import kombu
from sqlalchemy import func, select

from bench import figures, rig
from bench.load import CONTACTS
from bench.rig import Site
from bench.webhooks import SECRET, load
from hub.store import schema

BROKER = os.environ.get("HUB_BENCH_BROKER", "amqp://guest:guest@127.0.0.1:5672//")
PER_S = 200
AIM_MS = 1000.0
LOOK_S = 0.02
BEHIND_S = 5.0
"""How far back is looked for commits that were overtaken by others."""

PATIENCE_S = 120.0
PRODUCTION = ("hooks", "worker", "beat")
NOTES = (
    f"{PER_S} webhooks a second, each changes another customer; from the instant the receiver has "
    "the request to the first look (every 20 ms) that sees the changed profile",
    "embedded: `hub up` on SQLite. production: the Procfile's processes on PostgreSQL and RabbitMQ",
)


def run(databases: Sequence[str], *, seconds: float = 15.0) -> list[dict[str, Any]]:
    """One row per way to run the hub."""
    rows = []
    if "sqlite" in databases:
        with rig.site("sqlite", _shop()) as site, _embedded(site):
            rows.append(_measured(site, "embedded, SQLite", seconds))
    if "postgresql" in databases and _answers():
        name = f"hub-bench-{uuid.uuid4().hex[:12]}"
        with ExitStack() as stack:
            given = {"broker_url": BROKER, "queue_name": name}
            site = stack.enter_context(rig.site("postgresql", _shop(), **given))
            stack.callback(_forget, name)
            stack.enter_context(_production(site))
            rows.append(_measured(site, "production, PostgreSQL and RabbitMQ", seconds))
    return rows


def show(rows: Sequence[figures.Row]) -> None:
    """Print them beside the aim."""
    figures.show("From accepted webhook to changed profile", rows, NOTES)
    for row in rows:
        well = "met" if row["p95_ms"] <= AIM_MS else "MISSED"
        said = f"p95 {row['p95_ms']:,.0f} ms (aim ≤ {AIM_MS:,.0f})"
        figures.out.print(f"{well}: {said}, {row['hub']}")


def _shop() -> dict[str, dict[str, Any]]:
    return {"crm": {"adapter": "demo", "webhook_secrets": [SECRET], "fresh_s": 0}}


def _measured(site: Site, hub: str, seconds: float) -> dict[str, Any]:
    figures.say(f"latency, {hub}")
    port = site.settings.hooks_port
    job = {"sort": "webhooks", "port": port, "path": "/hooks/crm", "secret": SECRET}
    _send(job | {"per_s": 1000.0, "seconds": 1.5 * CONTACTS / 1000})
    with site.hub() as opened:
        _wait_until_drained(opened.database)
        after = _newest(opened.database)
    watch = Watch(site)
    try:
        sent = _send(job | {"per_s": float(PER_S), "seconds": seconds, "first": 10_000_000})
        with site.hub() as opened:
            _wait_until_drained(opened.database)
    finally:
        watch.end()
    lags = sorted(_lags(site, after, watch.seen))
    return {
        "hub": hub,
        "events_per_s": sent["per_s"],
        "events": len(lags),
        "p50_ms": figures.percentile(lags, 0.5),
        "p95_ms": figures.percentile(lags, 0.95),
        "p99_ms": figures.percentile(lags, 0.99),
        "worst_ms": lags[-1],
    }


def _send(job: dict[str, Any]) -> dict[str, Any]:
    return load({"connections": 16, **job}, "202")


class Watch:
    """Looks all the time for profiles that changed.

    Attributes:
        seen: by customer, the instants (epoch seconds) at which a new one was first seen.
    """

    def __init__(self, site: Site) -> None:
        self.seen: dict[str, list[tuple[float, float]]] = {}
        self._site, self._over = site, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        """Look a last time."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        built = schema.profile.c.built_at
        since = time.time()
        known: set[tuple[str, float]] = set()
        with self._site.hub() as hub:
            while True:
                last = self._over.wait(LOOK_S)
                with hub.database.read() as conn:
                    from_ = schema.from_us(int((since - BEHIND_S) * 1e6))
                    query = select(schema.profile.c.customer_id, built).where(built > from_)
                    found = {(row[0], row[1].timestamp()) for row in conn.execute(query)}
                now = time.time()
                for customer, at in found - known:
                    self.seen.setdefault(customer, []).append((at, now))
                known |= found
                since = max((at for _, at in found), default=since)
                if last:
                    return


def _lags(site: Site, after: int, seen: dict[str, list[tuple[float, float]]]) -> Iterator[float]:
    """Milliseconds from each event to the profile that was built from it."""
    with site.hub() as hub, hub.database.read() as conn:
        told = conn.execute(
            select(schema.inbox.c.order_key, schema.inbox.c.received_at).where(
                schema.inbox.c.id > after
            )
        ).all()
        linked = select(schema.link.c.ref, schema.link.c.customer_id)
        customers = {row.ref: row.customer_id for row in conn.execute(linked)}
    for key, received_at in told:
        at = received_at.timestamp()
        yield 1000 * min(now - at for built, now in seen[customers[f"crm/{key}"]] if built >= at)


def _newest(database: Any) -> int:
    with database.read() as conn:
        return int(conn.execute(select(func.max(schema.inbox.c.id))).scalar_one())


def _wait_until_drained(database: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with database.read() as conn:
            if not conn.execute(select(schema.inbox.c.id).where(schema.inbox_pending)).first():
                return
        time.sleep(0.1)
    raise RuntimeError(f"events are still waiting after {PATIENCE_S:g} s")


@contextmanager
def _embedded(site: Site) -> Iterator[None]:
    command = [sys.executable, "-c", "from hub.cli import main; main()", "up"]
    with rig.child(command, site.environment, site.folder, quiet=True) as process:
        rig.wait_for(process, site.settings.hooks_port)
        yield


@contextmanager
def _production(site: Site) -> Iterator[None]:
    lines = rig.procfile(PORT=str(site.settings.hooks_port))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with ExitStack() as stack:
        for name in PRODUCTION:
            given = {**site.environment, "PATH": path}
            process = stack.enter_context(rig.child(lines[name], given, site.folder, quiet=True))
            if name == "hooks":
                rig.wait_for(process, site.settings.hooks_port)
        yield


def _answers() -> bool:
    try:
        with kombu.Connection(BROKER, connect_timeout=3) as broker:
            broker.connect()
    except OSError:
        figures.say("RabbitMQ does not answer (HUB_BENCH_BROKER): production is left out")
        return False
    return True


def _forget(queue: str) -> None:
    with suppress(OSError), kombu.Connection(BROKER) as broker:
        broker.default_channel.queue_delete(queue)
