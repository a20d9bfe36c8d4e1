"""The command that follows one thing through the whole hub."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import click
from rich.table import Table

from hub.cli.base import json_option, opened, out, plain, show_json
from hub.errors import ConfigError
from hub.store.trace import Copy, Decision, Sent, Trace, trace


class Step(NamedTuple):
    """One line: when, what sort of step, and what happened."""

    at: datetime
    what: str
    fact: str


@click.command("trace")
@click.argument("ref")
@json_option
def trace_(ref: str, *, as_json: bool) -> None:
    """The way of REF from what came in to what went out, with times.

    REF is connection/stream/id, event:ID, delivery:ID, a customer's id, or the id a vendor gave an
    event.
    """
    with opened() as hub:
        with hub.database.read() as conn:
            found = trace(conn, ref)
        days = hub.settings.history_days
    if found is None:
        raise ConfigError(
            f"nothing is known of {ref}",
            hint="Write connection/stream/id, event:ID, delivery:ID or a customer's id.",
        )
    if as_json:
        show_json(found.model_dump(mode="json"))
        return
    _print(found)
    if found.cut_short:
        out.print(f"[dim]cut short: {', '.join(found.cut_short)}[/dim]", highlight=False)
    out.print(f"[dim]earlier contents are kept for {days} days[/dim]", highlight=False)


def _print(found: Trace) -> None:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for step in sorted(_steps(found), key=lambda step: step.at):
        at = step.at.astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        table.add_row(at, step.what, plain(step.fact))
    out.print(table)


def _steps(found: Trace) -> Iterator[Step]:
    """Everything that happened, in the order of the pipe; each instant's lines stay so."""
    for event in found.events:
        name = f"{event.id} of {event.connection}: {event.event_id}"
        yield Step(event.received_at, "event", name)
        tries = f" after {event.attempts} retries" if event.attempts else ""
        ended = f"{event.id} {event.state}{tries} {event.error}".rstrip()
        yield Step(event.done_at or event.received_at, "event", ended)
    for copy in found.copies:
        yield from _of_copy(copy)
    for held in found.quarantined:
        fact = f"{held.connection}/{held.stream} {held.state}: {held.error}"
        yield Step(held.at, "quarantine", fact)
    for used in found.mappings:
        yield Step(used.since, "mapping", f"{used.name} {used.mapping_version} in use")
    for cut in found.records:
        whose = f" of {cut.party}" if cut.party and cut.party != cut.ref else ""
        fact = f"{cut.ref} {cut.kind}{whose} by mapping {cut.mapping_version}"
        yield Step(cut.saved_at, "record", fact)
        if cut.deleted_at:
            yield Step(cut.deleted_at, "record", f"{cut.ref} closed")
    for decided in found.decisions:
        yield Step(decided.at, "decision", _of_decision(decided))
    for owner in found.customers:
        if owner.built_at:
            shares = dict.fromkeys(s.field if s.won else f"({s.field})" for s in owner.shares)
            fact = f"{owner.name} {owner.id}: {', '.join(shares) or 'nothing'} from here"
            yield Step(owner.built_at, "profile", fact)
    for sent in found.deliveries:
        yield from _of_delivery(sent)
    for bound in found.bindings:
        yield Step(bound.written_at, "copy", f"{bound.copy_ref} of {bound.about}")


def _of_copy(copy: Copy) -> Iterator[Step]:
    came = f"event {copy.inbox_id}" if copy.inbox_id else "pull"
    version = f" version {copy.version}" if copy.version else ""
    name = f"{copy.ref}{version} {copy.hash[:8]}"
    if copy.deleted_at:
        yield Step(copy.deleted_at, "raw", f"{copy.ref} is gone at the source, by {came}")
        return
    yield Step(copy.seen_at, "raw", f"{name} by {came}")
    if copy.replaced_at:
        yield Step(copy.replaced_at, "raw", f"{name} replaced")


def _of_decision(decided: Decision) -> str:
    other = f" with {decided.other_id}" if decided.other_id else ""
    pair = f" {decided.a} and {decided.b}" if decided.a and decided.b else ""
    why = (f"{e.get('rule')} {e.get('type', '')}".strip() for e in decided.evidence)
    reasons = ", ".join(dict.fromkeys(why))
    said = f"{decided.verb} {decided.customer_id}{other}{pair} by {decided.actor}"
    return f"{said}: {reasons}" if reasons else said


def _of_delivery(sent: Sent) -> Iterator[Step]:
    name = f"{sent.id} to {sent.connection}/{sent.stream}"
    who = sent.actor or "a person"
    why = f"rule {sent.rule}" if sent.rule else f"sync {sent.sync}" if sent.sync else who
    what = ", ".join(sent.fields) or "what is agreed on"
    yield Step(sent.created_at, "delivery", f"{name} for {sent.about} by {why}: {what}")
    for made in sent.tries:
        fact = f"{sent.id} {made.outcome} in {made.took_ms} ms {made.error}".rstrip()
        yield Step(made.at, "attempt", fact)
    if sent.done_at:
        at = max([sent.done_at, *(made.at for made in sent.tries)])  # its last attempt led to it
        yield Step(at, "receipt", f"{sent.id} {_end_of(sent)}")


def _end_of(sent: Sent) -> str:
    if sent.state == "confirmed" and sent.external_id:
        return f"is {sent.connection}/{sent.stream}/{sent.external_id}"
    return f"{sent.state}: {sent.error} {sent.hint}".rstrip(": ")


COMMANDS: tuple[click.Command, ...] = (trace_,)
