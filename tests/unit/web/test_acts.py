"""What can be done from the card and by the API: by whom, where to, and how it is told."""

from __future__ import annotations

import re
import threading
from typing import Any

import orjson
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from hub.store import card_tokens, schema
from hub.store.accounts import ROLES
from hub.store.db import Database
from hub.web import auth, watch
from tests.unit.web.conftest import HERE, ClientOf, app_on, client_with
from tests.unit.web.world import HONGDA, LI_NA, MAIL, OLD_LI_NA, QUIET

ASK = {"subject": "上门检修", "text": "主轴又响了"}
HER = f"/api/v1/customers/{LI_NA}"


def deliveries(database: Database) -> list[Any]:
    with database.read() as conn:
        return list(conn.execute(select(schema.delivery).order_by(schema.delivery.c.id)))


def fields(database: Database) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(deliveries(database)[-1].fields)
    return found


def test_a_request_goes_to_the_desk_that_knows_her(everywhere: Database) -> None:
    agent = client_with(app_on(everywhere), everywhere, "agent")
    answer = agent.post(f"{HER}/requests", json={**ASK, "priority": "urgent"})
    assert answer.status_code == 202
    (row,) = deliveries(everywhere)
    assert answer.json == {"delivery": row.id}
    assert (row.connection, row.stream, row.state) == ("desk", "issues", "queued")
    assert fields(everywhere) == {
        "subject": "上门检修",
        "description": "主轴又响了",
        "priority": "urgent",
        "requester": {"connection": "desk", "stream": "users", "id": "88"},
    }
    with everywhere.read() as conn:
        noted = conn.execute(select(schema.audit).order_by(schema.audit.c.id.desc())).first()
    assert noted is not None
    told = (noted.actor, noted.verb, noted.subject)
    assert told == ("agent's program", "request", f"delivery:{row.id}")
    listed = agent.get(f"{HER}/acts").json
    assert listed is not None
    assert [(m["id"], m["verb"], m["state"]) for m in listed["made"]] == [
        (row.id, "request", "queued")
    ]


def test_a_reply_answers_her_last_mail(database: Database, agent: FlaskClient) -> None:
    assert agent.post(f"{HER}/replies", json={"text": "下午三点到"}).status_code == 202
    assert fields(database) == {
        "text": "下午三点到",
        "subject": "Re: 三号线主轴异响",
        "to": [{"type": "email", "value": MAIL}],
        "in_reply_to": {"connection": "mailbox", "stream": "messages", "id": "msg-771"},
    }


def test_a_reply_on_a_ticket_goes_to_the_ticket(database: Database, agent: FlaskClient) -> None:
    asked = {"text": "已安排", "answers": "desk/issues/2198"}
    assert agent.post(f"{HER}/replies", json=asked).status_code == 202
    assert deliveries(database)[-1].stream == "messages"
    assert fields(database)["ticket"] == {"connection": "desk", "stream": "issues", "id": "2198"}


def test_ways_are_told_the_likeliest_first(agent: FlaskClient) -> None:
    found = agent.get(f"{HER}/acts").json
    assert found is not None
    told = [(w["verb"], w["connection"], w["answers"] or w["to"]) for w in found["ways"]]
    assert told == [
        ("request", "desk", ""),
        ("reply", "mailbox", "mailbox/messages/msg-771"),
        ("reply", "desk", "desk/issues/2207"),
        ("reply", "desk", "desk/issues/2198"),
    ]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("replies", {"text": "x", "to": "somebody@else.example"}),  # no address of hers
        ("replies", {"text": "x", "answers": "desk/issues/1"}),
        ("requests", {**ASK, "connection": "erp"}),
        ("requests", {**ASK, "connection": "chat"}),  # signed out
        ("notes", {"text": "x"}),  # a note must not land where customers read it
    ],
)
def test_where_nothing_leads_nothing_is_written(
    database: Database, agent: FlaskClient, path: str, body: dict[str, str]
) -> None:
    assert agent.post(f"{HER}/{path}", json=body).status_code == 409
    assert deliveries(database) == []


