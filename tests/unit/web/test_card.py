from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace as Told
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from hub.models import ContactPoint, Person
from hub.registry import Registry
from hub.store import earlier, leases, schema
from hub.store.db import Database
from tests.unit.web.conftest import HERE, app_on, client_with
from tests.unit.web.world import HONGDA, LI_NA, OLD_LI_NA, QUIET, World, ref


@pytest.mark.parametrize(
    "query",
    [
        f"customer={LI_NA}",
        f"customer={OLD_LI_NA}",
        "phone=139 0000 1234",
        "phone=%2B8613900001234",
        "email=Li.Na@hongda.example",
        "identifier=phone:13900001234",
    ],
)
def test_one_card_however_it_is_asked_for(everywhere: Database, query: str) -> None:
    client = client_with(app_on(everywhere), everywhere, "agent")
    answer = client.get(f"/card?{query}")
    assert answer.status_code == 200
    assert "<h1>李娜</h1>" in answer.text


WORDS = {
    "zh": (
        "待处理请求", "紧急", "50分钟前到期", "最近联系", "来自客户", "未付金额", "1 张发票逾期",
        "已确认", "¥5,760.00", "¥61,400.00", "保修即将到期", "已过保", "不满意：2/5",
        "客户最近的话", "未核实",
        "来自 3 个系统的 3 条记录", "客户来电", "来源优先级最高", "未采用的值", "映射版本",
        "更早的记录", "资料整理于 2分钟前",
    ),
    "en": (
        "Open requests", "Urgent", "was due 50 minutes ago", "Last contact", "from the customer",
        "Still owed", "1 invoice overdue", "Confirmed", "CN¥5,760.00", "Warranty ends soon",
        "Unhappy: 2/5", "Last words", "Out of warranty", "Only claimed", "3 records from 3 systems",
        "Call from the customer", "Its source comes first", "What lost", "Mapping",
        "Earlier events", "Put together 2 minutes ago",
    ),
}  # fmt: skip


FACTS = (
    "李娜", "上海宏达精密机械有限公司", "采购经理", "VIP", "王强", "月结 30 天", "139 0000 1234",
    "SO-2026-0417", "INV-08790", "五轴加工中心 VMC-850", "erp/parties/1042", "9c41f0a2b7de",
    "宏达精密", "角接触轴承 7014C P4", "× 2.5", "tel:+8613900001234",
)  # fmt: skip


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_card_says_it_all_in_both_languages(agent: FlaskClient, language: str) -> None:
    page = agent.get(f"/card?customer={LI_NA}&lang={language}").text
    missing = [word for word in WORDS[language] if word not in page]
    assert missing == []
    assert [word for word in FACTS if word not in page] == []
    assert "None" not in re.sub(r"<[^>]+>", "", page)


