"""The adapter against a real Tryton: all rows come, changes come again, writes happen once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from demo.people import People
from demo.systems import Tryton
from hub.errors import AuthError, RetryableError
from hub.mapping import to_canonical
from hub.registry import Hub
from hub.sdk import RecordRef
from tests.story.helpers import pull, reconcile
from tests.systems.live import change, erp, look_away, pulled, surveyed, versions


def test_every_row_of_the_erp_comes_in_pages_of_any_size_and_maps(
    tryton: Tryton, known: People
) -> None:
    large, small = erp(tryton), erp(tryton, page_size=7)
    large.adapter.check()
    for stream in large.streams:
        rows, _ = pulled(large, stream)
        assert rows.keys() == pulled(small, stream)[0].keys()
        for raw in rows.values():
            assert to_canonical(large.mappings[stream], raw, connection="erp")
    parties, _ = pulled(large, "parties")
    expected = {person.tryton.name for person in known.persons if person.tryton}
    assert expected <= {raw["name"] for raw in parties.values()}
    assert len(pulled(large, "sales")[0]) == len(known.orders)


def test_a_changed_phone_number_brings_its_party_again(tryton: Tryton) -> None:
    live = erp(tryton)
    before, cursor = pulled(live, "parties")
    id_, party = next((i, raw) for i, raw in before.items() if raw["name"] == "周涛")
    mechanism = party["contact_mechanisms"][0]
    tryton.api.change("party.contact_mechanism", mechanism["id"], {"value": "13810000914"})
    after, _ = pulled(live, "parties", cursor)
    assert id_ in after
    version = live.mappings["parties"].raw_version
    assert version(after[id_]) > version(party)


def test_a_party_is_created_once_and_updated(tryton: Tryton) -> None:
    live = erp(tryton)
    stream, contacts = live.streams["parties"], [{"type": "phone", "value": "13810000777"}]
    create = change(name="新客户 🌟", contact_points=contacts)
    first, again = live.adapter.push(stream, create), live.adapter.push(stream, create)
    assert first.id == again.id
    live.adapter.push(stream, change(first.id, name="改名"))
    raw = live.adapter.fetch(RecordRef("parties", first.id))
    assert raw is not None
    assert raw["name"] == "改名"


def test_wrong_credentials_and_a_stopped_server_are_told_apart(tryton: Tryton) -> None:
    with pytest.raises(AuthError):
        erp(tryton, api_key="no").adapter.check()
    with pytest.raises(RetryableError):
        erp(tryton, url="http://127.0.0.1:9").adapter.check()


def test_a_survey_tells_the_versions_of_all_rows(tryton: Tryton) -> None:
    live = erp(tryton, page_size=2)
    for stream in live.streams:
        assert surveyed(live, stream) == versions(live, stream)


def test_a_missed_change_and_a_deleted_party_are_found(
    tryton: Tryton, open_with: Callable[..., Hub]
) -> None:
    hub = open_with({"erp": {"adapter": "tryton", **erp(tryton).settings}})
    live = hub.registry.get("erp")
    made = [live.adapter.push(live.streams["parties"], change(name=n)).id for n in ("改", "删")]
    pull(hub, "erp", "parties")
    look_away(hub, "erp", "parties")
    tryton.api.change("party.party", int(made[0]), {"name": "改了"})
    tryton.api.press_all("party.party", [int(made[1])], "delete")
    found = reconcile(hub, "erp", "parties")
    assert (found.method, found.repaired, found.complete) == ("survey", 2, True)
    assert found.source_count == found.hub_count == len(versions(live, "parties"))