def test_a_stopped_system_is_not_offered(database: Database, agent: FlaskClient) -> None:
    with database.write() as conn:
        desk = update(schema.connection).where(schema.connection.c.name == "desk")
        conn.execute(desk.values(state="paused"))
    assert agent.post(f"{HER}/requests", json=ASK).status_code == 409


def test_the_same_key_writes_once(database: Database, agent: FlaskClient) -> None:
    key = {"Idempotency-Key": "7"}
    first = agent.post(f"{HER}/requests", json=ASK, headers=key).json
    assert agent.post(f"{HER}/requests", json=ASK, headers=key).json == first
    assert agent.post(f"{HER}/requests", json=ASK).json != first
    other = f"/api/v1/customers/{QUIET}/requests"  # a program may use one key for a whole list
    assert agent.post(other, json=ASK, headers=key).json != first
    assert len(deliveries(database)) == 3


def test_who_only_looks_writes_nothing(client_of: ClientOf, database: Database) -> None:
    for role in ROLES:
        answer = client_of(role).post(f"{HER}/requests", json=ASK)
        assert answer.status_code == (403 if role == "auditor" else 202), role
    assert len(deliveries(database)) == len(ROLES) - 1
    seen = client_of("auditor").get(f"{HER}/acts").text
    assert MAIL not in seen
    assert (
        '<form method="post" action="/card/act'
        not in client_of("auditor").get(f"/card?customer={LI_NA}").text
    )


def form_of(page: str, verb: str) -> dict[str, str]:
    """What the form of a verb would send."""
    (form,) = re.findall(rf'data-act-verb="{verb}".*?</form>', page, re.DOTALL)
    key = re.search(r'name="key" value="([^"]+)"', form)
    way = re.search(r'<option value="([^"]+)"', form)
    assert key
    assert way
    return {"verb": verb, "key": key.group(1), "way": way.group(1)}


def test_a_form_pressed_twice_is_one_delivery_and_the_card_shows_it(
    database: Database, agent: FlaskClient
) -> None:
    form = form_of(agent.get(f"/card?customer={LI_NA}").text, "request") | ASK
    for _ in range(2):
        answer = agent.post(f"/card/act?customer={LI_NA}", data=form, headers=HERE)
        assert answer.status_code == 303
    assert len(deliveries(database)) == 1
    page = agent.get(answer.location).text
    made = page.partition('id="made"')[2].partition("</section>")[0]
    assert "上门检修" in made
    assert 'data-state="queued"' in made


def test_why_it_failed_is_said_in_the_reader_s_language(
    database: Database, agent: FlaskClient
) -> None:
    assert agent.post(f"{HER}/requests", json=ASK).status_code == 202
    with database.write() as conn:
        conn.execute(update(schema.delivery).values(state="dead", hint="Is the bot in that room?"))
    page = agent.get(f"/card?customer={LI_NA}&lang=zh").text
    made = page.partition('id="made"')[2].partition("</section>")[0]
    assert "未能写入对方系统" in made
    assert '<small lang="en">Is the bot in that room?</small>' in made


def test_what_was_typed_survives_a_refusal(database: Database, agent: FlaskClient) -> None:
    form = form_of(agent.get(f"/card?customer={LI_NA}&lang=en").text, "request")
    typed = {**form, "subject": " ", "text": "主轴 <又响了>"}
    answer = agent.post(f"/card/act?customer={LI_NA}&lang=en", data=typed, headers=HERE)
    assert answer.status_code == 422
    assert "Write something first." in answer.text
    assert "主轴 &lt;又响了&gt;" in answer.text
    gone = {**form, **ASK, "way": "0" * 16}
    answer = agent.post(f"/card/act?customer={LI_NA}&lang=en", data=gone, headers=HERE)
    assert (answer.status_code, "not open any more" in answer.text) == (422, True)
    too_long = {**form, **ASK, "text": "长" * 10_001}
    parts = {"content_type": "multipart/form-data", "headers": HERE}
    answer = agent.post(f"/card/act?customer={LI_NA}&lang=en", data=too_long, **parts)
    assert (answer.status_code, "too long" in answer.text) == (422, True)
    assert agent.post(f"/card/act?customer={LI_NA}", data={"verb": "x"}).status_code == 400
    most = {**form, **ASK, "text": "长" * 9_999 + "\r\n\r\n"}
    assert deliveries(database) == []
    answer = agent.post(f"/card/act?customer={LI_NA}&lang=en", data=most, **parts)
    assert answer.status_code == 303


