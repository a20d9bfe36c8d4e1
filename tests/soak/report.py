"""``docs/reliability.md``, written by the soak: each run that holds replaces its own figures.

The figures themselves are kept beside it, in ``docs/reliability.json``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from hub.registry import ROOT

PAGE = ROOT / "docs" / "reliability.md"
FIGURES = PAGE.with_suffix(".json")
DATABASES = {"sqlite": "SQLite, `hub up`", "postgresql": "PostgreSQL and RabbitMQ"}
Row = tuple[str, Callable[[Mapping[str, Any]], Any]]
Runs = Mapping[str, Mapping[str, Any]]

HEAD = """\
# Reliability

`make soak` wrote this page; nothing in it is typed by hand. A run that does not hold fails, and
leaves the page as it was.

**摘要。** {summary_zh}

{summary_en}
"""

SUMMARY_ZH = """\
本页全部数字由长时间运行自动生成：共 {minutes:,} 分钟，用 SIGKILL 杀进程 {kills:,} 次，
注入故障 {faults:,} 次；三个系统里人工编辑 {edits:,} 次，双向写入 {writes:,} 次，
确认收到的 webhook {events:,} 个。结束后逐行比对 {rows:,} 行：
丢失 {lost}，重复写入 {doubled}，回环 {loops}；每个数据流的完整性证书都有效。"""

SUMMARY_EN = """\
In {minutes:,} minutes of unrest the processes were killed {kills:,} times and {faults:,} faults
struck, while people made {edits:,} edits, the hub {writes:,} writes, and {events:,} webhooks were
acknowledged. Of {rows:,} rows compared afterwards {lost} were lost; {doubled} writes were made
twice, {loops} loops arose, and every stream has a complete certificate."""

CITY = """
## Two-way sync with kills

Three vendors on real sockets (`demo/city`: a CRM, an ERP and a help desk) hold the same customers,
and two of them the same tickets. Everything may be edited everywhere. For the time named below
people edit in all three, every fault of `demo/city/faults.py` that does not ask for another mapping
is switched on and off at random, and the hub's processes are killed with SIGKILL at random moments.
Then nothing goes wrong any more. An administrator says `hub check` (what waits for its next try is
due at once); when nothing is left to be done, `hub reconcile` compares every stream with its
source. The run fails unless then

- every row of every vendor's own ledger is in the hub as it is there, and no other row is;
- every field kept alike says the same in all systems, and nobody's value is taken for one that
  somebody else owns;
- no vendor got a record of ours twice, by its own ledger, although answers were lost after the
  write and processes were killed within it;
- every webhook that was acknowledged is in the inbox once and was applied;
- nothing is in quarantine, no alert is open, and no loop was ever seen;
- no write is left over, and a second `hub reconcile` finds nothing to mend.

{table}
"""

STORM = """
## A storm of webhooks with kills

A shop sends 20 events a second and repeats each until it is acknowledged; one in ten is sent twice,
one in seven out of order. A rule copies each order to a second system. The processes are killed
meanwhile. The run fails unless every acknowledged event was applied once and in order per record,
the second system was told each version of each order once and in order, each profile is what its
records make, and who is who is what a hub finds that was told nothing but the newest versions.

{table}
"""

FLOOD = """
## A flood of webhooks with kills

A shop sends as many events as the receiver takes, on sixteen lines at once; all versions of a
record take the same line, and one event in twenty is sent again. The receiver is killed with
SIGKILL twenty seconds after it was up, again and again, and what was not acknowledged is sent
again. The run fails unless every event is in the inbox once and done, and every version of every
record was applied once and in order.

