"""Customers read through the API, by id and by phone, among more and more of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from sqlalchemy import text

from bench import figures, rig
from bench.pull import crm, pull
from bench.rig import Site
from bench.webhooks import load
from hub.store import accounts

ASKED = 2000
CONNECTIONS = (1, 16)
AIMS_MS = {"id": 10.0, "phone": 10.0, "card": 150.0}
"""p99 of one reader at a time, however many customers there are."""

NOTES = (
    "id, phone: GET /api/v1/customers/{id} and ?phone=, with a bearer token; card: the whole page",
    "one process of the web; 16 connections ask as fast as it answers, and wait for each other",
    "growth: p50 against the smallest size of the same run",
)


def run(
    databases: Sequence[str], sizes: Sequence[int], *, seconds: float = 5.0, rounds: int = 3
) -> list[dict[str, Any]]:
    """Rows by database, size, question and connections."""
    rows = [r for base in databases for size in sizes for r in _size(base, size, seconds, rounds)]
    key = ("database", "by", "connections")
    smallest = {tuple(r[k] for k in key): r["p50_ms"] for r in reversed(rows)}
    for row in rows:
        row["growth"] = figures.ratio(row["p50_ms"], smallest[tuple(row[k] for k in key)])
    return rows


def show(rows: Sequence[figures.Row]) -> None:
    """Print them."""
    figures.show("Profile: one customer through the API", rows, NOTES)
    for row in rows:
        if row["connections"] == 1:
            figures.out.print(said(row))


def said(row: figures.Row) -> str:
    """What a row comes to beside what it should."""
    aim = AIMS_MS[row["by"]]
    return (
        f"{'met' if row['p99_ms'] <= aim else 'MISSED'}: p99 by {row['by']} {row['p99_ms']:.1f} ms "
        f"(aim ≤ {aim:.0f}), {row['database']}, {row['customers']:,} customers"
    )


def _size(database: str, size: int, seconds: float, rounds: int) -> Iterator[dict[str, Any]]:
    with crm(database, size) as (site, _):
        pull(site, "--full")
        figures.say(f"profile, {database}, {size:,} rows loaded")
        with site.hub() as hub, hub.database.write() as conn:
            token = accounts.create_token(conn, "bench", "agent")
        paths = {"id": _by_id(site), "phone": _by_phone(site), "card": _cards(site)}
        with rig.server(site, "web") as web:
            for by, asked in paths.items():
                for connections in CONNECTIONS:
                    job = {"sort": "reads", "port": web.port, "token": token, "paths": asked}
                    job |= {"connections": connections, "seconds": seconds}
                    told = figures.middle([load(job, "200") for _ in range(rounds)])
                    yield _row(database, size, by, connections, told)


def _row(
    database: str, size: int, by: str, connections: int, told: dict[str, Any]
) -> dict[str, Any]:
    return {
        "database": database,
        "by": by,
        "connections": connections,
        "customers": size,
        "reads_per_s": told["per_s"],
        "p50_ms": told["p50_ms"],
        "p99_ms": told["p99_ms"],
        "growth": 0.0,
    }


def _by_id(site: Site) -> list[str]:
    return [f"/api/v1/customers/{id_}" for id_ in _some(site, "SELECT customer_id FROM profile")]


def _cards(site: Site) -> list[str]:
    return [f"/card?customer={id_}" for id_ in _some(site, "SELECT customer_id FROM profile")]


def _by_phone(site: Site) -> list[str]:
    phones = _some(site, "SELECT value FROM identifier WHERE type = 'phone'")
    return [f"/api/v1/customers?phone={quote(phone, safe='')}" for phone in phones]


def _some(site: Site, query: str) -> list[str]:
    """So many of the values, spread over all of them."""
    with site.hub() as hub, hub.database.read() as conn:
        values = sorted(conn.execute(text(query)).scalars())
    return random.Random(360).sample(values, min(ASKED, len(values)))
