from __future__ import annotations

import time

import pytest
from flask import Flask
from flask.testing import FlaskClient

from hub.store import accounts, card_tokens
from hub.store.crypto import new_key
from hub.store.db import Database
from hub.web import auth, create_app
from hub.web.context import Hub
from hub.web.limits import (
    BURST_S,
    MAX_KEYS,
    PER_ADDRESS,
    PER_NAME_AND_ADDRESS,
    WINDOW_S,
    GuessLimit,
    RateLimit,
)
from tests.unit.web.conftest import HERE, KEY, PASSWORD, TOKENS, ClientOf, app_on, client_with
from tests.unit.web.world import LI_NA, OLD_LI_NA, WANG

SIGN_IN = {"name": "mei", "password": PASSWORD}


@pytest.fixture
def mei(database: Database, stranger: FlaskClient) -> FlaskClient:
    """An agent, signed in."""
    with database.write() as conn:
        accounts.create(conn, "mei", PASSWORD, "agent")
    assert stranger.post("/sign-in", data=SIGN_IN, headers=HERE).status_code == 303
    return stranger


def test_signing_in_opens_pages_and_api_and_signing_out_closes_them(mei: FlaskClient) -> None:
    assert mei.get("/").status_code == 200
    assert mei.get("/api/v1/customers").status_code == 200
    assert mei.post("/sign-out", headers=HERE).status_code == 303
    assert mei.get("/").status_code == 302
    assert mei.get("/api/v1/customers").status_code == 401


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(
    database: Database,
) -> None:
    with database.write() as conn:
        accounts.create(conn, "mei", PASSWORD, "agent")
    for public_url, secure in (("http://hub.lan", False), ("https://hub.example", True)):
        client = app_on(database, public_url=public_url).test_client()
        answer = client.post("/sign-in", data=SIGN_IN, headers=HERE)
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert ("Secure" in cookie) is secure
        assert cookie.startswith("__Host-conduit=" if secure else "conduit=")


def test_wrong_name_and_wrong_password_look_the_same(mei: FlaskClient) -> None:
    pages = []
    for form in ({"name": "mei", "password": "x"}, {"name": "who", "password": "x"}, {}):
        answer = mei.post("/sign-in", data=form, headers=HERE)
        assert answer.status_code == 401
        pages.append(answer.text.replace('value="mei"', "").replace('value="who"', ""))
    assert pages[0] == pages[1]


def test_guessing_is_slowed_down(mei: FlaskClient) -> None:
    wrong = {"name": "mei", "password": "wrong password"}
    for _ in range(PER_NAME_AND_ADDRESS):
        assert mei.post("/sign-in", data=wrong, headers=HERE).status_code == 401
    answer = mei.post("/sign-in", data=SIGN_IN, headers=HERE)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= WINDOW_S + 1


@pytest.mark.parametrize("change", ["password", "closed", "role"])
def test_a_change_of_the_account_reaches_open_sessions(
    mei: FlaskClient, database: Database, change: str
) -> None:
    with database.write() as conn:
        if change == "password":
            accounts.set_password(conn, "mei", "another long one")
        elif change == "closed":
            accounts.set_active(conn, "mei", active=False)
        else:
            accounts.set_role(conn, "mei", "admin")
    if change == "role":
        assert mei.get("/api/v1/connections").status_code == 200
    else:
        assert mei.get("/api/v1/customers").status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Origin": "http://localhost"}, 303),
        ({"Origin": "http://127.0.0.1:8360"}, 303),  # the public address, behind a proxy
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "cors"}, 303),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({}, 403),
    ],
)
def test_forms_of_other_sites_are_refused(
    mei: FlaskClient, headers: dict[str, str], status: int
) -> None:
    assert mei.post("/sign-out", headers=headers).status_code == status
    assert mei.get("/api/v1/customers").status_code == (401 if status == 303 else 200)


def test_another_site_cannot_make_a_session_write_through_the_api(mei: FlaskClient) -> None:
    path = f"/api/v1/customers/{LI_NA}/card"
    assert mei.post(path, headers={"Origin": "http://evil.example"}).status_code == 403
    assert mei.post(path, headers=HERE).status_code == 201


def test_a_wrong_token_is_refused_even_beside_a_good_cookie(mei: FlaskClient) -> None:
    for header in ("Bearer cdt_wrong", "Bearer ", "Basic bWVpOng=", "nonsense"):
        answer = mei.get("/api/v1/customers", headers={"Authorization": header})
        assert answer.status_code == 401


