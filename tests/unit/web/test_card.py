from __future__ import annotations

import re
from itertools import pairwise

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from hub.models import ContactPoint, Person
from hub.store import schema
from hub.store.db import Database
from tests.unit.web.conftest import app_on, client_with
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
        "已确认", "¥5,760.00", "¥61,400.00", "保修期内", "已过保", "未核实",
        "来自 3 个系统的 3 条记录", "客户来电", "来源优先级最高", "未采用的值", "映射版本",
        "更早的记录", "资料整理于 2分钟前",
    ),
    "en": (
        "Open requests", "Urgent", "was due 50 minutes ago", "Last contact", "from the customer",
        "Still owed", "1 invoice overdue", "Confirmed", "CN¥5,760.00", "In warranty",
        "Out of warranty", "Only claimed", "3 records from 3 systems",
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


def test_somebody_nearly_unknown_has_a_card_too(agent: FlaskClient) -> None:
    page = agent.get(f"/card?customer={QUIET}&lang=en").text
    assert "<h1>hello@quiet.example</h1>" in page
    assert "Nothing is waiting for an answer." in page
    assert "Nothing has happened yet." in page


def test_a_system_that_cannot_be_read_is_said(database: Database, agent: FlaskClient) -> None:
    assert "notice" not in agent.get(f"/card?customer={LI_NA}").text
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


def test_a_card_reads_few_rows(database: Database, agent: FlaskClient) -> None:
    """The token, the profile and the states: what a card costs does not grow with its history."""
    from sqlalchemy import event

    asked: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
    assert agent.get(f"/card?customer={LI_NA}").status_code == 200
    selects = [sql for sql in asked if "SELECT" in sql]
    assert len(selects) == 3


def test_a_profile_of_another_version_still_shows(database: Database, agent: FlaskClient) -> None:
    with database.write() as conn:
        newer = """replace(document, '"kind":"Person",', '"kind":"Person","from_tomorrow":1,')"""
        conn.exec_driver_sql(f"UPDATE profile SET document = {newer}")
    assert agent.get(f"/card?customer={LI_NA}").status_code == 200
