"""A CRM of any size pulled into customers: records per second and peak memory, as rows grow."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import text

from bench import contacts, figures, rig
from bench.rig import Site

MEMORY_LIMIT_MIB = 300
RUNS = ("first load", "again, unchanged", "again, 1 % changed")
NOTES = (
    "the whole CRM is read each time; identity is decided and every profile built in the same run",
    f"peak: of the pulling process, fresh for every run; it should stay below {MEMORY_LIMIT_MIB}",
    "cpu: microseconds of it per record in that process, less noisy than the clock",
    "growth: time per record against the smallest size of the same run",
)


def run(databases: Sequence[str], sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Rows by database, run and size."""
    rows = [row for database in databases for size in sizes for row in _size(database, size)]
    smallest = {(r["database"], r["run"]): r["records_per_s"] for r in reversed(rows)}
    for row in rows:
        first = smallest[row["database"], row["run"]]
        row["growth"] = figures.ratio(first, row["records_per_s"])
    return rows


def show(rows: Sequence[figures.Row]) -> None:
    """Print them."""
    figures.show("Pull: a CRM becomes customers", rows, NOTES)


@contextmanager
def crm(database: str, size: int) -> Iterator[tuple[Site, int]]:
    """An installation connected to a CRM of that many contacts, and the CRM's port."""
    with rig.source(size) as port:
        address = f"http://127.0.0.1:{port}"
        given = {"adapter": "bench_crm", "base_url": address, "allow_networks": ["127.0.0.0/8"]}
        with rig.site(database, {"crm": given}) as site:
            yield site, port


def pull(site: Site) -> dict[str, Any]:
    """Pull all contacts in a new process; what it told."""
    told: dict[str, Any] = json.loads(site.run("-m", "bench.pulling", "crm", "contacts", "--full"))
    return told


def _size(database: str, size: int) -> Iterator[dict[str, Any]]:
    with crm(database, size) as (site, port):
        for name in RUNS:
            if name == RUNS[2]:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/change", data=b"").close()
            told = pull(site)
            figures.say(f"pull, {database}, {size:,} rows, {name}: {told['took_s']:.1f} s")
            yield _row(database, size, name, told)
        _check(site, size)


def _row(database: str, size: int, name: str, told: dict[str, Any]) -> dict[str, Any]:
    return {
        "database": database,
        "run": name,
        "rows": size,
        "records_per_s": size / told["took_s"],
        "cpu_us": told["cpu_s"] / size * 1e6,
        "peak_mib": told["peak_mib"],
        "growth": 0.0,
    }


def _check(site: Site, size: int) -> None:
    """A fast pull that lost or invented customers is no result."""
    wanted = {
        "raw": size,
        "profile": contacts.customers(size),
        "history": len(range(contacts.CHANGED, size, contacts.CHANGED_EVERY)),
        "quarantine": 0,
    }
    with site.hub() as hub, hub.database.read() as conn:
        for table, count in wanted.items():
            found = conn.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()  # noqa: S608 - our own
            if found != count:
                raise RuntimeError(f"{found} rows in {table}, {count} expected")