def test_somebody_without_records_to_answer_is_offered_what_there_is(agent: FlaskClient) -> None:
    stranger, company = (agent.get(f"/card?customer={id_}").text for id_ in (QUIET, HONGDA))
    assert 'data-act-verb="reply"' in stranger
    assert 'data-act-verb="reply"' not in company, "no address, no ticket"
    assert 'data-act-verb="request"' in company


def test_a_card_link_acts_for_whoever_made_it_unless_it_is_only_to_be_read(
    app: Flask, database: Database, agent: FlaskClient, stranger: FlaskClient
) -> None:
    def link(query: str = "") -> str:
        made = agent.post(f"{HER}/card{query}").json
        assert made is not None
        return "/card?" + str(made["url"]).partition("?")[2]

    page = stranger.get(link()).text
    act = re.search(r'action="(/card/act\?[^"]+)"', page)
    assert act
    address = act.group(1).replace("&amp;", "&")
    form = form_of(page, "request") | ASK
    assert stranger.post(address, data=form).status_code == 403, "sent from another site"
    assert stranger.post(address, data=form, headers=HERE).status_code == 303
    (row,) = deliveries(database)
    assert orjson.loads(row.cause)["actor"] == "agent's program"
    read_only = link("?read_only=true")
    assert "/card/act" not in stranger.get(read_only).text
    there = read_only.replace("/card?", "/card/act?")
    assert stranger.post(there, data=form, headers=HERE).status_code == 403
    with app.test_request_context():
        eve = auth.Caller("auditor's program", "auditor")
        masked = "/card/act?t=" + auth.card_token(LI_NA, eve, actor=eve.name)
    assert stranger.post(masked, data=form, headers=HERE).status_code == 403
    assert len(deliveries(database)) == 1


def test_who_sees_hidden_addresses_writes_to_the_true_ones(
    monkeypatch: pytest.MonkeyPatch, database: Database, agent: FlaskClient
) -> None:
    monkeypatch.setattr(auth, "MASKED_ROLES", frozenset({"agent"}))
    page = agent.get(f"/card?customer={LI_NA}").text
    assert MAIL not in page
    form = form_of(page, "reply") | {"text": "下午三点到"}
    answer = agent.post(f"/card/act?customer={LI_NA}", data=form, headers=HERE)
    assert answer.status_code == 303
    assert fields(database)["to"] == [{"type": "email", "value": MAIL}]


def test_a_masked_caller_answers_what_they_were_shown(
    monkeypatch: pytest.MonkeyPatch, database: Database, agent: FlaskClient
) -> None:
    mail, ticket = "mailbox/messages/<7@hongda.example>", "desk/issues/20261121000123"
    with database.write() as conn:
        for old, new in (("mailbox/messages/msg-771", mail), ("desk/issues/2207", ticket)):
            document = func.replace(schema.profile.c.document, f'"{old}"', f'"{new}"')
            conn.execute(update(schema.profile).values(document=document))
    monkeypatch.setattr(auth, "MASKED_ROLES", frozenset({"agent"}))
    page = agent.get(f"/card?customer={LI_NA}").text
    asked = re.search(r'data-answer="([^"]+)"', page)
    assert asked
    assert f'data-answers="{asked.group(1)}"' in page
    listed = agent.get(f"{HER}/acts").json
    assert listed is not None
    shown = [way["answers"] for way in listed["ways"] if way["verb"] == "reply"]
    assert shown[:2] == ["mailbox/messages/<7***@hongda.example>", ticket]
    for answers, field in zip(shown, ("in_reply_to", "ticket"), strict=False):
        answer = agent.post(f"{HER}/replies", json={"text": "好", "answers": answers})
        assert answer.status_code == 202
        assert fields(database)[field]["id"] == (mail if "<" in answers else ticket).split("/")[2]
    her = {"text": "好", "to": "l***@hongda.example"}
    assert agent.post(f"{HER}/replies", json=her).status_code == 202
    assert fields(database)["to"][0]["value"] == MAIL


