"""Whoever may not see phones sees none by any route: every one there is is asked."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from urllib.parse import unquote

import orjson
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import insert, select, update

from hub.models import Channel, ContactPoint, Direction, Message, Order, Person, Ticket
from hub.profiles.mask import masked
from hub.store import accounts, alerts, news, schema
from hub.store.db import Database
from hub.store.quarantine import Fault
from hub.store.quarantine import save as save_faults
from tests.unit.web.conftest import HERE, PASSWORD, app_on
from tests.unit.web.world import World, ref

PHONE, MAIL, RESIDENT = "13655557777", "zhao.liu@secret.example", "110105194912310021"
SPELLED = f"手机 136 5555 7777，座机 010-8888 6666；邮箱 {MAIL}，身份证 {RESIDENT}"
SECRETS = ("13655557777", "01088886666", "zhao.liu@", RESIDENT)
ZHAO = "5f0c1d2e3b4a49788c6d5e4f3a2b1c77"
PARTY = f"desk/users/{PHONE}"
OTHER = "erp/parties/1042"
CASES = {
    "customer_id": ZHAO,
    "event_id": "5",
    "field": "title",
    "name": "shop",
    "verb": "replay",
    "filename": "app.css",
    "number": "0",
    "connection": "desk",
}
QUERIES: dict[str, list[dict[str, str]]] = {
    "/": [{}, {"q": "赵六"}],
    "/card": [{"customer": ZHAO}],
    "/card/timeline": [{"customer": ZHAO}],
    "/card/why": [{"customer": ZHAO}],
    "/files/0": [{}, {"ref": "desk/notes/1"}],
    "/api/v1/customers": [{}, {"q": "zl"}, {"phone": PHONE}, {"email": MAIL}],
    "/api/v1/changes": [{}],
    "/api/v1/why": [{"a": PARTY, "b": OTHER}],
    "/api/v1/trace": [
        {"ref": r} for r in (PARTY, "event:5", ZHAO, "desk/tickets/T9", "delivery:1")
    ],
}
BODIES: dict[str, Any] = {
    "/desks/desk/card": {"phone": PHONE},
    "/api/v1/customers/lookup": {
        "items": [{"phone": PHONE}, {"email": MAIL}, {"id": ZHAO}],
        "profiles": True,
    },
}


@pytest.fixture
def planted(database: Database) -> Database:
    """The same secrets in every table that ends up before somebody's eyes."""
    with database.write() as conn:
        world = World(conn)
        zhao = Person(
            ref=ref(PARTY),
            name="赵六",
            title=SPELLED,
            tags=(SPELLED,),
            extra={"备注": SPELLED, PHONE: SPELLED, "mobile_2": int(PHONE)},
            contact_points=(
                ContactPoint(type="phone", value=PHONE, label=SPELLED),
                ContactPoint(type="email", value=MAIL),
                ContactPoint(type="resident_id", value=RESIDENT),
                ContactPoint(type="wechat", value=PHONE),
            ),
        )
        facts = (
            Message(ref=ref("desk/notes/1"), channel=Channel.EMAIL, direction=Direction.IN,
                    subject=SPELLED, text=SPELLED, occurred_at=world.ago(hours=1)),
            Ticket(ref=ref("desk/tickets/T9"), subject=SPELLED, occurred_at=world.ago(hours=2)),
            Order(ref=ref("erp/sales/9"), number="SO-9", extra={"note": SPELLED},
                  occurred_at=world.ago(hours=3)),
        )  # fmt: skip
        held = [world.record(zhao, PARTY), *(world.record(fact, PARTY) for fact in facts)]
        world.customer(ZHAO, held)
        conn.execute(update(schema.raw).values(payload=orjson.dumps({"t": SPELLED}).decode()))
        evidence = [{"a": PARTY, "b": f"mailbox/people/{MAIL}", "type": "phone", "value": PHONE}]
        world.decision("new", ZHAO, evidence, a=PARTY)
        doubt = {"a": PARTY, "b": OTHER, "bits": 1.0, "weights": "shipped", "at": world.now}
        conn.execute(insert(schema.review).values(doubt))
        world.decision("reject", ZHAO, evidence, a=PARTY, b=OTHER)
        _operations(conn, world)
    return database


