"""Subscriptions by the API: for administrators, secrets shown once, every change in the audit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from hub.store import news
from hub.store.accounts import ROLES
from hub.store.db import Database
from hub.store.schema import audit
from hub.web.subscriptions_api import Subscriptions, SubscriptionSecret, SubscriptionState
from tests.unit.web.conftest import ClientOf, app_on, client_with

PATH = "/api/v1/subscriptions"
SHOP = {
    "name": "shop",
    "url": "http://127.0.0.1:9/events?key=t0ken",
    "types": ["customer.*"],
    "allow_networks": ["127.0.0.0/8"],
}


@pytest.fixture
def admin(everywhere: Database) -> Iterator[FlaskClient]:
    """An administrator's program, on each database."""
    return client_with(app_on(everywhere), everywhere, "admin")


def ask(client: FlaskClient, method: str, path: str = "", status: int = 200, **json: Any) -> Any:
    answer = client.open(f"{PATH}{path}", method=method, json=json or None)
    assert answer.status_code == status, answer.text
    return answer.get_json(force=True)


def test_a_subscription_from_its_beginning_to_its_end(
    admin: FlaskClient, everywhere: Database
) -> None:
    made = SubscriptionSecret.model_validate(ask(admin, "POST", status=201, **SHOP))
    assert made.secret.startswith("whsec_")
    listed = Subscriptions.model_validate(ask(admin, "GET"))
    assert [item.name for item in listed.items] == ["shop"]
    told = SubscriptionState.model_validate(ask(admin, "GET", "/shop"))
    assert (told.url, told.state, told.types) == (
        "http://127.0.0.1:9/events?***",
        "active",
        ["customer.*"],
    )
    changed = ask(admin, "PATCH", "/shop", format="cloudevents-structured", types=[])
    assert (changed["format"], changed["types"]) == ("cloudevents-structured", [])
    assert ask(admin, "PATCH", "/shop", state="paused")["state"] == "paused"
    assert ask(admin, "PATCH", "/shop", state="active")["state"] == "active"
    with everywhere.write() as conn:
        for n in range(3):
            news.of_first_load(conn, "crm", f"s{n}")
        news.number(conn)
    assert ask(admin, "GET", "/shop")["waiting"] == 3
    later = datetime(2200, 1, 1, tzinfo=UTC).isoformat()
    assert ask(admin, "POST", "/shop/replay", since=later)["waiting"] == 0
    assert ask(admin, "POST", "/shop/replay", since="2020-01-01T00:00:00Z")["waiting"] == 3
    rotated = ask(admin, "POST", "/shop/rotate")
    assert rotated["secret"] != made.secret
    assert ask(admin, "DELETE", "/shop")["name"] == "shop"
    ask(admin, "GET", "/shop", 404)
    with everywhere.read() as conn:
        rows = conn.execute(select(audit).where(audit.c.subject == "subscription:shop"))
        noted = [(row.actor, row.verb) for row in rows.all()]
    verbs = ["add", "change", "pause", "resume", "replay", "replay", "rotate", "remove"]
    assert noted == [("admin's program", verb) for verb in verbs]


def test_secrets_are_shown_once(admin: FlaskClient) -> None:
    first = ask(admin, "POST", status=201, **SHOP)["secret"]
    second = ask(admin, "POST", "/shop/rotate")["secret"]
    for method, path in (("GET", ""), ("GET", "/shop"), ("DELETE", "/shop")):
        shown = str(ask(admin, method, path))
        assert first not in shown
        assert second not in shown
        assert "t0ken" not in shown


@pytest.mark.parametrize(
    ("more", "status", "says"),
    [
        ({"url": "http://10.0.0.1/"}, 400, "private address"),
        ({"url": "http://93.184.215.14/", "allow_networks": []}, 400, "https"),
        ({"url": "ftp://example.com/"}, 400, "none of the web"),
        ({"url": "x" * 3000}, 400, "url"),
        ({"allow_networks": ["everything"]}, 400, "malformed"),
        ({"types": ["customer.vanished"]}, 400, "customer.vanished"),
        ({"types": "customer.*"}, 400, "types"),
        ({"format": "xml"}, 400, "format"),
        ({"name": "No Name"}, 400, "name"),
        ({"secret": "mine"}, 400, "secret"),
    ],
)
def test_what_is_wrong_is_refused(
    client_of: ClientOf, more: dict[str, Any], status: int, says: str
) -> None:
    assert says in ask(client_of("admin"), "POST", "", status, **{**SHOP, **more})["detail"]


def test_a_name_is_taken_once(client_of: ClientOf) -> None:
    ask(client_of("admin"), "POST", status=201, **SHOP)
    assert "that name" in ask(client_of("admin"), "POST", status=409, **SHOP)["detail"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/shop", {"url": "https://10.0.0.1/"}, 400),
        ("/shop", {"allow_networks": []}, 400),
        ("/shop", {"types": ["x"]}, 400),
        ("/shop", {"state": "disabled"}, 400),
        ("/shop", {"name": "other"}, 400),
        ("/nobody", {"state": "paused"}, 404),
        ("/no%00body", {"state": "paused"}, 404),
    ],
)
def test_what_cannot_be_changed(
    client_of: ClientOf, path: str, body: dict[str, Any], status: int
) -> None:
    admin = client_of("admin")
    ask(admin, "POST", status=201, **SHOP)
    before = ask(admin, "GET", "/shop")
    ask(admin, "PATCH", path, status, **body)
    assert ask(admin, "GET", "/shop") == before


def test_bodies_that_are_no_json_are_400(client_of: ClientOf) -> None:
    admin = client_of("admin")
    ask(admin, "POST", status=201, **SHOP)
    for method, path in (("POST", ""), ("PATCH", "/shop"), ("POST", "/shop/replay")):
        for data in (b"", b"{", b"[]", b"\xff", b"5", b"{" * 9000):
            json = {"data": data, "content_type": "application/json"}
            answer = admin.open(f"{PATH}{path}", method=method, **json)
            assert answer.status_code == 400, data
            assert answer.mimetype == "application/problem+json"
    huge = {"data": b" " * 70_000, "content_type": "application/json"}
    assert admin.post(PATH, **huge).status_code == 413


@pytest.mark.parametrize("role", [role for role in ROLES if role != "admin"])
def test_for_administrators_alone(client_of: ClientOf, role: str) -> None:
    ask(client_of("admin"), "POST", status=201, **SHOP)
    for method, path in (
        ("GET", ""),
        ("POST", ""),
        ("GET", "/shop"),
        ("PATCH", "/shop"),
        ("DELETE", "/shop"),
        ("POST", "/shop/replay"),
        ("POST", "/shop/rotate"),
    ):
        ask(client_of(role), method, path, 403)
