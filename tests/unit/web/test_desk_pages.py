"""Pages of desks: who gets a session, what it opens, and what a desk's word is worth."""

from __future__ import annotations

import re
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
import responses
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from hub.store import accounts, card_tokens, schema
from hub.store.card_tokens import CardToken
from hub.store.db import Database
from tests.unit.web.conftest import HERE, PASSWORD, app_on
from tests.unit.web.world import HONGDA, LI_NA, OLD_LI_NA, VAULT

DESK = "https://desk.example"


@pytest.fixture
def desk(database: Database) -> Database:
    """The connections ``desk`` and ``erp`` are framed by a page; Mei is an agent."""
    with database.write() as conn:
        config = orjson.dumps({"frame_origins": [DESK], "url": "https://d", "region": "CN"})
        for name in ("desk", "erp"):
            values = {"config": config.decode()}
            conn.execute(
                update(schema.connection).where(schema.connection.c.name == name).values(values)
            )
        accounts.create(conn, "mei", PASSWORD, "agent")
    return database


def signed_in(database: Database, connection: str = "desk", name: str = "mei") -> str:
    """The session that the window of somebody's sign-in hands over."""
    browser = app_on(database).test_client()
    form = {"name": name, "password": PASSWORD}
    answer = browser.post(f"/sign-in?next=/desks/{connection}/sign-in", data=form, headers=HERE)
    page = browser.get(answer.location)
    return str(re.search(r'data-session="([^"]+)"', page.text)[1])  # type: ignore[index]


def asked(
    database: Database, session: str, connection: str = "desk", **whom: str
) -> tuple[int, dict[str, Any]]:
    page = app_on(database).test_client()
    headers = {"Authorization": f"Bearer {session}"}
    answer = page.post(f"/desks/{connection}/card?lang=en", json=whom, headers=headers)
    return answer.status_code, answer.get_json(silent=True) or {}


def test_the_page_itself_says_nothing_and_is_framed_by_its_desk_alone(desk: Database) -> None:
    stranger = app_on(desk).test_client()
    answer = stranger.get("/desks/desk")
    assert answer.status_code == 200
    assert answer.headers["Content-Security-Policy"].endswith(f"frame-ancestors {DESK}")
    assert f'data-origins="{DESK}"' in answer.text
    assert 'data-token=""' in answer.text
    assert "Set-Cookie" not in answer.headers
    for unknown in ("mailbox", "nobody"):  # without frame_origins, or no connection at all
        assert stranger.get(f"/desks/{unknown}").status_code == 404
        assert stranger.get(f"/desks/{unknown}/desk.js").status_code == 404
    assert "conduit:show" in stranger.get("/desks/desk/desk.js").text


@pytest.mark.parametrize(
    "whom",
    [
        {"record": "users/88"},
        {"phone": "139 0000 1234"},
        {"email": "Li.Na@HONGDA.example"},
        {"identifier": "email:li.na@hongda.example"},
        {"customer": OLD_LI_NA},
        {"record": "users/unknown", "email": "li.na@hongda.example"},
    ],
)
def test_a_session_opens_the_card_of_whom_the_desk_names(
    desk: Database, whom: dict[str, str]
) -> None:
    status, told = asked(desk, signed_in(desk), **whom)
    assert (status, told["customers"]) == (200, [])
    card = app_on(desk).test_client().get(told["card"])
    assert "李娜" in card.text
    assert 'lang="en"' in card.text
    assert card.headers["Content-Security-Policy"].endswith(f"frame-ancestors 'self' {DESK}")
    with desk.read() as conn:
        said = [
            tuple(row)
            for row in conn.execute(
                select(schema.audit.c.actor, schema.audit.c.verb, schema.audit.c.subject)
            )
        ]
    assert ("mei", "desk sign-in", "connection:desk") in said
    assert ("mei", "card link", f"customer:{LI_NA}") in said


def test_several_are_offered_nobody_is_none_and_odd_words_are_nobody(desk: Database) -> None:
    session = signed_in(desk)
    told = asked(desk, session, phone="021-5550 0100")[1]
    assert told["card"] == ""
    assert {one["id"] for one in told["customers"]} >= {LI_NA, HONGDA}
    for whom in ({}, {"email": "nobody@x.example"}, {"record": "users/\0"}, {"identifier": "x"}):
        told = asked(desk, session, **whom)[1]
        assert (told["card"], told["customers"]) == ("", [])
    assert asked(desk, session, phone="1" * 400)[0] == 400
    assert asked(desk, session, role="admin")[0] == 400


def test_a_session_opens_one_desk_and_nothing_else(desk: Database) -> None:
    session = signed_in(desk)
    assert asked(desk, session, "erp", customer=LI_NA)[0] == 302
    page = app_on(desk).test_client()
    headers = {"Authorization": f"Bearer {session}"}
    assert page.get("/api/v1/customers", headers=headers).status_code == 401
    assert page.get(f"/card?customer={LI_NA}", headers=headers).status_code == 302
    assert asked(desk, "", customer=LI_NA)[0] == 302
    forged = session.replace(session[5], "A" if session[5] != "A" else "B", 1)
    assert asked(desk, forged, customer=LI_NA)[0] == 302