def _operations(conn: Any, world: World) -> None:
    """Events, faults, deliveries, alerts, states and refusals."""
    body = orjson.dumps({"id": PHONE, "text": SPELLED, "nested": {"mobile": int(PHONE)}})
    row = dict(conn.execute(select(schema.inbox).limit(1)).mappings().one())
    more = {"event_id": PHONE, "order_key": f"users/{PHONE}", "body": body, "type": SPELLED}
    told = {"state": "quarantined", "error": SPELLED, "hint": SPELLED}
    conn.execute(insert(schema.inbox).values({**row, "id": 5, **more, **told}))
    save_faults(conn, [Fault("erp", "orders", body, f"$.{PHONE}", SPELLED, inbox_id=5)])
    alerts.open_(conn, "loop", "erp", PARTY, SPELLED, SPELLED)
    framed = orjson.dumps({"frame_origins": ["https://desk.example"]}).decode()
    is_desk = schema.connection.c.name == "desk"
    conn.execute(update(schema.connection).values(reason=SPELLED))
    conn.execute(update(schema.connection).where(is_desk).values(config=framed))
    conn.execute(update(schema.checkpoint).values(error=SPELLED, failures=1))
    refused = {"path": f"/hooks/{PHONE}", "body_start": SPELLED, "reason": SPELLED}
    conn.execute(update(schema.refusal).values({**refused, "hint": SPELLED}))
    delivery = {
        "key": "k1", "connection": "erp", "stream": "parties", "subject": PARTY,
        "order_key": PARTY, "lane": "erp/out/1", "cause": orjson.dumps({"by": SPELLED}).decode(),
        "cause_ref": PARTY, "fields": orjson.dumps({"phone": PHONE, "note": SPELLED}).decode(),
        "state": "dead", "error": SPELLED, "hint": SPELLED, "external_id": PHONE,
        "available_at": world.now, "created_at": world.now,
    }  # fmt: skip
    conn.execute(insert(schema.delivery).values(delivery))


def client(database: Database, role: str, *, masked: bool) -> FlaskClient:
    """A program of that role."""
    with database.write() as conn:
        secret = accounts.create_token(conn, f"{role} {masked}", role, masked=masked)
    made = app_on(database).test_client()
    made.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
    return made


def requests(app: Flask) -> list[tuple[str, str, dict[str, str]]]:
    """Method, path and query of every address there is, with something to see behind it."""
    found = []
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:[^:>]*:)?(\w+)>", lambda m: CASES[m.group(1)], rule.rule)
        for method in sorted({"GET", "POST"} & (rule.methods or set())):
            found += [(method, path, query) for query in QUERIES.get(path, [{}])]
    return found


def happen(conn: Any) -> None:
    """Something to be told of."""
    news.of_first_load(conn, "desk", PHONE)
    conn.execute(update(schema.event).values(cause=SPELLED))
    news.number(conn)


def answered(asking: FlaskClient, method: str, path: str, query: dict[str, str]) -> str:
    """The answer, and the page behind it where there is one."""
    if path.startswith("/static"):
        return ""
    sent = {"json": BODIES.get(path, {})} if method == "POST" else {}
    answer = asking.open(path, method=method, query_string=query, **sent)  # type: ignore[arg-type]
    asking.application.extensions["hub"].database.run(happen)
    onward = (answer.get_json(silent=True) or {}).get("next")
    more = asking.get(path, query_string={**query, "cursor": onward}).text if onward else ""
    return answer.text + more


def shown(text: str) -> list[str]:
    """The secrets in an answer, however they are written."""
    plain = re.sub(r"[\s\-().]", "", unescape(unquote(text)).replace("\\u0040", "@"))
    return [secret for secret in SECRETS if secret.replace(".", "") in plain]


@pytest.mark.parametrize(("role", "flag"), [("auditor", False), ("agent", True), ("admin", True)])
def test_no_route_shows_a_phone_to_who_may_not_see_it(
    planted: Database, role: str, flag: bool
) -> None:
    asking = client(planted, role, masked=flag)
    leaks = []
    for method, path, query in requests(asking.application):
        asked = "".join(query.values())
        told = answered(asking, method, path, query)
        leaks += [(method, path, query, s) for s in shown(told) if s not in asked]
    assert leaks == []


