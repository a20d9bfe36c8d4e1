"""What belongs to a company, values pinned by people, and the past, through the API."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete

from hub.models import ContactPoint, Message, Organization, Person, Ticket, TicketStatus
from hub.profiles.document import Profile
from hub.store import earlier, leases, schema
from hub.store.db import Database
from tests.unit.web.conftest import HERE, app_on, client_with
from tests.unit.web.world import LI_NA, World, ref

COMPANY = "5f0c1d2e3b4a49788c6d5e4f3a2b1c77"
PERSON = "5f0c1d2e3b4a49788c6d5e4f3a2b1c78"
CANARY = "13755550199"


@pytest.fixture
def around(everywhere: Database) -> Database:
    """A company with an open request, and somebody who acts for it."""
    with everywhere.write() as conn:
        conn.execute(delete(schema.connection))  # these have no secrets that could be opened
        world = World(conn)
        company = Organization(ref=ref("erp/parties/700"), name="山海设备")
        ticket = Ticket(
            ref=ref("desk/issues/701"), subject=f"请回电 {CANARY}", requester=company.ref,
            status=TicketStatus.OPEN, occurred_at=world.ago(days=1), due_at=world.ago(hours=1),
        )  # fmt: skip
        party = str(company.ref)
        world.customer(COMPANY, [world.record(company, party), world.record(ticket, party)])
        person = Person(
            ref=ref("erp/parties/702"), name="周敏", title="采购", organization=company.ref,
            contact_points=(ContactPoint(type="phone", value="13700001111"),),
        )  # fmt: skip
        said = Message(
            ref=ref("desk/messages/9"), channel="chat", direction="in", sender=person.ref,
            occurred_at=world.ago(hours=2), text="你好",
        )  # fmt: skip
        for field, target in person.refs().items():
            world._insert(
                schema.ref,
                source=str(person.ref), field=field, target=str(target),
            )  # fmt: skip
        party = str(person.ref)
        world.customer(PERSON, [world.record(person, party), world.record(said, party)])
    return everywhere


def _shown(client: FlaskClient, id_: str, **query: Any) -> Any:
    answer = client.get(f"/api/v1/customers/{id_}", query_string=query)
    assert answer.status_code == 200, answer.text
    document = answer.get_json(force=True)
    Profile.model_validate(document)
    return document


def test_companies_and_people_are_told_of_each_other(around: Database) -> None:
    agent = client_with(app_on(around), around, "agent")
    person = _shown(agent, PERSON)
    (company,) = person["companies"]
    assert (company["customer_id"], company["name"], company["title"]) == (
        COMPANY,
        "山海设备",
        "采购",
    )
    assert company["open_requests"][0]["summary"].endswith(CANARY)
    assert "open_requests" not in person
    assert person["last_contact"]["direction"] == "in"
    theirs = _shown(agent, COMPANY)
    assert theirs["people"] == [{"customer_id": PERSON, "name": "周敏", "title": "采购"}]
    assert theirs["service"] == {"overdue": 1}
    assert [s["id"] for s in theirs["signals"]] == ["overdue"]
    assert theirs["traits"]["open_requests"]["value"] == 1
    assert "bases" not in theirs


def test_what_belongs_to_a_company_is_masked_as_well(around: Database) -> None:
    app = app_on(around)
    auditor = client_with(app, around, "auditor")
    assert CANARY not in str(_shown(auditor, PERSON))
    page = auditor.get("/card", query_string={"customer": PERSON})
    assert page.status_code == 200
    assert CANARY not in page.text


def test_a_pin_is_for_those_who_look_after_the_hub(around: Database) -> None:
    app = app_on(around)
    path = f"/api/v1/customers/{LI_NA}/pins/tier"
    agent, admin = (client_with(app, around, role) for role in ("agent", "admin"))
    body = {"value": "黑金"}
    assert agent.put(path, json=body, headers=HERE).status_code == 403
    answer = admin.put(path, json=body, headers=HERE)
    assert answer.status_code == 200, answer.text
    tier = _shown(agent, LI_NA)["tier"]
    assert (tier["value"], tier["reason"], tier["pinned_by"]) == (
        "黑金",
        "pinned",
        "admin's program",
    )
    assert agent.get("/card", query_string={"customer": LI_NA}).status_code == 200
    assert admin.delete(path, headers=HERE).status_code == 200
    assert "pinned_by" not in _shown(agent, LI_NA).get("tier", {})
    assert admin.delete(path, headers=HERE).status_code == 404
    assert admin.put(path.replace("tier", "tear"), json=body, headers=HERE).status_code == 404
    assert admin.put(path, json={"value": ""}, headers=HERE).status_code == 400


def test_the_past_is_told_or_said_to_be_gone(around: Database) -> None:
    client: Callable[..., Any] = client_with(app_on(around), around, "agent").get
    path, now = f"/api/v1/customers/{LI_NA}", leases.now()
    before = _shown_name(client(path))
    admin = client_with(app_on(around), around, "admin")
    admin.put(f"{path}/pins/name", json={"value": "李总"}, headers=HERE)
    assert _shown_name(client(path)) == "李总"
    then = quote(now.isoformat())
    assert _shown_name(client(f"{path}?at={then}")) == before
    assert client(f"/card?customer={LI_NA}&at={then}").status_code == 200
    early = quote((now - timedelta(days=2)).isoformat())
    assert client(f"{path}?at={early}").status_code == 404
    ancient = quote((now - timedelta(days=200)).isoformat())
    assert client(f"{path}?at={ancient}").status_code == 410
    assert client(f"{path}?at=yesterday").status_code == 400
    assert client(f"/card?customer={LI_NA}&at=yesterday").status_code == 400
    with around.read() as conn:
        assert earlier.at(conn, LI_NA, now) is not None


def _shown_name(answer: Any) -> str:
    assert answer.status_code == 200, answer.text
    name: str = answer.get_json(force=True)["name"]["value"]
    return name
