"""Commands about drafts: what a mapping would change, switching to it, and back."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from hub import pipeline
from hub.cli.base import json_option, opened, out, plain, show_json
from hub.cli.connections import mapping
from hub.mapping import load
from hub.pipeline.rehearse import (
    Group,
    Groups,
    Rehearsal,
    connection_for,
    refuse_unsound,
    rehearse,
)

ACTOR = "hub cli"


@click.group("rehearse")
def rehearse_() -> None:
    """Try a draft on what is stored: nothing is written, nothing is sent."""


@rehearse_.command("mapping")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--connection", help="Which one, where several use the adapter.")
@click.option(
    "--days",
    type=click.IntRange(0),
    default=30,
    help="How far back copies that were replaced are tried too.",
)
@click.option("--samples", type=click.IntRange(0, 100), default=3, help="Shown of each sort.")
@click.option("--activate", is_flag=True, help="Then use it, and derive what is stored anew.")
@json_option
def rehearse_mapping(
    file: Path, connection: str | None, days: int, samples: int, *, activate: bool, as_json: bool
) -> None:
    """What would change if FILE were the mapping of its stream."""
    spec = load(file.read_text("utf-8"), name=str(file))
    with opened() as hub:
        live = connection_for(hub, spec, connection)
        found = rehearse(hub, live, spec, days=days, samples=samples)
        job = None
        if activate:
            refuse_unsound(found)
            job = pipeline.switch(hub, live.name, spec.stream, spec, ACTOR)
    if as_json:
        show_json({**asdict(found), "job": job})
        return
    _print(found)
    if job is not None:
        _say_switched(live.name, spec.stream, spec.version, job)


@mapping.command("rollback")
@click.argument("connection")
@click.argument("stream")
def mapping_rollback(connection: str, stream: str) -> None:
    """Use what was in use before the last choice, and derive what is stored anew."""
    with opened() as hub:
        hub.registry.get(connection)
        version, job = pipeline.roll_back(hub, connection, stream, ACTOR)
    _say_switched(connection, stream, version, job)


@mapping.command("show")
@click.argument("connection")
@click.argument("stream")
def mapping_show(connection: str, stream: str) -> None:
    """The mapping in use, its overlay laid over it: the file to begin a draft with."""
    with opened() as hub:
        click.echo(hub.registry.get(connection).mapping(stream).text, nl=False)


def _say_switched(connection: str, stream: str, version: str | None, job: int) -> None:
    now = f"version {version}" if version else "the files"
    out.print(f"{connection}/{stream} uses {now} from now on", highlight=False)
    out.print(f"job {job} derives its records anew; see: hub jobs", highlight=False)


def _print(found: Rehearsal) -> None:
    place = f"{found.connection}/{found.stream}"
    out.print(f"[bold]{place}[/bold]  {found.version_now} → {found.version}", highlight=False)
    _line("rows read", found.rows)
    _line("records that differ", found.changed)
    _groups(found.fields, _change)
    _group("records that appear", found.appearing, lambda s: f"{s['ref']} {s['kind']}")
    _group("records that vanish", found.vanishing, lambda s: f"{s['ref']} {s['kind']}")
    _faults("rows that would be quarantined", found.unusable)
    _group("rows with another id", found.rekeyed, lambda s: f"{s['ref']} → {s['becomes']}")
    if found.held:
        _group(f"of {found.held} rows in quarantine usable", found.mended, _mended)
    _group("profiles that differ", found.profiles, _profile)
    _group("records with other identifiers", found.evidence, _evidence)
    _group("customers merged", found.merged, _parts)
    _group("customers parted", found.split, _parts)
    if found.writes:
        out.print("[bold]rules would send, if this were news[/bold] (a switch stays silent)")
        _groups(found.writes, lambda s: f"{s['ref']} {s['fields']}")
    _print_earlier(found)


def _print_earlier(found: Rehearsal) -> None:
    since = found.earlier_since.astimezone().strftime("%Y-%m-%d")
    reach = f"replaced since {since}"
    if found.earlier_from:
        reach += f", the oldest received {found.earlier_from.astimezone():%Y-%m-%d %H:%M}"
    _line(f"earlier copies read ({reach})", found.earlier)
    _faults("of them unreadable", found.unusable_earlier)


def _line(what: str, count: int) -> None:
    out.print(f"{count:>9}  {plain(what)}", highlight=False)


def _group(what: str, group: Group, shown: Any) -> None:
    if group.count:
        _line(what, group.count)
        for sample in group.samples:
            out.print(f"[dim]{'':>11}{plain(shown(sample))}[/dim]", highlight=False)


def _groups(groups: Groups, shown: Any) -> None:
    for name, group in sorted(groups.items()):
        _group(f"  {name}", group, shown)


def _faults(what: str, groups: Groups) -> None:
    if groups:
        _line(what, sum(group.count for group in groups.values()))
        _groups(groups, lambda s: f"{s['ref']} {s['error']}")


def _change(sample: dict[str, Any]) -> str:
    return f"{sample['ref']}: {_turn(sample['before'], sample['after'])}"


def _turn(was: Any, now: Any) -> str:
    """What was, and what would be; of lists only what goes and what comes."""
    if isinstance(was, list) and isinstance(now, list):
        gone, new = [x for x in was if x not in now], [x for x in now if x not in was]
        if gone or new:  # else only their order differs
            was, now = gone, new
    return f"{was!r} → {now!r}"


def _mended(sample: dict[str, Any]) -> str:
    return f"{sample['id']}: {sample['error']}"


def _profile(sample: dict[str, Any]) -> str:
    changes = (f"{name}: {_turn(was, now)}" for name, (was, now) in sample["changes"].items())
    return f"{sample['name']} {sample['customer']}: {'; '.join(changes)}"


def _evidence(sample: dict[str, Any]) -> str:
    gained = "".join(f" +{type_}" for type_ in sample["gained"])
    lost = "".join(f" -{type_}" for type_ in sample["lost"])
    return f"{sample['ref']}{gained}{lost}"


def _parts(sample: dict[str, Any]) -> str:
    parts = ", ".join(f"{name} {id_}".strip() for id_, name in sample["parts"].items())
    return f"{sample['customer']}: {parts}"


COMMANDS: tuple[click.Command, ...] = (rehearse_,)