def test_roles_decide(client_of: ClientOf) -> None:
    statuses = {
        role: client_of(role).get("/api/v1/connections").status_code for role in accounts.ROLES
    }
    assert statuses == {
        "admin": 200, "operator": 200, "manager": 403, "agent": 403, "auditor": 403
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wish", "where"),
    [
        ("/card?customer=a", "/card?customer=a"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\\b", "/"),
        ("/\n/evil.example", "/"),
        ("", "/"),
    ],
)
def test_signing_in_leads_nowhere_else(mei: FlaskClient, wish: str, where: str) -> None:
    answer = mei.post("/sign-in", query_string={"next": wish}, data=SIGN_IN, headers=HERE)
    assert answer.location == where


def test_sessions_and_tokens_live_through_a_change_of_keys(
    mei: FlaskClient, database: Database
) -> None:
    cookie = mei.get_cookie("conduit")
    assert cookie is not None
    link = mei.post(f"/api/v1/customers/{LI_NA}/card", headers=HERE).get_json()["url"]
    for keys, known in (([new_key(), KEY], True), ([new_key()], False)):
        client = app_on(database, secret_keys=keys).test_client()
        client.set_cookie("conduit", cookie.value)
        assert client.get("/").status_code == (200 if known else 302)
        client.delete_cookie("conduit")
        assert client.get(_path(link)).status_code == (200 if known else 401)


# Card tokens


@pytest.fixture
def link(agent: FlaskClient) -> str:
    answer = agent.post(f"/api/v1/customers/{OLD_LI_NA}/card")
    assert answer.status_code == 201
    return _path(answer.get_json()["url"])


def _path(url: str) -> str:
    assert url.startswith("http://127.0.0.1:8360/card?")
    return url.removeprefix("http://127.0.0.1:8360")


def test_a_card_link_opens_that_card_and_what_hangs_on_it(link: str, stranger: FlaskClient) -> None:
    page = stranger.get(link)
    assert page.status_code == 200
    assert "李娜" in page.text
    assert "sign-out" not in page.text
    query = link.partition("?")[2]
    assert stranger.get(f"/card/timeline?{query}").status_code == 200
    assert stranger.get(f"/card/why?{query}").status_code == 200
    assert not stranger.get_cookie("conduit")


def test_a_card_link_opens_nothing_else(link: str, stranger: FlaskClient) -> None:
    for other in (f"customer={WANG}", "phone=021-5550 0100"):
        assert "李娜" in stranger.get(f"{link}&{other}").text
        assert "王建国" not in stranger.get(f"{link}&{other}").text
    query = link.partition("?")[2]
    assert stranger.get(f"/?{query}").status_code == 302
    assert stranger.get(f"/api/v1/customers?{query}").status_code == 401


def test_a_card_link_ends(
    link: str, stranger: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = time.time() + auth.CARD_TOKEN_LIFETIME_S + 2
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: late)
    answer = stranger.get(link)
    assert answer.status_code == 401
    assert "李娜" not in answer.text


@pytest.mark.parametrize("change", ["closed", "demoted", "masked", "promoted"])
def test_a_card_link_does_no_more_than_its_maker_may_now(everywhere: Database, change: str) -> None:
    app = app_on(everywhere)
    with everywhere.write() as conn:
        accounts.create(conn, "mei", PASSWORD, "manager")
    with app.test_request_context():
        token = auth.card_token(LI_NA, auth.Caller("mei", "manager"), actor="mei")
    with everywhere.write() as conn:
        if change == "closed":
            accounts.set_active(conn, "mei", active=False)
        elif change == "masked":
            accounts.set_masked(conn, "mei", masked=True)
        else:
            accounts.set_role(conn, "mei", "agent" if change == "demoted" else "admin")
    answer = app.test_client().get(f"/card?t={token}")
    assert answer.status_code == (401 if change in ("closed", "demoted") else 200)
    assert ("13900001234" in answer.text) is (change == "promoted")


def test_a_card_link_ends_with_the_token_that_made_it(
    link: str, stranger: FlaskClient, database: Database
) -> None:
    assert stranger.get(link).status_code == 200
    with database.write() as conn:
        accounts.revoke_token(conn, "agent's program")
    assert stranger.get(link).status_code == 401


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "W10.aa.bb", "\0"])
def test_a_forged_card_token_opens_nothing(
    stranger: FlaskClient, agent: FlaskClient, token: str
) -> None:
    for client in (stranger, agent):  # nor does it fall back on who else asks
        assert client.get("/card", query_string={"t": token}).status_code == 401