def test_a_cookie_asks_for_no_card_and_a_program_gets_no_session(
    desk: Database, agent: FlaskClient
) -> None:
    browser = app_on(desk).test_client()
    browser.post("/sign-in", data={"name": "mei", "password": PASSWORD}, headers=HERE)
    answer = browser.post("/desks/desk/card", json={"customer": LI_NA}, headers=HERE)
    assert answer.status_code == 302
    assert agent.get("/desks/desk/sign-in").status_code == 403
    assert agent.post("/desks/desk/card", json={"customer": LI_NA}).status_code == 302


def test_it_is_renewed_as_it_is_used_until_the_sign_in_is_over(
    desk: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, began = signed_in(desk), time.time()
    passed = 0.0
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: began + passed)
    monkeypatch.setattr("hub.web.desk_sessions._now", lambda: int(began + passed))
    passed = 31 * 60
    assert asked(desk, session)[0] == 302
    passed = 0.0
    for minutes in range(25, 12 * 60, 25):
        passed = minutes * 60.0
        status, told = asked(desk, session)
        assert status == 200
        session = told["session"]
    passed = 12 * 3600.0 + 2
    assert asked(desk, session)[0] == 302


@pytest.mark.parametrize("change", ["closed", "password", "gone"])
def test_it_ends_with_the_account(desk: Database, change: str) -> None:
    session = signed_in(desk)
    assert asked(desk, session)[0] == 200
    with desk.write() as conn:
        if change == "closed":
            accounts.set_active(conn, "mei", active=False)
        elif change == "password":
            accounts.set_password(conn, "mei", PASSWORD + "!")
        else:
            conn.execute(schema.account.delete())
    assert asked(desk, session)[0] == 302


def test_one_sees_and_does_what_ones_account_may(desk: Database) -> None:
    session = signed_in(desk)
    whole = app_on(desk).test_client().get(asked(desk, session, customer=LI_NA)[1]["card"])
    assert "13900001234" in whole.text
    with desk.write() as conn:
        accounts.set_masked(conn, "mei", masked=True)
    card = asked(desk, session, customer=LI_NA)[1]["card"]
    assert "13900001234" not in app_on(desk).test_client().get(card).text
    several = orjson.dumps(asked(desk, session, phone="021-5550 0100")[1])
    assert b"5550" not in several


def test_nobody_signs_in_by_a_desk_that_was_not_told_to(desk: Database) -> None:
    browser = app_on(desk).test_client()
    assert browser.get("/desks/desk/member?code=x&state=y").status_code == 404


def test_the_window_is_the_only_answer_that_holds_a_session(desk: Database) -> None:
    browser = app_on(desk).test_client()
    answer = browser.get("/desks/desk/sign-in")
    assert parse_qs(urlsplit(answer.location).query)["next"] == ["/desks/desk/sign-in"]
    browser.post("/sign-in", data={"name": "mei", "password": PASSWORD}, headers=HERE)
    answer = browser.get("/desks/desk/sign-in")
    assert answer.headers["Content-Security-Policy"].endswith("frame-ancestors 'self'")
    assert 'data-token=""' in browser.get("/desks/desk").text


WECOM = "https://qyapi.weixin.qq.com/cgi-bin"
HER_ID = "wmEXAMPLE0001"


@pytest.fixture
def wecom(desk: Database) -> Database:
    """A sidebar in 企业微信; 张三 knows 李娜 there, 李四 does not, and 王五 has Mei's account."""
    config = {
        "receive_ids": ["ww1234567890abcdef"], "secret": "s", "agent_id": 1000002,
        "desk_sign_in": "desk", "desk_role": "agent", "desk_people": {"wangwu": "mei"},
    }  # fmt: skip
    with desk.write() as conn:
        row = dict(conn.execute(select(schema.connection).limit(1)).mappings().one())
        secrets = VAULT.encrypt(b"{}", context="connection:wecom")
        mine = {"name": "wecom", "adapter": "wecom", "secrets": secrets, "managed_by": "file"}
        values = {**row, **mine, "config": orjson.dumps(config).decode()}
        conn.execute(schema.connection.insert().values(values))
        ref = f"wecom/contacts/zhangsan/{HER_ID}"
        conn.execute(schema.link.insert().values(ref=ref, customer_id=LI_NA))
        person = {"ref": ref, "type": "external_userid", "value": HER_ID, "level": "proven"}
        conn.execute(schema.identifier.insert().values(person))
    return desk


