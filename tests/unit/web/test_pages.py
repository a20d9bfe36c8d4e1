from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete

from hub.store import accounts, schema
from hub.store.db import Database
from tests.unit.web.conftest import PASSWORD, ClientOf
from tests.unit.web.world import LI_NA, WANG


def test_home_shows_the_newest_customers_and_the_connections(agent: FlaskClient) -> None:
    page = agent.get("/?lang=en").text
    assert page.index("李娜") < page.index("王建国") < page.index("hello@quiet.example")
    assert "Sign-in refused" in page
    assert "3 failures" in page
    assert "The server refused our token." not in page


def test_operators_read_why_a_connection_fails(client_of: ClientOf) -> None:
    assert "The server refused our token." in client_of("operator").get("/").text


def test_one_box_finds_by_name_number_and_address(agent: FlaskClient) -> None:
    for typed in ("李娜", "lina", "139 0000 1234", "LI.NA@hongda.example"):
        page = agent.get("/", query_string={"q": typed}).text
        assert f"customer={LI_NA}" in page, typed
        assert f"customer={WANG}" not in page, typed
    assert "Nobody found" in agent.get("/", query_string={"q": "Zoë", "lang": "en"}).text


def test_a_new_hub_says_what_to_do_first(database: Database, stranger: FlaskClient) -> None:
    assert "hub user add" in stranger.get("/sign-in").text
    with database.write() as conn:
        accounts.create(conn, "mei", PASSWORD, "admin")
    assert "hub user add" not in stranger.get("/sign-in").text


def test_an_empty_hub_is_friendly(database: Database, agent: FlaskClient) -> None:
    with database.write() as conn:
        for table in (schema.profile, schema.connection):
            conn.execute(delete(table))
    page = agent.get("/?lang=en").text
    assert "No customers yet" in page
    assert "No system is connected yet." in page


def test_faults_are_pages_for_people(agent: FlaskClient) -> None:
    answer = agent.get("/nothing?lang=en")
    assert answer.status_code == 404
    assert "<h1>Nothing here</h1>" in answer.text
    assert agent.get("/?after=forged").status_code == 400
    assert "<h1>That cannot be done here</h1>" in agent.delete("/?lang=en").text


@pytest.mark.parametrize("name", ["endpoint", "_external", "_scheme", "_method", "_anchor"])
def test_what_means_something_to_flask_means_nothing_in_an_address(
    stranger: FlaskClient, name: str
) -> None:
    answer = stranger.get(f"/sign-in?{name}=x&next=/inbox")
    assert answer.status_code == 200
    assert 'href="/sign-in?next=/inbox&amp;lang=en"' in answer.text