def test_a_card_link_shows_what_its_maker_may_see(
    auditor: FlaskClient, stranger: FlaskClient
) -> None:
    made = auditor.post(f"/api/v1/customers/{LI_NA}/card").get_json()["url"]
    page = stranger.get(_path(made)).text
    assert "139" + " 0000" not in page
    assert "13900001234" not in page


def test_who_may_frame_a_card_is_said_per_installation(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ancestors(app: Flask, path: str, token: str = "") -> str:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        policy = app.test_client().get(path, headers=headers).headers["Content-Security-Policy"]
        return policy.rpartition("frame-ancestors ")[2]

    app = app_on(database)
    token = TOKENS[database.url, "agent"]
    with app.test_request_context():
        path = "/card?t=" + auth.card_token(LI_NA, auth.Caller("", "agent"))
    assert ancestors(app, path) == "'self'"
    desk = "https://desk.example"
    monkeypatch.setattr(Hub, "frame_ancestors", desk)
    assert ancestors(app, path) == desk
    assert ancestors(app, f"/card?customer={LI_NA}", token) == "'self'"
    monkeypatch.setattr(card_tokens, "LIFETIME_S", -1)  # so that the frame can say so
    assert ancestors(app, path) == desk
    assert ancestors(app, f"{path}x") == "'self'"


# The limit itself


@pytest.fixture
def clock() -> list[float]:
    return [1000.0]


def test_guesses_come_back_with_time(clock: list[float]) -> None:
    limit = GuessLimit(lambda: clock[0])
    for _ in range(PER_NAME_AND_ADDRESS):
        assert limit.claim("mei", "10.0.0.1") == 0
    assert limit.claim("mei", "10.0.0.1") > 0
    assert limit.claim("MEI ", "10.0.0.1") > 0
    assert limit.claim("mei", "10.0.0.2") == 0
    clock[0] += WINDOW_S + 1
    assert limit.claim("mei", "10.0.0.1") == 0


def test_a_right_guess_is_not_counted(clock: list[float]) -> None:
    limit = GuessLimit(lambda: clock[0])
    for _ in range(3 * PER_ADDRESS):
        assert limit.claim("mei", "10.0.0.1") == 0
        limit.forgive("mei", "10.0.0.1")


def test_one_address_cannot_try_many_names_nor_hop_within_its_network(clock: list[float]) -> None:
    limit = GuessLimit(lambda: clock[0])
    tried = [limit.claim(f"name{n}", f"2001:db8::{n:x}") for n in range(PER_ADDRESS + 1)]
    assert not any(tried[:-1])
    assert tried[-1] > 0


def test_memory_ends(clock: list[float]) -> None:
    limit = GuessLimit(lambda: clock[0])
    for n in range(MAX_KEYS):
        limit.claim(f"name{n}", f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}")
    assert len(limit._guesses) <= MAX_KEYS


def test_several_machines_must_share_their_keys(own_settings: object) -> None:
    from hub.errors import ConfigError
    from hub.settings import Settings

    settings = Settings(database_url="postgresql://127.0.0.1/none")
    with pytest.raises(ConfigError, match="secret_keys"):
        create_app(settings)


def test_a_token_that_asks_too_often_waits_and_no_other_does(database: Database) -> None:
    app = app_on(database, api_requests_per_s=0.5)  # five at once
    wild, calm = client_with(app, database, "agent"), client_with(app, database, "manager")
    statuses = [wild.get("/api/v1/customers?limit=1").status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    refused = wild.get("/api/v1/customers")
    assert refused.mimetype == "application/problem+json"
    assert 1 <= int(refused.headers["Retry-After"]) <= 2
    assert calm.get("/api/v1/customers").status_code == 200


def test_a_steady_caller_is_never_refused_and_a_rest_is_credited_once() -> None:
    now = [100.0]
    limit = RateLimit(2, clock=lambda: now[0])
    assert [limit.claim("a") for _ in range(2 * BURST_S + 1)] == [0] * 2 * BURST_S + [1]
    for _ in range(50):
        now[0] += 0.5
        assert limit.claim("a") == 0
    now[0] += 1000
    assert [limit.claim("a") for _ in range(2 * BURST_S)].count(0) == 2 * BURST_S
    assert limit.claim("a") > 0
    assert RateLimit(0).claim("a") == 0
