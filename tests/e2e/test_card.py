"""What an agent does with the card: acts from it, and sees it keep up, with a vendor behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from hub.registry import Hub, apply, open_hub
from hub.settings import Settings
from hub.store import accounts, connections
from hub.store.crypto import new_key
from hub.store.migrate import migrate
from hub.web import create_app
from tests.e2e.conftest import OUT, PASSWORD, Site, opened, sign_in
from tests.e2e.test_screens import LOOKS, faults
from tests.served import served
from tests.story.helpers import account, demo, drain, pull

CARD = "/card?phone=139 1234 5670"


@dataclass(frozen=True)
class Desk(Site):
    """A site with a demo vendor behind it, whose deliveries run when the test says so."""

    hub: Hub


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    settings = Settings(
        state_dir=tmp_path,
        database_url=f"sqlite:///{tmp_path}/hub.db",
        secret_keys=[new_key()],
        connections={"crm": demo()},
    )
    hub = open_hub(settings)
    migrate(hub.database)
    apply(hub.registry, settings)
    vendor = account(hub, "crm")
    her = {"id": "C1", "name": "李娜", "phone": "13912345670", "tier": "VIP", "owner": "王强"}
    vendor.put("customers", her)
    vendor.put(
        "tickets", {"id": "T1", "subject": "主轴异响", "status": "open", "customer_id": "C1"}
    )
    said = {"channel": "chat", "direction": "in", "customer_id": "C1", "ticket_id": "T1"}
    vendor.put(
        "messages", {**said, "id": "M1", "text": "下午能来吗？", "sent_at": "2026-11-30T06:00:00Z"}
    )
    pull(hub, "crm")
    with hub.database.write() as conn:
        accounts.create(conn, "mei", PASSWORD, "agent")
    app = create_app(settings, hub.database)
    with served(app) as url:
        yield Desk(url, app, "", hub)
    hub.close()


def card(browser: Browser, desk: Desk, **look: Any) -> Page:
    page = opened(browser, **{"language": "en", **look})
    sign_in(page, desk)
    page.goto(desk.url + CARD)
    return page


def test_a_request_is_made_by_keyboard_and_comes_back_live(browser: Browser, desk: Desk) -> None:
    page = card(browser, desk)
    expect(page.locator("#requests .row-title")).to_have_text(["主轴异响"])
    page.keyboard.press("n")
    page.keyboard.type("上门检修")
    page.keyboard.press("Tab")
    page.keyboard.type("三号线停机")
    page.keyboard.press("Control+Enter")
    made = page.locator("#made .made-row")
    expect(made).to_contain_text("Waiting")
    expect(page.locator("[data-act-verb=request] > summary")).to_be_focused()
    expect(page.get_by_role("status")).to_have_text("Written down; it is being sent.")
    page.keyboard.press("r")
    page.keyboard.type("已经安排，")
    drain(desk.hub)
    expect(made).to_contain_text("Confirmed")
    expect(made).to_contain_text("crm/tickets/")
    expect(page.locator("#requests .row-title")).to_have_text(["上门检修", "主轴异响"])
    page.keyboard.type("下午三点到")
    reply = page.locator("[data-act-verb=reply] textarea")
    expect(reply).to_have_value("已经安排，下午三点到")  # what came meanwhile took nothing away
    page.keyboard.press("Control+Enter")
    expect(made).to_have_count(2)
    drain(desk.hub)
    expect(made.first).to_contain_text("Confirmed")
    written = [e.values for e in account(desk.hub, "crm").effects() if e.stream == "messages"]
    assert [(w or {})["text"] for w in written] == ["已经安排，下午三点到"]
    assert page.complaints == []  # type: ignore[attr-defined]
    page.context.close()


def test_the_same_words_again_are_sent_again(browser: Browser, desk: Desk) -> None:
    page = card(browser, desk)
    for sent in (1, 2):
        page.keyboard.press("r")
        page.keyboard.type("收到")
        page.keyboard.press("Control+Enter")
        expect(page.locator("#made .made-row")).to_have_count(sent)
        expect(page.locator("[data-act-verb=reply] > summary")).to_be_focused()
    page.context.close()


def test_what_is_chosen_stays_while_the_card_keeps_up(browser: Browser, desk: Desk) -> None:
    page = card(browser, desk)
    page.keyboard.press("r")
    way = page.locator("[data-act-verb=reply] [name=way]")
    chosen = way.select_option(index=1)
    page.locator("#head").click()
    account(desk.hub, "crm").put(
        "tickets", {"id": "T2", "subject": "漏油", "status": "open", "customer_id": "C1"}
    )
    pull(desk.hub, "crm")
    expect(page.locator("#requests .row-title")).to_have_count(2)
    expect(way).to_have_value(chosen[0])
    page.context.close()


def test_every_open_card_hears_of_it_and_rows_stay_open(browser: Browser, desk: Desk) -> None:
    one, other = card(browser, desk), card(browser, desk, width=360)
    other.locator("#requests summary").first.click()
    expect(other.locator("#requests .origin").first).to_be_visible()
    one.locator("#act summary", has_text="Note").click()
    one.locator("[data-act-verb=note] textarea").fill("客户很着急")
    one.get_by_role("button", name="Save note").click()
    expect(other.locator("#made")).to_contain_text("客户很着急")
    drain(desk.hub)
    expect(other.locator("#made")).to_contain_text("Confirmed")
    expect(other.locator("#timeline")).to_contain_text("客户很着急")
    expect(other.locator("#requests .origin").first).to_be_visible()
    with desk.hub.database.write() as conn:
        connections.set_state(conn, "crm", "paused", "")
    expect(other.locator("#notices")).to_contain_text("crm cannot be read right now")
    one.context.close()
    other.context.close()


def test_it_works_without_scripts(browser: Browser, desk: Desk) -> None:
    context = browser.new_context(java_script_enabled=False, locale="en")
    page = context.new_page()
    sign_in(page, desk)
    page.goto(desk.url + CARD)
    page.locator("#act summary", has_text="New request").click()
    page.locator("[data-act-verb=request] [name=subject]").fill("备件")
    page.locator("[data-act-verb=request] textarea").fill("轴承 7014C")
    page.get_by_role("button", name="Create request").click()
    expect(page.locator("#made .made-row")).to_contain_text("备件")
    expect(page.locator("[data-keys]")).to_be_hidden()
    context.close()


def test_a_lost_session_loses_no_words(browser: Browser, desk: Desk) -> None:
    page = card(browser, desk)
    page.keyboard.press("m")
    page.keyboard.type("很长的备注")
    page.context.clear_cookies()
    page.get_by_role("button", name="Save note").click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("[data-act-verb=note] textarea")).to_have_value("很长的备注")
    assert account(desk.hub, "crm").effects() == []
    page.context.close()


def test_everything_is_reached_by_keyboard_and_seen_when_it_is(
    browser: Browser, desk: Desk
) -> None:
    page = card(browser, desk)
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("To the customer")
    page.keyboard.press("Enter")
    seen: list[str] = []
    for _ in range(200):
        page.keyboard.press("Tab")
        place = page.evaluate(
            """() => { const e = document.activeElement, s = getComputedStyle(e);
            return e === document.body ? null : [e.outerHTML.slice(0, 120), s.outlineStyle] }"""
        )
        if place is None or place[0] in seen:
            break
        assert place[1] != "none", place[0]
        seen.append(place[0])
    reachable = page.locator("main :is(a[href], button, summary):visible").count()
    assert len(seen) >= reachable
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.locator("[data-keys-on]").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    expect(page.locator("[data-act-verb=request] form")).to_be_hidden()
    page.context.close()


@pytest.mark.parametrize(("width", "language", "scheme"), LOOKS)
def test_every_form(browser: Browser, desk: Desk, width: int, language: str, scheme: Any) -> None:
    OUT.mkdir(exist_ok=True)
    page = card(browser, desk, width=width, language=language, scheme=scheme)
    look = f"{width}-{language}-{scheme}"
    for key, name in (("n", "request"), ("r", "reply"), ("m", "note")):
        page.keyboard.press(key)
        expect(page.locator(f"[data-act-verb={name}] form")).to_be_visible()
        page.screenshot(path=OUT / f"act-{name}-{look}.png")
        assert faults(page) == [], name
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        page.keyboard.press("Escape")
    page.locator("#act summary").first.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.screenshot(path=OUT / f"keys-{look}.png")
    assert faults(page) == [], "keys"
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    page.keyboard.type("上门检修")
    page.locator("[data-act-verb=request] textarea").fill("三号线停机")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#made .made-row")).to_have_attribute("data-state", "queued")
    drain(desk.hub)
    expect(page.locator("#made .made-row")).to_have_attribute("data-state", "confirmed")
    expect(page.locator(".live")).to_have_text(re.compile("Live|实时"))
    page.screenshot(path=OUT / f"done-{look}.png", full_page=True)
    assert faults(page) == [], "done"
    page.context.close()
