"""``python -m bench [NAME…]`` runs benchmarks; without a name, all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bench import figures, identity, latency, profile, pull, rig, startup, webhooks

SIZES = "10000,100000"
NAMES = ("webhooks", "latency", "pull", "profile", "identity", "startup")
WITHOUT_DATABASE = ("identity", "startup")


def _numbers(_context: object, _parameter: object, value: str) -> list[int]:
    try:
        return sorted(int(part) for part in value.replace("_", "").split(","))
    except ValueError as exc:
        raise click.BadParameter("sizes are numbers, such as 10000,100000") from exc


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
@click.option(
    "--database",
    "databases",
    multiple=True,
    type=click.Choice(["sqlite", "postgresql"]),
    help="Only on this one; by default on both, where PostgreSQL answers.",
)
@click.option("--sizes", default=SIZES, show_default=True, callback=_numbers, help="Rows.")
@click.option("--seconds", default=5.0, show_default=True, help="Length of one load.")
@click.option("--rounds", default=3, show_default=True, help="Loads behind one median.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Write the figures here.")
def main(
    names: tuple[str, ...],
    databases: tuple[str, ...],
    sizes: list[int],
    seconds: float,
    rounds: int,
    path: Path | None,
) -> None:
    """Benchmarks of this checkout on this machine: ratios within one run, no promises."""
    if path and len(names) != 1:
        raise click.UsageError("--json needs exactly one benchmark")
    chosen: tuple[str, ...] = databases or ("sqlite", "postgresql")
    if "postgresql" in chosen and not rig.answers():
        figures.out.print("PostgreSQL does not answer (HUB_BENCH_POSTGRESQL): left out\n")
        chosen = ("sqlite",) if "sqlite" in chosen else ()
    for name in names or NAMES:
        possible = chosen or name in WITHOUT_DATABASE
        rows = _run(name, chosen, sizes, seconds, rounds) if possible else []
        if rows:
            figures.out.print(f"written to {figures.write(name, rows, path)}\n", style="dim")


def _run(
    name: str, databases: tuple[str, ...], sizes: list[int], seconds: float, rounds: int
) -> list[dict[str, Any]]:
    if name == "webhooks":
        rows = webhooks.run(databases, seconds=seconds, rounds=rounds)
        webhooks.show(rows)
    elif name == "latency":
        rows = latency.run(databases, seconds=3 * seconds)
        latency.show(rows)
    elif name == "pull":
        rows = pull.run(databases, sizes)
        pull.show(rows)
    elif name == "identity":
        rows = identity.run(sizes)
        identity.show(rows)
    elif name == "startup":
        rows = startup.run(rounds)
        startup.show(rows)
    else:
        rows = profile.run(databases, sizes, seconds=seconds, rounds=rounds)
        profile.show(rows)
    return rows


if __name__ == "__main__":
    main()