def told(answer: Any) -> dict[str, str]:
    """The fields of one server-sent event."""
    assert answer.mimetype == "text/event-stream"
    lines = (line.partition(": ") for line in answer.text.split("\n") if line)
    return {name: value for name, _, value in lines}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ticks that a test need not wait for."""
    monkeypatch.setattr(watch, "TICK_S", 0.01)


@pytest.mark.usefixtures("quick")
def test_an_open_card_is_told_of_a_change_and_of_what_it_missed(everywhere: Database) -> None:
    app = app_on(everywhere)
    agent = client_with(app, everywhere, "agent")
    page = agent.get(f"/card?customer={LI_NA}").text
    address = re.search(r'data-events="([^"]+)"', page)
    assert address
    events = address.group(1).replace("&amp;", "&")
    heard: list[dict[str, str]] = []
    waiting = threading.Thread(target=lambda: heard.append(told(agent.get(events))))
    waiting.start()
    assert (
        client_with(app, everywhere, "agent").post(f"{HER}/requests", json=ASK).status_code == 202
    )
    waiting.join()
    (first,) = heard
    assert first["event"] == "changed"
    assert f'data-stamp="{first["id"]}"' in agent.get(f"/card?customer={LI_NA}").text
    with everywhere.write() as conn:
        conn.execute(update(schema.delivery).values(state="confirmed"))
    missed = told(agent.get(events, headers={"Last-Event-ID": first["id"]}))
    assert missed["event"] == "changed"
    assert missed["id"] != first["id"]


@pytest.mark.usefixtures("quick")
def test_without_a_seat_it_is_told_at_once_and_comes_again_later(
    monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    monkeypatch.setattr(watch, "SEATS", 0)
    agent = client_with(app_on(database), database, "agent")
    for _ in range(3):  # nothing is waited for, whether it is known yet or not
        answer = told(agent.get(f"/card/events?customer={LI_NA}"))
        assert answer["retry"] == str(watch.LATER_MS)


@pytest.mark.usefixtures("quick")
def test_a_held_answer_ends_by_itself_and_with_the_right_to_it(
    monkeypatch: pytest.MonkeyPatch, app: Flask, agent: FlaskClient, stranger: FlaskClient
) -> None:
    monkeypatch.setattr(watch, "HELD_S", 0.05)
    stamp = re.search(r'data-stamp="(\w+)"', agent.get(f"/card?customer={LI_NA}").text)
    assert stamp
    quiet = told(agent.get(f"/card/events?customer={LI_NA}&since={stamp.group(1)}"))
    assert quiet == {"retry": str(watch.SOON_MS)}
    assert stranger.get(f"/card/events?customer={LI_NA}").status_code == 302
    with app.test_request_context():
        token = auth.card_token(LI_NA, auth.Caller("", "agent"))
    own = told(stranger.get(f"/card/events?t={token}&customer={QUIET}&since=x"))
    assert own["id"] == stamp.group(1), "a link hears of its own customer and nobody else"
    with app.test_request_context():
        before = auth.card_token(OLD_LI_NA, auth.Caller("", "agent"))  # she was merged since
    shown = re.search(r'data-stamp="(\w+)"', stranger.get(f"/card?t={before}").text)
    assert shown
    quiet = told(stranger.get(f"/card/events?t={before}&since={shown.group(1)}"))
    assert quiet == {"retry": str(watch.SOON_MS)}
    monkeypatch.setattr(card_tokens, "LIFETIME_S", -1)
    assert stranger.get(f"/card/events?t={token}").status_code == 401
