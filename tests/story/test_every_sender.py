"""Every sender there is a receiver for: what was captured of it, from the inbox to the profile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy import select

from hub import mapping, registry
from hub.models import PARTY_KINDS
from hub.registry import Hub
from hub.sdk import Envelope, Row
from hub.sdk.testing import _request
from hub.sdk.vendor import Vendor
from hub.store import customers, profiles
from hub.store.schema import inbox, record
from tests.story.helpers import drain, receive, scalar

Open = Callable[..., Hub]

SENDERS = [
    found
    for found in (Vendor(m, mapping) for m in registry.manifests().values() if m.webhook)
    if found.manifest.folder.parent == registry.ROOT / "adapters" and found.fixtures_of("hook")
]


def captured(sender: Vendor) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each captured request with the name of a connection for it.

    Those that only name a record have to be asked about; the stories of their vendors do that.
    """
    for number, fixture in enumerate(sender.fixtures_of("hook").values()):
        if not fixture.get("refs"):
            yield f"{sender.manifest.name}-{number}", fixture


def expected(sender: Vendor, fixture: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The records of its rows; none of a row that says itself that it was deleted."""
    receiver = sender.receiver(fixture.get("config"))
    opened = receiver.open(_request(fixture["hook"]))
    assert isinstance(opened, Envelope)
    said = [one for item in opened.items for one in receiver.parse(item.body)]
    specs = sender.configured(fixture.get("config")).mappings
    if any(isinstance(one, Row) and specs[one.stream].is_gone(one.raw) for one in said):
        return []
    found = fixture.get("expect", [])
    return found if isinstance(found, list) else [found]


@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.manifest.name)
def test_what_was_captured_reaches_the_profile(sender: Vendor, open_with: Open) -> None:
    cases = dict(captured(sender))
    settings = {
        name: {"adapter": sender.manifest.name, **sender.settings(fixture.get("config"))}
        for name, fixture in cases.items()
    }
    hub = open_with(settings)
    for name, fixture in cases.items():
        opened = hub.registry.get(name).receiver.open(_request(fixture["hook"]))
        assert isinstance(opened, Envelope)
        receive(hub, name, *opened.items)
    drain(hub)
    with hub.database.read() as conn:
        states = set(conn.execute(select(inbox.c.state)).scalars())
        kinds = {row.ref: row.kind for row in conn.execute(select(record.c.ref, record.c.kind))}
        wanted = {
            f"{name}/{one['ref']['stream']}/{one['ref']['id']}": one["kind"]
            for name, fixture in cases.items()
            for one in expected(sender, fixture)
        }
        assert wanted.items() <= kinds.items()
        parties = [ref for ref, kind in wanted.items() if kind in PARTY_KINDS]
        owners = customers.links(conn, parties)
        shown = profiles.documents(conn, owners.values())
    assert states <= {"done"}
    assert owners.keys() == set(parties)
    assert shown.keys() == set(owners.values())
    assert scalar(hub, "SELECT count(*) FROM quarantine") == 0
