"""The command line: ``hub --help``. Exit 0 fine, 1 a fault found, 2 wrong usage."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout

import click

from hub.cli import (
    adapters,
    connections,
    customers,
    hooks,
    identity,
    inbox,
    jobs,
    mcp,
    queues,
    reconcile,
    rehearse,
    run,
    secrets,
    subscriptions,
    trace,
    users,
)
from hub.cli.base import Masked, fail
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
@click.option("--masked", is_flag=True, help="Hide phones and mail addresses in what is printed.")
@click.pass_context
def cli(ctx: click.Context, *, masked: bool) -> None:
    """Conduit (管联): one customer 360 from the systems you already run.

    把已有的各个系统连成一个客户视图。
    """
    if masked:
        ctx.with_resource(redirect_stdout(Masked(sys.stdout)))


for command in (
    *run.COMMANDS,
    *connections.COMMANDS,
    *customers.COMMANDS,
    *hooks.COMMANDS,
    *identity.COMMANDS,
    *inbox.COMMANDS,
    *jobs.COMMANDS,
    *mcp.COMMANDS,
    *queues.COMMANDS,
    *reconcile.COMMANDS,
    *rehearse.COMMANDS,
    *subscriptions.COMMANDS,
    *trace.COMMANDS,
    *adapters.COMMANDS,
    *users.COMMANDS,
    *secrets.COMMANDS,
):
    cli.add_command(command)


def main() -> None:
    """The entry point of the ``hub`` program."""
    sys.exit(cli())
