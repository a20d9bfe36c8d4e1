"""Customers found in labelled and in made-up records, beside the tools users would pick."""

from __future__ import annotations

import csv
import gzip
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from bench import figures, rig
from bench.measures import Labels, quality
from bench.peers import start
from bench.people import people
from hub.identity import train, weights
from hub.identity.matching import MemoryIndex, settle
from hub.identity.traits import read_traits

DATA = rig.ROOT / "tests" / "data" / "identity"
PEERS = ("splink", "recordlinkage", "dedupe")
CONDUIT, STREAM = "conduit", "conduit, one by one"
MADE_UP = {"made up": (3000, 7), "made up, other": (3000, 8)}
"""Set → customers and seed."""

PEER_S = 900
NOTES = (
    "conduit: hub identity resolve, which learns its weights from the same records, without labels",
    "dedupe is shown the truth of 120 pairs, the others none; all see the same columns",
    "pairwise precision, recall and F1 of final customers; B-cubed F1 per record",
)
SCALE_NOTES = (
    "batch: JSON lines in, CSV out; growth: time per record against the smallest size",
    "changed p50, p99 ms: one more record matched against all others, in memory",
    "stored p50, p99 ms: one changed record among all others in PostgreSQL, commit included",
    "stored cpu ms: of a processor, in our process; db: in PostgreSQL's, on average",
)