def test_headings_stand_in_order_and_every_id_is_there_once(agent: FlaskClient) -> None:
    page = agent.get(f"/card?customer={LI_NA}").text
    levels = [int(level) for level in re.findall(r"<h([1-6])", page)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    targets = re.findall(r'class="glance[^"]*" href="#([^"]+)"', page)
    assert set(targets) <= set(ids)


def test_older_events_are_a_link_away_and_none_is_lost(agent: FlaskClient) -> None:
    page = agent.get(f"/card?customer={LI_NA}").text
    events = page.partition('id="timeline"')[2].partition('id="assets"')[0]
    seen = re.findall(r"<code>((?:erp|desk|mailbox)/[^<]+)</code>", events)
    onward = re.search(r'href="(/card/timeline[^"]+)"', page)
    assert onward
    older = agent.get(onward.group(1).replace("&amp;", "&")).text
    seen += re.findall(r"<code>((?:erp|desk|mailbox)/[^<]+)</code>", older)
    assert len(seen) == len(set(seen)) == 45


def test_why_they_are_one(agent: FlaskClient) -> None:
    page = agent.get(f"/card/why?customer={LI_NA}&lang=en").text
    same, claim = "Both carry the same phone number", "surely belongs to this customer"
    for word in ("Customers merged", same, claim, "desk/users/88"):
        assert word in page


def test_a_shared_number_offers_a_choice(agent: FlaskClient) -> None:
    page = agent.get("/card?phone=021-5550 0100&lang=en")
    assert page.status_code == 200
    assert "3 customers share 021-5550 0100" in page.text
    assert f"customer={HONGDA}" in page.text


@pytest.mark.parametrize("query", ["phone=13912345678", "phone=anonymous", "email=x@y.example",
                                   "email=", "identifier=x", "customer=nobody", "",
                                   "phone=a%00b"])  # fmt: skip
def test_nobody_is_told_kindly(agent: FlaskClient, query: str) -> None:
    answer = agent.get(f"/card?{query}")
    assert answer.status_code == 404
    assert "nobody.svg" in answer.text


def test_what_is_no_identifier_reaches_no_database(everywhere: Database) -> None:
    client = client_with(app_on(everywhere), everywhere, "agent")
    assert client.get("/card?identifier=%00a:b").status_code == 404


def test_somebody_nearly_unknown_has_a_card_too(agent: FlaskClient) -> None:
    page = agent.get(f"/card?customer={QUIET}&lang=en").text
    assert "<h1>hello@quiet.example</h1>" in page
    assert "Nothing is waiting for an answer." in page
    assert "Nothing has happened yet." in page


def test_a_system_that_cannot_be_read_is_said(database: Database, agent: FlaskClient) -> None:
    assert 'class="notice"' not in agent.get(f"/card?customer={LI_NA}").text
    with database.write() as conn:
        down = update(schema.connection).where(schema.connection.c.name == "erp")
        conn.execute(down.values(state="auth_failed"))
    page = agent.get(f"/card?customer={LI_NA}&lang=en").text
    assert "erp cannot be read right now (Sign-in refused)" in page


def test_what_customers_write_is_text_and_nothing_else(
    database: Database, agent: FlaskClient
) -> None:
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    with database.write() as conn:
        world = World(conn)
        party = Person(
            ref=ref("desk/users/evil"),
            name=evil,
            organization_name=evil,
            tags=(evil,),
            contact_points=(ContactPoint(type="website", value="javascript:alert(1)"),),
        )
        world.customer("e" * 32, [world.record(party, "desk/users/evil")])
    for path in (f"/card?customer={'e' * 32}", "/", f"/card/why?customer={'e' * 32}"):
        page = agent.get(path).text
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "&lt;script&gt;" in page
        assert 'href="javascript' not in page


def test_a_card_reads_few_rows(
    database: Database, agent: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token, the profile, the states, the connections, what was written, the stamp of it all.

    What a card costs does not grow with its history.
    """
    from sqlalchemy import event

    agent.get(f"/card?customer={LI_NA}")
    monkeypatch.setattr(Registry, "FRESH_S", math.inf)  # the connections are known from here on
    asked: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
    assert agent.get(f"/card?customer={LI_NA}").status_code == 200
    selects = [sql for sql in asked if "SELECT" in sql]
    assert len(selects) <= 7


def test_a_profile_of_another_version_still_shows(database: Database, agent: FlaskClient) -> None:
    with database.write() as conn:
        newer = """replace(document, '"kind":"Person",', '"kind":"Person","from_tomorrow":1,')"""
        conn.exec_driver_sql(f"UPDATE profile SET document = {newer}")
    assert agent.get(f"/card?customer={LI_NA}").status_code == 200


@pytest.fixture
def then(database: Database, agent: FlaskClient) -> str:
    """An instant three days ago, at which her profile said what it says now; and news since."""
    at = leases.now() - timedelta(days=3)
    with database.write() as conn:
        stored = earlier.stored(conn, [LI_NA])
        long_ago = replace(stored[LI_NA], built_at=at - timedelta(days=9))
        earlier.keep(conn, {LI_NA: long_ago}, [LI_NA])
        conn.execute(update(schema.connection).values(state="degraded"))
    asked = {"subject": "上门检修", "text": "主轴又响了"}
    assert agent.post(f"/api/v1/customers/{LI_NA}/requests", json=asked).status_code == 202
    return at.isoformat()


def test_a_card_of_the_past_says_so_and_tells_of_it(agent: FlaskClient, then: str) -> None:
    query = {"customer": LI_NA, "at": then, "lang": "en"}
    page, now = (agent.get("/card", query_string=q).text for q in (query, {**query, "at": None}))
    today = ("data-events", "data-live", "data-keys", 'id="keys"', "made-row", 'class="warning',
             "was due", "cannot be read right now")  # fmt: skip
    assert [word for word in today if word not in now] == []
    assert [word for word in today if word in page] == []
    assert "This is what was known on" in page
    (back,) = re.findall(r'<a href="([^"]+)">Show today', page)
    assert "This is what" not in agent.get(back.replace("&amp;", "&")).text
    assert "Warranty ends soon" in page
    (older,) = re.findall(r'href="(/card/timeline[^"]+)"', page)
    assert f"at={quote(then, safe=':')}" in older.replace("&amp;", "&")


def test_a_timeline_of_the_past_ends_there(agent: FlaskClient, then: str) -> None:
    now = agent.get("/card/timeline", query_string={"customer": LI_NA}).text
    page = agent.get("/card/timeline", query_string={"customer": LI_NA, "at": then}).text
    for text in (now, page):
        times = [
            datetime.fromisoformat(t)
            for t in re.findall(r'<time datetime="([^"]+)" title="[^"]+">\d\d:', text)
        ]
        is_past = max(times) <= datetime.fromisoformat(then)
        assert is_past is (text == page)


def test_nothing_is_done_in_the_past(agent: FlaskClient, then: str) -> None:
    query = {"customer": LI_NA, "at": then}
    asked = {"verb": "request", "way": "x", "text": "x", "subject": "x"}
    answer = agent.post("/card/act", query_string=query, data=asked, headers=HERE)
    assert answer.status_code == 400


def test_how_the_customer_stands_is_shown_as_far_as_it_is_told(app: Flask) -> None:
    label = Told(zh="累计消费", en="Lifetime value")
    source, fact = Told(connection="erp"), Told(kind="Order", summary="SO1", status="shipped")
    company = Told(
        name="宏达",
        title="采购",
        tier="",
        source=source,
        customer_id=HONGDA,
        open_requests=(),
        orders=(fact,),
    )
    p = Told(
        segments=(Told(label=Told(zh="重要客户", en="VIP")),),
        signals=(Told(label=Told(zh="久未联系", en="Silent")),),
        traits={
            "a": Told(
                label=label, value=123450.0, unit="CNY", aggregate="sum", others=(), falls_on=None
            ),
            "b": Told(
                label=label, value=3.75, unit="csat", aggregate="average", others=(), falls_on=None
            ),
        },
        companies=(company,),
        people=(Told(customer_id=LI_NA, name="李娜", title="", open_requests=2),),
    )
    told = '{% import "standing.html" as s with context %}'
    told += "{{ s.marks(p) }}{{ s.traits(p) }}{{ s.circle(p) }}"
    with app.test_request_context("/card?lang=en"):
        page = app.jinja_env.from_string(told).render(p=p, hues={}, embedded=False)
        none = app.jinja_env.from_string(told).render(p=Told(), hues={}, embedded=False)
    for words in (
        "VIP",
        "Silent",
        "CN¥1,234.50",
        "3.8/5",
        f"customer={HONGDA}",
        "Shipped",
        "2 open",
    ):
        assert words in page, words
    assert none.strip() == ""