{table}
"""

FOOT = """
To repeat a run: `HUB_TEST_SEED={seed} make soak`. The seed repeats what people do and what goes
wrong; at which line a process is killed is up to the machine. `HUB_SOAK_MINUTES=2`
and `HUB_SOAK_EVENTS=20000` make it small. Shorter ones are in `make test`:
`tests/story/test_convergence.py`, on a clock of its own, and `tests/story/test_flood.py`; in
`make systems`: `tests/systems/test_crash_kill.py`. The same figures as JSON:
[reliability.json](reliability.json).
"""


def note(part: str, database: str, figures: Mapping[str, Any]) -> None:
    """Keep the figures of a run that held, and write the page anew."""
    known = json.loads(FIGURES.read_text("utf-8")) if FIGURES.exists() else {}
    at = datetime.now(UTC).isoformat(timespec="minutes")
    known.setdefault(part, {})[database] = {"at": at, "cpus": os.cpu_count(), **figures}
    FIGURES.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", "utf-8")
    PAGE.write_text(page(known), "utf-8")


def page(known: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """The page for these figures: part → database → what a run told."""
    city, storm, flood = (known.get(part, {}) for part in ("city", "storm", "flood"))
    runs = [*city.values(), *storm.values(), *flood.values()]
    parts = [HEAD.format(**_summary(city, storm, flood))]
    parts += [CITY.format(table=_table(city, CITY_ROWS))] if city else []
    parts += [STORM.format(table=_table(storm, STORM_ROWS))] if storm else []
    parts += [FLOOD.format(table=_table(flood, FLOOD_ROWS))] if flood else []
    return "".join([*parts, FOOT.format(seed=runs[0]["seed"])])


def _summary(city: Runs, storm: Runs, flood: Runs) -> dict[str, str]:
    runs = [*city.values(), *storm.values(), *flood.values()]
    hooks = sum(run["webhooks"]["acknowledged"] for run in city.values())
    told = {
        "minutes": round(_total(runs, "seconds") / 60),
        "kills": sum(sum(run["kills"].values()) for run in runs),
        "faults": sum(sum(run["faults"].values()) for run in city.values()),
        "edits": _total(city.values(), "edits"),
        "writes": sum(sum(run["writes"].values()) for run in city.values()),
        "events": hooks + _total(storm.values(), "acknowledged") + _total(flood.values(), "events"),
        "rows": _total(city.values(), "rows"),
        "lost": _total(city.values(), "lost"),
        "doubled": _total(city.values(), "doubled"),
        "loops": _total(city.values(), "loops"),
    }
    return {"summary_zh": SUMMARY_ZH.format(**told), "summary_en": SUMMARY_EN.format(**told)}


def _total(runs: Iterable[Mapping[str, Any]], name: str) -> Any:
    return sum(run[name] for run in runs)


def _table(runs: Mapping[str, Mapping[str, Any]], rows: tuple[Row, ...]) -> str:
    chosen = [name for name in DATABASES if name in runs]
    lines = [["", *(DATABASES[name] for name in chosen)], ["---"] * (len(chosen) + 1)]
    lines += [[name, *(_said(told(runs[one])) for one in chosen)] for name, told in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {n:,}" for name, n in value.items()) or "none"
    if isinstance(value, list):
        return "; ".join(f"{n:,}" for n in value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _when(run: Mapping[str, Any]) -> str:
    return f"{run['at'][:16].replace('T', ' ')} UTC, {run['seed']}"


def _length(run: Mapping[str, Any]) -> str:
    return f"{run['seconds'] / 60:g} min on {run['cpus']} CPUs"


def _of(what: str, *names: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda run: [run[what][name] for name in names]


def _of_run(*names: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda run: [run[name] for name in names]


CITY_ROWS: tuple[Row, ...] = (
    ("date, seed", _when),
    ("unrest", _length),
    ("edits by people", lambda run: run["edits"]),
    ("killed with SIGKILL", lambda run: run["kills"]),
    ("faults that struck", lambda run: run["faults"]),
    ("webhooks acknowledged", lambda run: run["webhooks"]["acknowledged"]),
    ("… posts; not taken and posted again", _of("webhooks", "posted", "refused")),
    ("… on purpose sent twice; never sent", _of("webhooks", "twice", "lost")),
    ("writes the vendors saw", lambda run: run["writes"]),
    ("deliveries by state", lambda run: run["deliveries"]),
    ("attempts by outcome", lambda run: run["attempts"]),
    ("decided by a person", lambda run: run["by_hand"]),
    ("certificates written; rows mended by them", lambda run: run["certificates"]),
    ("rows compared at the end", lambda run: run["rows"]),
    ("**rows lost**", lambda run: run["lost"]),
    ("**writes doubled**", lambda run: run["doubled"]),
    ("**loops**", lambda run: run["loops"]),
    ("seconds from the last fault to agreement", lambda run: run["agreed_s"]),
    ("rows mended by `hub reconcile` then; by a second one", lambda run: run["mended"]),
    ("complete certificates; streams", lambda run: run["complete"]),
)

STORM_ROWS: tuple[Row, ...] = (
    ("date, seed", _when),
    ("unrest", _length),
    ("events sent", lambda run: run["sent"]),
    ("… of these twice on purpose", lambda run: run["twice"]),
    ("events acknowledged", lambda run: run["acknowledged"]),
    ("not taken and sent again", lambda run: run["refused"]),
    ("killed with SIGKILL", lambda run: run["kills"]),
    ("seconds until all was applied, after the last event", lambda run: run["quiet_s"]),
)

FLOOD_ROWS: tuple[Row, ...] = (
    ("date, seed", _when),
    ("events; records", _of_run("events", "records")),
    ("minutes of sending", lambda run: f"{run['seconds'] / 60:.0f} on {run['cpus']} CPUs"),
    ("sent again though acknowledged", lambda run: run["repeated"]),
    ("not taken and sent again", lambda run: run["refused"]),
    ("killed with SIGKILL", lambda run: run["kills"]),
    ("**versions applied; out of order**", _of_run("applied", "disordered")),
    ("seconds until all was applied, after the last event", lambda run: run["quiet_s"]),
)
