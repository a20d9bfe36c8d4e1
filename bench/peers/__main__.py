"""``python -m bench.peers [NAME …]`` installs what we are compared with; without a name, all."""

from __future__ import annotations

import sys

import click

from bench.peers import npm, start

INSTALLED_BY = {
    start.PEER: lambda: start.python_of(start.PEER),
    "matching": start.matching_python,
    npm.NODE_RED: lambda: npm.install(npm.NODE_RED),
    npm.N8N: lambda: npm.install(npm.N8N),
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(INSTALLED_BY)))
def main(names: tuple[str, ...]) -> None:
    """Install the peers once, below bench/out; ends with 1 where one cannot be had."""
    absent = [name for name in names or INSTALLED_BY if INSTALLED_BY[name]() is None]
    sys.exit(bool(absent))


if __name__ == "__main__":
    main()
