"""Many customers in one request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event

from hub.store.db import Database
from hub.web.lookup_api import ASKED_MAX, LookupAnswer
from tests.unit.web.conftest import app_on, client_with
from tests.unit.web.world import HONGDA, LI_NA, OLD_LI_NA, QUIET, WANG

PATH = "/api/v1/customers/lookup"


@pytest.fixture
def both(everywhere: Database) -> FlaskClient:
    return client_with(app_on(everywhere), everywhere, "agent")


def look_up(client: FlaskClient, *items: dict[str, Any], status: int = 200, **more: Any) -> Any:
    answer = client.post(PATH, json={"items": items, **more})
    assert answer.status_code == status, answer.text
    return answer.get_json(force=True)


def test_every_question_is_answered_in_its_place(both: FlaskClient) -> None:
    questions: list[tuple[dict[str, str], list[str]]] = [
        ({"id": LI_NA}, [LI_NA]),
        ({"id": OLD_LI_NA}, [LI_NA]),
        ({"id": "nobody"}, []),
        ({"id": "no\0body"}, []),
        ({"phone": "139 0000 1234"}, [LI_NA]),
        ({"phone": "0086-139-0000-1234"}, [LI_NA]),
        ({"phone": "13511112222"}, []),
        ({"email": "HELLO@quiet.example"}, [QUIET]),
        ({"identifier": "phone:021-5550 0100"}, [LI_NA, HONGDA, WANG]),
    ]
    document = look_up(both, *(question for question, _ in questions))
    LookupAnswer.model_validate(document)
    assert [item["customer_ids"] for item in document["items"]] == [ids for _, ids in questions]
    assert document["profiles"] == {}
    assert {item["problem"] for item in document["items"]} == {""}


def test_one_that_cannot_be_read_stops_no_other(both: FlaskClient) -> None:
    document = look_up(both, {"phone": "anonymous"}, {"email": "nobody"}, {"id": LI_NA})
    assert [item["customer_ids"] for item in document["items"]] == [[], [], [LI_NA]]
    assert [bool(item["problem"]) for item in document["items"]] == [True, True, False]


def test_profiles_come_once_each_and_as_they_are_served_alone(both: FlaskClient) -> None:
    items = ({"id": OLD_LI_NA}, {"phone": "13900001234"}, {"email": "hello@quiet.example"})
    document = look_up(both, *items, profiles=True)
    LookupAnswer.model_validate(document)
    assert document["profiles"].keys() == {LI_NA, QUIET}
    assert document["profiles"][LI_NA] == both.get(f"/api/v1/customers/{LI_NA}").get_json()


def test_a_batch_costs_as_many_statements_as_one(
    both: FlaskClient, everywhere: Database, statements: list[str]
) -> None:
    questions = [{"phone": "139 0000 1234"}, {"id": LI_NA}, {"email": "hello@quiet.example"}]
    look_up(both, *questions, profiles=True)
    few = len(statements)
    look_up(both, *(questions * 60), profiles=True)
    assert 0 < few < 10
    assert len(statements) == 2 * few


@pytest.fixture
def statements(everywhere: Database) -> Iterator[list[str]]:
    told: list[str] = []

    def note(*arguments: Any) -> None:
        told.append(arguments[2])

    event.listen(everywhere.engine, "before_cursor_execute", note)
    yield told
    event.remove(everywhere.engine, "before_cursor_execute", note)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "items"),
        ({"items": []}, "items"),
        ({"items": [{}]}, "exactly one"),
        ({"items": [{"id": LI_NA, "phone": "1"}]}, "exactly one"),
        ({"items": [{"phnoe": "1"}]}, "phnoe"),
        ({"items": [{"identifier": "phone"}]}, "identifier"),
        ({"items": [{"id": LI_NA}] * (ASKED_MAX + 1)}, "items"),
    ],
)
def test_what_is_wrong_is_named(agent: FlaskClient, body: Any, says: str) -> None:
    answer = agent.post(PATH, json=body)
    assert answer.status_code == 400
    assert says in answer.get_json(force=True)["detail"]