def run(sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Rows of quality by set and tool, then rows of cost by size."""
    with tempfile.TemporaryDirectory(prefix="conduit-identity-") as folder:
        python = start.matching_python()
        rows = [
            row for name in _sets(Path(folder), python) for row in _set(Path(folder), name, python)
        ]
        return rows + list(_scale(Path(folder), sizes))


def show(rows: Sequence[figures.Row]) -> None:
    """Print them."""
    figures.show("Identity: quality", [r for r in rows if "f1" in r], NOTES)
    figures.show("Identity: cost", [r for r in rows if "f1" not in r], SCALE_NOTES)


# ---- quality


def _sets(folder: Path, python: Path | None) -> Iterator[str]:
    if python:
        words = [python, "-m", "bench.peers.matching", "febrl", folder]
        subprocess.run(list(map(str, words)), cwd=rig.ROOT, check=True)
        yield from (f"febrl{number}" for number in (1, 2, 3, 4))
    for path in sorted(DATA.glob("*.jsonl.gz")):
        name = path.name.removesuffix(".jsonl.gz")
        for ending in ("jsonl", "truth.csv"):
            with (
                gzip.open(DATA / f"{name}.{ending}.gz") as packed,
                (folder / f"{name}.{ending}").open("wb") as file,
            ):
                shutil.copyfileobj(packed, file)
        yield name
    for name, (customers, seed) in MADE_UP.items():
        _make(folder, name, customers, seed)
        yield name


def _make(folder: Path, name: str, customers: int, seed: int, limit: int = sys.maxsize) -> None:
    with (
        (folder / f"{name}.jsonl").open("wb") as records,
        (folder / f"{name}.truth.csv").open("w") as truth,
    ):
        print("source,source_id,entity_id", file=truth)
        for _, made in zip(range(limit), people(customers, seed), strict=False):
            records.write(orjson.dumps(made.record) + b"\n")
            print(made.record["source"], made.record["source_id"], made.entity, sep=",", file=truth)


def _set(folder: Path, name: str, python: Path | None) -> Iterator[dict[str, Any]]:
    source, truth = folder / f"{name}.jsonl", folder / f"{name}.truth.csv"
    known = _labels(truth, "entity_id")
    for by in (CONDUIT, STREAM):
        words = [*_HUB, source, "--out", folder / "out.csv"]
        yield _row(
            name, by, folder / "out.csv", known, [*words, "--stream"] if by == STREAM else words
        )
    for peer in PEERS if python else ():
        words = [python, "-m", "bench.peers.matching", peer, source, folder / "out.csv", truth]
        yield _row(name, peer, folder / "out.csv", known, words)


_HUB = [sys.executable, "-m", "hub", "identity", "resolve"]


def _row(name: str, by: str, target: Path, known: Labels, words: list[Any]) -> dict[str, Any]:
    target.unlink(missing_ok=True)
    try:
        took_s, peak_mib = _timed(words)
        found = quality(_labels(target, "customer_id"), known)
        figures.say(f"identity, {name}, {by}: F1 {found.f1:.4f} in {took_s:.1f} s")
        measured = found._asdict()
    except (subprocess.SubprocessError, OSError) as exc:
        figures.say(f"identity, {name}, {by}: nothing came of it: {exc}")
        took_s = peak_mib = 0.0
        measured = dict.fromkeys(("precision", "recall", "f1", "b3_f1", "largest"), 0.0)
    told = {
        key: f"{value:.4f}" if isinstance(value, float) else value
        for key, value in measured.items()
    }
    return {
        "set": name,
        "by": by,
        "records": len(known),
        **told,
        "took_s": took_s,
        "peak_mib": peak_mib,
    }


def _timed(words: list[Any]) -> tuple[float, float]:
    """Seconds and MiB of a process and its children."""
    code = (
        "import resource,subprocess,sys;"
        "done=subprocess.run(sys.argv[1:],stdout=subprocess.DEVNULL,stderr=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss);sys.exit(done.returncode)"
    )
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)],
        cwd=rig.ROOT, check=True, capture_output=True, timeout=PEER_S,
    )  # fmt: skip
    return time.perf_counter() - begun, int(done.stdout) / 1024


def _labels(path: Path, column: str) -> dict[tuple[str, str], str]:
    with path.open(encoding="utf-8", newline="") as file:
        return {(row["source"], row["source_id"]): row[column] for row in csv.DictReader(file)}


# ---- cost


def _scale(folder: Path, sizes: Sequence[int]) -> Iterator[dict[str, Any]]:
    first_us = 0.0
    for size in sizes:
        _make(folder, "scale", size, 21, limit=size)
        source = folder / "scale.jsonl"
        took_s, peak_mib = _timed([*_HUB, source, "--out", folder / "out.csv"])
        us = took_s / size * 1e6
        first_us = first_us or us
        p50, p99 = _changes(source)
        figures.say(f"identity, {size:,} records: {took_s:.1f} s, {peak_mib:,.0f} MiB")
        yield {
            "records": size,
            "took_s": took_s,
            "us_per_record": us,
            "growth": us / first_us,
            "peak_mib": peak_mib,
            "changed_p50_ms": p50,
            "changed_p99_ms": p99,
            **_stored(folder, source),
        }


def _stored(folder: Path, source: Path) -> dict[str, float | None]:
    """Milliseconds one changed record takes among all others in the store."""
    names = ("p50", "p99", "cpu_p50", "cpu_p99", "db")
    if not rig.answers():
        return {f"stored_{name}_ms": None for name in names}
    with rig.database("postgresql", folder) as url:
        words = [sys.executable, "-m", "bench.stored", url, str(source)]
        done = subprocess.run(words, cwd=rig.ROOT, check=True, capture_output=True)
    told = orjson.loads(done.stdout)
    return {f"stored_{name}_ms": told[name] for name in names}


def _changes(source: Path, number: int = 1000) -> tuple[float, float]:
    """Milliseconds one changed record takes among all others."""
    with source.open("rb") as file:
        records = [read_traits(orjson.loads(line)) for line in file]
    learned = train.counted(records, weights.shipped())
    index = MemoryIndex()
    for t in records:
        index.put(t)
    took = []
    for t in records[:: max(1, len(records) // number)]:
        begun = time.perf_counter()
        settle(index, [index.put(t)], learned)
        took.append((time.perf_counter() - begun) * 1000)
    took.sort()
    return figures.percentile(took, 0.5), figures.percentile(took, 0.99)
