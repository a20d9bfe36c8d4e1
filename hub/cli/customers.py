"""Commands about customers: the 360 in a terminal, confirm and reject."""

from __future__ import annotations

import click
from rich.panel import Panel
from rich.table import Table

from hub.cli.base import json_option, opened, out, show, show_json
from hub.errors import ConfigError
from hub.models.normalise import identifier_value
from hub.profiles.document import Profile, Source
from hub.registry import Hub
from hub.store import read


@click.command("customer")
@click.argument("query")
@json_option
def customer(query: str, *, as_json: bool) -> None:
    """The customer 360 by id, phone in any writing, e-mail, type:value, or name."""
    with opened() as hub:
        found = _profiles(hub, query)
    if as_json:
        show_json([profile.model_dump(mode="json") for profile in found])
        return
    if len(found) == 1:
        _print(found[0])
        return
    rows = [{"id": p.id, "name": p.name.value if p.name else "", "kind": p.kind} for p in found]
    show(rows, ("id", "name", "kind"), as_json=False)


def _profiles(hub: Hub, query: str) -> list[Profile]:
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
        documents = [read.profile_json(conn, id_) for id_ in dict.fromkeys(ids)]
    found = [Profile.model_validate_json(doc.document) for doc in documents if doc]
    if not found:
        raise ConfigError(
            f"nobody is known as {query!r}", hint="Try a phone, an e-mail or part of a name."
        )
    return found


def _print(p: Profile) -> None:
    title = f"[bold]{p.name.value if p.name else '—'}[/bold]"
    head = " · ".join(value.value for value in (p.organization, p.tier, p.owner) if value)
    out.print(Panel(f"{title}\n{head}\n[dim]{p.id}[/dim]".replace("\n\n", "\n"), expand=False))
    contacts = Table(box=None, show_header=False, pad_edge=False)
    for contact in p.contacts:
        badges = " ".join(f"[cyan]{name}[/cyan]" for name in _badges(contact.sources))
        contacts.add_row(contact.type, contact.value, contact.level.value, badges)
    out.print(contacts)
    for name, facts in (("open requests", p.open_requests), ("orders", p.orders)):
        if facts:
            out.print(f"\n[bold]{name}[/bold]")
        for fact in facts:
            where = f"[cyan]{fact.source.connection}[/cyan]"
            out.print(f"  {fact.summary}  [dim]{fact.status}[/dim]  {where}", highlight=False)
    out.print(f"\n[dim]{len(p.members)} records from {', '.join(_badges(_sources(p)))}[/dim]")


def _badges(sources: tuple[Source, ...]) -> list[str]:
    return list(dict.fromkeys(source.connection for source in sources))


def _sources(p: Profile) -> tuple[Source, ...]:
    return tuple(member.source for member in p.members)


COMMANDS: tuple[click.Command, ...] = (customer,)
