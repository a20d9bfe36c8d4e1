"""A CRM of any size pulled into customers, beside dlt and beside a script that only copies."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sqlalchemy import text

from bench import contacts, figures, rig
from bench.backends import Backends
from bench.peers import start
from bench.rig import Site

FIRST, SAME, CHANGED, SINCE = (
    "first load",
    "again, unchanged",
    "again, 1 % changed",
    "changed since, 1 %",
)
RUNS = (FIRST, SAME, CHANGED, SINCE)
CONDUIT, RECORDS = "conduit", "conduit, records"
NOTES = (
    "conduit: raw rows, mapping, validation, identity and a profile for everybody, kept for good",
    "conduit, records: the same path, ended after raw rows, records and identifiers",
    "dlt: rest_api source, merged by primary key, nested values kept as JSON",
    "script: requests, pydantic and COPY, no cursor, everything anew each time: the limit",
    "again: the whole CRM is read; changed since: only what the cursor leaves",
    "beyond s: seconds more than the source alone took to hand the same rows over",
    "cpu us: microseconds of that process per row of the CRM; db us: of PostgreSQL's processes",
    "of dlt, of script: rows per second against theirs, of the same run, size and machine",
    "growth, memory growth: time per row and peak against the smallest size of the same run",
)


def run(databases: Sequence[str], sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Rows by database, size, what was loaded by whom, and run."""
    rows = [row for database in databases for size in sizes for row in _size(database, size)]
    smallest = {_series(row): row for row in reversed(rows)}
    told = {(row["database"], row["rows"], row["run"], row["by"]): row for row in rows}
    for row in rows:
        first, speed = smallest[_series(row)], row["rows_per_s"]
        for peer in (start.PEER, start.SCRIPT):
            rival = told.get((row["database"], row["rows"], row["run"], peer))
            row[f"of_{peer}"] = speed / rival["rows_per_s"] if rival else None
        row["growth"] = figures.ratio(first["rows_per_s"], speed)
        row["memory_growth"] = figures.ratio(row["peak_mib"], first["peak_mib"])
    return rows


def show(rows: Sequence[figures.Row]) -> None:
    """Print them."""
    figures.show("Pull: a CRM becomes customers", rows, NOTES)


@contextmanager
def crm(database: str, size: int) -> Iterator[tuple[Site, int]]:
    """An installation connected to a CRM of that many contacts, and the CRM's port."""
    with rig.source(size) as port, _site(database, port) as site:
        yield site, port


def pull(site: Site, *flags: str) -> dict[str, Any]:
    """Pull contacts in a new process; what it told."""
    told: dict[str, Any] = json.loads(site.run("-m", "bench.pulling", "crm", "contacts", *flags))
    return told


def _site(database: str, port: int) -> AbstractContextManager[Site]:
    address = f"http://127.0.0.1:{port}"
    given = {"adapter": "bench_crm", "base_url": address, "allow_networks": ["127.0.0.0/8"]}
    return rig.site(database, {"crm": given})


def _series(row: figures.Row) -> tuple[str, ...]:
    return row["database"], row["by"], row["run"]


def _size(database: str, size: int) -> Iterator[dict[str, Any]]:
    """One after the other, so that all meet the machine in about the same mood."""
    if database == "postgresql":
        yield from _peers(size)
        with crm(database, size) as (site, _):
            told = _pulled(site, "--full", "--records")
            yield _row(database, RECORDS, FIRST, size, told)
    with crm(database, size) as (site, port):
        for name in RUNS:
            if name in (CHANGED, SINCE):
                _change(port)
            told = _pulled(site, *(() if name == SINCE else ("--full",)))
            yield _row(database, CONDUIT, name, size, told)
        _check(site, size)


def _pulled(site: Site, *flags: str) -> dict[str, Any]:
    with Backends(site.settings.database) as backends:
        told = pull(site, *flags)
    return {**told, "db_s": backends.cpu_s}


def _peers(size: int) -> Iterator[dict[str, Any]]:
    for name in (start.SCRIPT, start.PEER):
        if not (python := start.python_of(name)):
            continue
        with rig.source(size) as port, start.place() as (url, folder):
            for run_ in (FIRST, CHANGED):
                if run_ == CHANGED:
                    _change(port)
                with Backends(url) as backends:
                    told = start.load(name, python, f"http://127.0.0.1:{port}", url, folder)
                told |= {"rows": size, "db_s": backends.cpu_s}
                yield _row("postgresql", name, run_, size, told)


def _change(port: int) -> None:
    urllib.request.urlopen(f"http://127.0.0.1:{port}/change", data=b"").close()


def _row(database: str, by: str, run_: str, size: int, told: dict[str, Any]) -> dict[str, Any]:
    figures.say(f"pull, {database}, {size:,} rows, {by}, {run_}: {told['took_s']:.1f} s")
    handed, source_s = told["rows"], told.get("source_s")
    return {
        "database": database,
        "run": run_,
        "by": by,
        "rows": size,
        "rows_per_s": handed / told["took_s"],
        "beyond_s": None if source_s is None else told["took_s"] - source_s,
        "cpu_us": told["cpu_s"] / handed * 1e6,
        "db_us": None if told["db_s"] is None else told["db_s"] / handed * 1e6,
        "peak_mib": told["peak_mib"],
    }


def _check(site: Site, size: int) -> None:
    """A fast pull that lost or invented customers is no result."""
    changed = len(range(contacts.CHANGED, size, contacts.CHANGED_EVERY))
    wanted = {
        "raw": size,
        "profile": contacts.customers(size),
        "history": changed * 2,
        "quarantine": 0,
    }
    with site.hub() as hub, hub.database.read() as conn:
        for table, count in wanted.items():
            found = conn.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()  # noqa: S608 - our own
            if found != count:
                raise RuntimeError(f"{found} rows in {table}, {count} expected")
