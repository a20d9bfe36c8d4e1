"""Commands about customers: the 360 in a terminal, confirm and reject."""

from __future__ import annotations

from datetime import datetime

import click
from rich.panel import Panel
from rich.table import Table

from hub.cli.base import Instant, json_option, opened, out, plain, show, show_json
from hub.errors import ConfigError
from hub.models.normalise import identifier_value
from hub.pipeline.customer import is_forgotten, profile, rebuild_all
from hub.pipeline.customer import pin as set_pin
from hub.profiles.document import Profile, Source
from hub.registry import Hub
from hub.store import read


@click.command("customer")
@click.argument("query")
@click.option("--at", type=Instant(), help="As it was shown at that instant.")
@json_option
def customer(query: str, at: datetime | None, *, as_json: bool) -> None:
    """The customer 360 by id, phone in any writing, e-mail, type:value, or name."""
    with opened() as hub:
        found = _profiles(hub, query, at)
    if as_json:
        show_json([profile.model_dump(mode="json") for profile in found])
        return
    if len(found) == 1:
        _print(found[0])
        return
    rows = [{"id": p.id, "name": p.name.value if p.name else "", "kind": p.kind} for p in found]
    show(rows, ("id", "name", "kind"), as_json=False)


def _profiles(hub: Hub, query: str, at: datetime | None = None) -> list[Profile]:
    regions = {live.region for live in hub.registry.all().values()} or {"CN"}
    with hub.database.read() as conn:
        ids = [query] if read.current_id(conn, query) else []
        type_, _, value = query.partition(":")
        if not ids and value and type_.isidentifier():
            known = identifier_value(type_, value) or value
            ids = read.find(conn, type_, known)
        for region in sorted(regions) if not ids else ():
            for type_ in ("phone", "email"):
                spelled = identifier_value(type_, query, region)
                ids += read.find(conn, type_, spelled) if spelled else []
        if not ids:
            ids = [listed.customer_id for listed in read.search(conn, query).items]
        shown = [profile(conn, hub.catalogue, id_, at) for id_ in dict.fromkeys(ids)]
    found = [Profile.model_validate(document) for document in shown if document]
    if ids and not found and at and is_forgotten(at, hub.settings.history_days):
        hint = f"history_days in settings.toml is {hub.settings.history_days}."
        raise ConfigError("what was shown then is no longer kept", hint=hint)
    if not found:
        raise ConfigError(
            f"nobody is known as {query!r}", hint="Try a phone, an e-mail or part of a name."
        )
    return found


def _print_figures(p: Profile) -> None:
    """Traits, and the companies and people around the customer."""
    if p.service and p.service.overdue:
        out.print(f"[red]{p.service.overdue} open requests are overdue[/red]")
    for trait in p.traits.values():
        unit = f" {trait.unit}, minor units" if trait.aggregate == "sum" and trait.unit else ""
        out.print(f"  {trait.label.en}: {trait.value:,.10g}{unit}", highlight=False)
    for company in p.companies:
        title = f" ({company.title})" if company.title else ""
        open_ = f", {len(company.open_requests)} open requests" if company.open_requests else ""
        out.print(f"  acts for {plain(company.name or company.ref)}{title}{open_}", highlight=False)
    for person in p.people:
        out.print(f"  {plain(person.name)} {plain(person.title)}", highlight=False)


def _print(p: Profile) -> None:
    title = f"[bold]{p.name.value if p.name else '—'}[/bold]"
    labels = [label.label.en for label in (*p.segments, *p.signals)]
    head = " · ".join(
        [*(value.value for value in (p.organization, p.tier, p.owner) if value), *labels]
    )
    out.print(Panel(f"{title}\n{head}\n[dim]{p.id}[/dim]".replace("\n\n", "\n"), expand=False))
    contacts = Table(box=None, show_header=False, pad_edge=False)
    for contact in p.contacts:
        badges = " ".join(f"[cyan]{name}[/cyan]" for name in _badges(contact.sources))
        contacts.add_row(contact.type, contact.value, contact.level.value, badges)
    out.print(contacts)
    _print_figures(p)
    for name, facts in (("open requests", p.open_requests), ("orders", p.orders)):
        if facts:
            out.print(f"\n[bold]{name}[/bold]")
        for fact in facts:
            where = f"[cyan]{fact.source.connection}[/cyan]"
            out.print(f"  {fact.summary}  [dim]{fact.status}[/dim]  {where}", highlight=False)
    out.print(f"\n[dim]{len(p.members)} records from {', '.join(_badges(_sources(p)))}[/dim]")


@click.command("pin")
@click.argument("customer_id", metavar="CUSTOMER")
@click.argument("field")
@click.argument("value")
def pin(customer_id: str, field: str, value: str) -> None:
    """Say that VALUE is the right one for FIELD, whatever the systems say."""
    _pin(customer_id, field, value)


@click.command("unpin")
@click.argument("customer_id", metavar="CUSTOMER")
@click.argument("field")
def unpin(customer_id: str, field: str) -> None:
    """Take back what was pinned for FIELD."""
    _pin(customer_id, field, None)


def _pin(customer_id: str, field: str, value: str | None) -> None:
    with opened() as hub:
        hub.database.run(lambda conn: set_pin(conn, hub, customer_id, field, value, "hub cli"))
    out.print("done", highlight=False)


@click.group("profiles")
def profiles() -> None:
    """The profiles of all customers."""


@profiles.command("rebuild")
def rebuild() -> None:
    """Count every sum again and build every profile anew, as after a change of traits.toml."""
    with opened() as hub:
        count, wrong = rebuild_all(hub)
    out.print(f"{count:,} profiles; sums mended of {wrong:,} records", highlight=False)


def _badges(sources: tuple[Source, ...]) -> list[str]:
    return list(dict.fromkeys(source.connection for source in sources))


def _sources(p: Profile) -> tuple[Source, ...]:
    return tuple(member.source for member in p.members)


COMMANDS: tuple[click.Command, ...] = (customer, pin, unpin, profiles)
