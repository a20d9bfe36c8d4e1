"""Signed addresses for frames in other systems: for whom, as whom, how long, and framed by whom."""

from __future__ import annotations

import time
from typing import Any

import pytest
from flask.testing import FlaskClient

from hub.store.db import Database
from tests.unit.web.conftest import ClientOf
from tests.unit.web.world import LI_NA, OLD_LI_NA

TOKENS = "/api/v1/card-tokens"


def asked(client: FlaskClient, **body: Any) -> tuple[int, str]:
    """Status, and the path of the card or what is wrong."""
    answer = client.post(TOKENS, json=body)
    told = answer.get_json()
    return answer.status_code, told.get("url", told.get("detail", "")).partition(":8360")[2] or str(
        told.get("detail")
    )


@pytest.mark.parametrize(
    "whom",
    [
        {"customer": OLD_LI_NA},
        {"phone": "139 0000 1234"},
        {"email": "Li.Na@HONGDA.example"},
        {"identifier": "email:li.na@hongda.example"},
    ],
)
def test_a_card_is_opened_for_whomever_a_desk_knows(
    agent: FlaskClient, stranger: FlaskClient, whom: dict[str, str]
) -> None:
    status, path = asked(agent, **whom)
    assert status == 201
    assert "李娜" in stranger.get(path).text


def test_one_lends_no_role_above_ones_own(client_of: ClientOf, stranger: FlaskClient) -> None:
    assert asked(client_of("auditor"), customer=LI_NA, role="agent")[0] == 403
    assert asked(client_of("agent"), customer=LI_NA, role="admin")[0] == 403
    status, path = asked(client_of("agent"), customer=LI_NA, role="auditor")
    assert status == 201
    assert "13900001234" not in stranger.get(path).text


def test_a_link_lives_as_long_as_was_asked(
    agent: FlaskClient, stranger: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = asked(agent, customer=LI_NA, lifetime_s=60)[1]
    now = time.time()
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now + 58)
    assert stranger.get(path).status_code == 200
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now + 63)
    assert stranger.get(path).status_code == 401


def test_who_may_frame_a_card_is_signed_with_it(
    agent: FlaskClient, stranger: FlaskClient, database: Database
) -> None:
    with database.write() as conn:
        update = "UPDATE connection SET config = ? WHERE name = 'erp'"
        conn.exec_driver_sql(
            update, ('{"frame_origins": ["https://a.example", "https://b.example"]}',)
        )
    for body, wanted in (
        ({}, "'self'"),
        ({"frame_origin": "https://desk.example:8443"}, "https://desk.example:8443"),
        ({"desk": "erp"}, "https://a.example https://b.example"),
    ):
        path = asked(agent, customer=LI_NA, **body)[1]
        policy = stranger.get(path).headers["Content-Security-Policy"]
        assert policy.endswith(f"frame-ancestors {wanted}")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"customer": LI_NA, "phone": "13900001234"}, 400),
        ({"customer": LI_NA, "frame_origin": "https://a.example; script-src *"}, 400),
        ({"customer": LI_NA, "frame_origin": "*"}, 400),
        ({"customer": LI_NA, "frame_origin": "https://a.example", "desk": "erp"}, 400),
        ({"customer": LI_NA, "lifetime_s": 901}, 400),
        ({"customer": LI_NA, "desk": "nobody's"}, 404),
        ({"customer": "nobody"}, 404),
        ({"phone": "021-5550 0100"}, 409),
        ({"phone": "not a number"}, 404),
    ],
)
def test_what_is_not_one_clear_wish_is_refused(
    agent: FlaskClient, body: dict[str, Any], status: int
) -> None:
    assert asked(agent, **body)[0] == status
