"""Numbers as people and machines read them: medians, percentiles, tables, JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

OUT = Path(__file__).resolve().parent / "out"

out, progress = Console(highlight=False), Console(stderr=True, highlight=False)

Row = Mapping[str, Any]


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """The value below which that share of the sorted values lies; 0.0 without any."""
    if not sorted_values:
        return 0.0
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]


def middle(runs: Iterable[Row]) -> dict[str, Any]:
    """The median of every number over several runs; other values as in the first one."""
    rows = list(runs)
    return {
        key: statistics.median(row[key] for row in rows) if _is_number(first) else first
        for key, first in rows[0].items()
    }


def ratio(a: float, b: float) -> float:
    """How many times ``b`` goes into ``a``; 0.0 where there is nothing to compare with."""
    return a / b if b else 0.0


def say(text: str) -> None:
    """One line of how far it has come, beside the results."""
    progress.print(text, style="dim")


def show(title: str, rows: Sequence[Row], notes: Iterable[str] = ()) -> None:
    """Print a table, one column per key of the first row."""
    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for name in rows[0]:
        numeric = _is_number(rows[0][name])
        table.add_column(name.replace("_", " "), justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(_cell(row.get(name)) for name in rows[0]))
    out.print(table)
    for note in notes:
        out.print(f"  {note}", style="dim")
    out.print()


def write(name: str, rows: Sequence[Row], path: Path | None = None) -> Path:
    """Keep the rows as JSON, with when and where they were measured."""
    path = path or OUT / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {
        "benchmark": name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpus": os.cpu_count(),
            "load": round(os.getloadavg()[0], 2),
            "python": platform.python_version(),
            "system": platform.platform(),
        },
        "rows": rows,
    }
    path.write_text(json.dumps(found, indent=2) + "\n")
    return path


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
    return f"{value:,}" if _is_number(value) else str(value)