def entered(browser: FlaskClient, member: str, state: str = "") -> TestResponse:
    """Come back from WeCom's sign-in as a member."""
    asked_for = parse_qs(urlsplit(browser.get("/desks/wecom").location).query)
    assert asked_for["redirect_uri"] == ["http://127.0.0.1:8360/desks/wecom/member"]
    with responses.RequestsMock(assert_all_requests_are_fired=False) as net:
        net.get(f"{WECOM}/gettoken", json={"errcode": 0, "access_token": "t", "expires_in": 7200})
        net.get(f"{WECOM}/auth/getuserinfo", json={"errcode": 0, "userid": member})
        state = state or asked_for["state"][0]
        return browser.get(f"/desks/wecom/member?code=c&state={state}")


def sidebar(browser: FlaskClient) -> tuple[str, str]:
    """The session the page is given, and its policy."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as net:
        ticket = {"errcode": 0, "ticket": "x", "expires_in": 7200}
        net.get(f"{WECOM}/gettoken", json={"errcode": 0, "access_token": "t", "expires_in": 7200})
        net.get(f"{WECOM}/get_jsapi_ticket", json=ticket)
        net.get(f"{WECOM}/ticket/get", json=ticket)
        answer = browser.get("/desks/wecom")
    assert answer.status_code == 200, answer.text
    token = re.search(r'data-token="([^"]+)"', answer.text)[1]  # type: ignore[index]
    return token, answer.headers["Content-Security-Policy"]


def opens(database: Database, card: str) -> CardToken:
    """What the address of a card opens."""
    token = parse_qs(urlsplit(card).query)["t"][0]
    found = card_tokens.genuine(app_on(database).extensions["hub"].keys, token)
    assert found is not None
    return found


def test_a_member_sees_the_customers_they_know_as_the_desk_says_and_does_nothing(
    wecom: Database,
) -> None:
    browser = app_on(wecom).test_client()
    answer = entered(browser, "zhangsan")
    assert (answer.status_code, answer.location) == (302, "/desks/wecom")
    session, policy = sidebar(browser)
    assert (
        "script-src 'self' https://res.wx.qq.com/open/js/jweixin-1.2.0.js "
        "https://open.work.weixin.qq.com/wwopen/js/jwxwork-1.0.0.js; " in policy
    )
    told = asked(wecom, session, "wecom", identifier=f"external_userid:{HER_ID}")[1]
    card = app_on(wecom).test_client().get(told["card"])
    assert "李娜" in card.text
    assert opens(wecom, told["card"]).actor == ""
    for other in ({"phone": "139 0000 1234"}, {"customer": LI_NA}, {"record": "contacts/x/y"}):
        told = asked(wecom, session, "wecom", **other)[1]
        assert (told["card"], told["customers"]) == ("", [])
    other_browser = app_on(wecom).test_client()
    entered(other_browser, "lisi")
    session = sidebar(other_browser)[0]
    told = asked(wecom, session, "wecom", identifier=f"external_userid:{HER_ID}")[1]
    assert told["card"] == ""


def test_a_member_with_an_account_here_is_that_account(wecom: Database) -> None:
    browser = app_on(wecom).test_client()
    entered(browser, "wangwu")
    session = sidebar(browser)[0]
    told = asked(wecom, session, "wecom", identifier=f"external_userid:{HER_ID}")[1]
    assert "李娜" in app_on(wecom).test_client().get(told["card"]).text
    assert opens(wecom, told["card"]).actor == "mei"
    assert browser.get("/").status_code == 302  # it opens the sidebar, and no more
    with wecom.write() as conn:
        accounts.set_active(conn, "mei", active=False)
    assert asked(wecom, session, "wecom", customer=LI_NA)[0] == 302
    assert entered(app_on(wecom).test_client(), "wangwu").status_code == 403


def test_nobody_comes_in_by_a_code_that_was_not_asked_for_here(wecom: Database) -> None:
    browser = app_on(wecom).test_client()
    assert entered(browser, "zhangsan", state="other").status_code == 400
    assert entered(browser, "").status_code == 403  # not one of the corp's members
    assert browser.get("/desks/wecom").status_code == 302
    assert browser.get("/desks/desk/member?code=c&state=").status_code == 404


def test_who_signed_in_here_needs_no_code_and_a_vendor_that_is_away_is_told_of(
    wecom: Database,
) -> None:
    browser = app_on(wecom).test_client()
    browser.post("/sign-in", data={"name": "mei", "password": PASSWORD}, headers=HERE)
    with responses.RequestsMock() as net:
        net.get(f"{WECOM}/gettoken", json={"errcode": 60020, "errmsg": "not allow"})
        answer = browser.get("/desks/wecom?lang=en")
    assert answer.status_code == 502
    assert "This page cannot be shown now" in answer.text
    assert "企业可信IP" in answer.text
    session = sidebar(browser)[0]
    assert asked(wecom, session, "wecom", phone="139 0000 1234")[1]["card"]
