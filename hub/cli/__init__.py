"""The command line: ``hub --help``. Exit 0 fine, 1 a fault found, 2 wrong usage."""

from __future__ import annotations

import sys

import click

from hub.cli import (
    adapters,
    connections,
    customers,
    jobs,
    queues,
    reconcile,
    rehearse,
    run,
    secrets,
    trace,
    users,
)
from hub.cli.base import fail
from hub.errors import HubError


class _Group(click.Group):
    """A group whose commands end in one sentence and a hint, never in a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except HubError as exc:
            fail(exc)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="conduit-hub", prog_name="hub")
def cli() -> None:
    """Conduit (管联): one customer 360 from the systems you already run.

    把已有的各个系统连成一个客户视图。
    """


for command in (
    *run.COMMANDS,
    *connections.COMMANDS,
    *customers.COMMANDS,
    *jobs.COMMANDS,
    *queues.COMMANDS,
    *reconcile.COMMANDS,
    *rehearse.COMMANDS,
    *trace.COMMANDS,
    *adapters.COMMANDS,
    *users.COMMANDS,
    *secrets.COMMANDS,
):
    cli.add_command(command)


def main() -> None:
    """The entry point of the ``hub`` program."""
    sys.exit(cli())
