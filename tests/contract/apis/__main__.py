"""``python -m tests.contract.apis``: get the descriptions of APIs that vendors publish."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tests.contract.apis import OUT, published


@click.command()
@click.option("--from", "place", default="", help="A folder or address with <vendor>/<file>.")
@click.option("--out", default=OUT, type=click.Path(path_type=Path), help="Where they are put.")
def main(place: str, out: Path) -> None:
    """Get the descriptions that are missing, and say which could not be got."""
    complete = True
    for name, one in published().items():
        lacking = list(one.get(place and f"{place}/{name}", out))
        complete &= not lacking
        click.echo(f"{name}: {len(one.files) - len(lacking)} of {len(one.files)} ({one.licence})")
        for file, reason in lacking:
            click.echo(f"  {file}: {reason}", err=True)
    sys.exit(0 if complete else 1)


if __name__ == "__main__":
    main()