def test_the_walk_would_see_them(planted: Database) -> None:
    """Without the flag the same addresses show what was planted: else the walk proves nothing."""
    asking, told = client(planted, "admin", masked=False), {}
    for method, path, query in requests(asking.application):
        if method == "GET":
            told[path] = told.get(path, "") + answered(asking, method, path, query)
    blind = {path for path, text in told.items() if not shown(text)}
    assert {p for p in blind if p.startswith(("/api/", "/card", "/inbox"))} <= {
        "/api/v1/openapi.json",
        "/api/v1/subscriptions",
        "/api/v1/subscriptions/shop",
        "/card/events",
        "/inbox/all/replay",
    }
    lookup = asking.post("/api/v1/customers/lookup", json=BODIES["/api/v1/customers/lookup"])
    assert set(shown(lookup.text)) == set(SECRETS)


def test_a_masked_administrator_gets_no_raw_bytes(planted: Database) -> None:
    asking = client(planted, "admin", masked=True)
    assert asking.get("/api/v1/inbox/5?raw=true").status_code == 403
    assert asking.post("/inbox/5/raw").status_code == 403


def test_a_card_link_shows_no_more_than_who_asked_for_it_may_see(planted: Database) -> None:
    asking = client(planted, "agent", masked=True)
    url = asking.post(f"/api/v1/customers/{ZHAO}/card").get_json()["url"]
    stranger = app_on(planted).test_client()
    page = stranger.get(url.partition("8360")[2])
    assert page.status_code == 200
    assert "赵六" in page.text
    assert shown(page.text) == []


def test_a_person_is_masked_from_the_next_request_on(database: Database) -> None:
    with database.write() as conn:
        accounts.create(conn, "mei", PASSWORD, "agent")
    mei = app_on(database).test_client()
    mei.post("/sign-in", data={"name": "mei", "password": PASSWORD}, headers=HERE)
    assert "li.na@" in mei.get("/api/v1/customers?q=lina").text
    with database.write() as conn:
        accounts.set_masked(conn, "mei", masked=True)
    assert "li.na@" not in mei.get("/api/v1/customers?q=lina").text


@pytest.mark.parametrize("flag", [False, True])
def test_the_page_of_a_desk_shows_no_more_than_who_signed_in_may_see(
    planted: Database, flag: bool
) -> None:
    with planted.write() as conn:
        accounts.create(conn, "mei", PASSWORD, "agent", masked=flag)
    mei = app_on(planted).test_client()
    mei.post("/sign-in", data={"name": "mei", "password": PASSWORD}, headers=HERE)
    window = mei.get("/desks/desk/sign-in").text
    session = window.partition('data-session="')[2].partition('"')[0]
    headers = {"Authorization": f"Bearer {session}"}
    told = mei.post("/desks/desk/card", json={"phone": PHONE}, headers=headers)
    page = app_on(planted).test_client().get(told.get_json()["card"])
    assert "赵六" in page.text
    assert (shown(page.text) == []) is flag
    assert shown(told.text) == []


def test_each_sight_of_a_profile_has_its_own_tag(planted: Database) -> None:
    path = f"/api/v1/customers/{ZHAO}"
    whole, seen = client(planted, "agent", masked=False), client(planted, "agent", masked=True)
    tags = [asking.get(path).headers["ETag"] for asking in (whole, seen)]
    assert tags[0] != tags[1]
    assert not any(tag.startswith("W/") for tag in tags)
    assert seen.get(path, headers={"If-None-Match": tags[1]}).status_code == 304
    assert seen.get(path, headers={"If-None-Match": tags[0]}).status_code == 200
    unchanged = whole.get(path, headers={"If-None-Match": tags[0]})
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    assert unchanged.headers["Cache-Control"] == "private, no-cache"
    assert {"Authorization", "Cookie"} <= set(unchanged.headers["Vary"].split(", "))


@pytest.mark.parametrize(
    ("document", "seen"),
    [
        ({"13655557777": 1}, {"136******77": 1}),
        ({"mobile": 13655557777}, {"mobile": "136******77"}),
        ({"is_mobile": True, "amount_minor": 13655557777},) * 2,
        ({"ref": f"desk/users/{RESIDENT}"}, {"ref": "desk/users/110*************21"}),
        ({"ref": "desk/users/136-5555-7777"}, {"ref": "desk/users/136********77"}),
    ],
)
def test_keys_numbers_and_ids(document: Any, seen: Any) -> None:
    assert masked(document) == seen
