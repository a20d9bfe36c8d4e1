"""Somebody reports a fault on the hosted form: through the front door to the customer's card."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from contextlib import closing
from io import BytesIO

import pytest
from flask.testing import FlaskClient

from hub.registry import Hub
from hub.store import accounts
from hub.store.db import Database
from hub.web.app import create_app as create_web
from tests.story.helpers import account, customer, demo, drain, pull, scalar
from webhooks.app import create_app

Open = Callable[..., Hub]

FORM = {"adapter": "form", "page_secret": "0123456789abcdef", "app_tokens": ["word"]}
RULES = [
    {
        "id": "report-to-desk",
        "when": "Ticket created",
        "if": [{"field": "connection", "is": "repair"}],
        "then": {"write": "desk/tickets", "fields": {"subject": "{subject}"}},
    }
]
PNG = b"\x89PNG\r\n"
PHOTO = {"name": "主轴.png", "content": base64.b64encode(PNG).decode()}
VALUES = {"name": "李娜", "phone": "139 1234 5678", "subject": "主轴异响", "consent": True}


@pytest.fixture
def hub(open_with: Open) -> Hub:
    hub = open_with({"crm": demo(), "repair": FORM, "desk": demo()}, RULES)
    account(hub, "crm").put("customers", {"id": "1", "name": "李娜", "phone": "13912345678"})
    pull(hub, "crm")
    drain(hub)
    return hub


def sent(hub: Hub, *keys: str) -> list[int]:
    app = create_app(hub.settings)
    database: Database = app.extensions["hub.database"]
    told = {"values": VALUES, "files": {"photos": [PHOTO]}}
    with closing(database), app.test_client() as door:
        answers = [
            door.post(
                "/hooks/repair",
                json=told,
                headers={"Authorization": "Bearer word", "Idempotency-Key": key},
            )
            for key in keys
        ]
    drain(hub)
    return [answer.status_code for answer in answers]


def web(hub: Hub, role: str, *, masked: bool = False) -> FlaskClient:
    with hub.database.write() as conn:
        token = accounts.create_token(conn, f"{role} {masked}", role, masked=masked)
    made = create_web(hub.settings, hub.database).test_client()
    made.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return made


def test_a_report_is_on_the_card_and_at_the_desk_once(hub: Hub) -> None:
    assert sent(hub, "k1", "k1") == [202, 202]
    profile = customer(hub, "phone", "+8613912345678")
    kinds = [fact.kind for fact in profile.timeline]
    assert sorted(kinds) == ["Message", "Ticket", "Ticket"]  # with the copy at the desk
    desk = [row["subject"] for _, _, row in account(hub, "desk").changes("tickets") if row]
    assert desk == ["主轴异响"]
    assert scalar(hub, "SELECT count(*) FROM quarantine") == 0


def test_its_photo_is_given_to_who_may_see_it(hub: Hub) -> None:
    sent(hub, "k1")
    place = "/files/0?ref=repair/messages/k1"
    given = web(hub, "agent").get(place)
    assert (given.status_code, given.data) == (200, PNG)
    assert given.headers["Content-Disposition"].startswith("attachment")
    assert given.mimetype == "application/octet-stream"
    assert web(hub, "auditor").get(place).status_code == 403
    assert web(hub, "agent", masked=True).get(place).status_code == 403
    agent = web(hub, "operator")
    for other in ("/files/1?ref=repair/messages/k1", "/files/0?ref=crm/customers/1", "/files/0"):
        assert agent.get(other).status_code == 404


def test_a_page_is_filled_in_without_a_script(hub: Hub) -> None:
    app = create_app(hub.settings)
    database: Database = app.extensions["hub.database"]
    with closing(database), app.test_client() as door:
        page = door.get("/hooks/repair", headers={"Accept-Language": "en"})
        assert b"<script" not in page.data
        token = re.search(r'name="page_token" value="([^"]+)"', page.text)
        assert token
        typed = {**VALUES, "consent": "yes", "page_token": token[1]}
        photos = [(BytesIO(PNG), "a.png")]
        answer = door.post("/hooks/repair?lang=en", data={**typed, "photos": photos})
    assert answer.status_code == 422, "two seconds have not passed"
    assert "very quick" in answer.text
