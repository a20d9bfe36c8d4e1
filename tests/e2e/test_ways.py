"""What people do with the pages, done in a browser."""

from __future__ import annotations

import pytest
import requests
from flask import Flask
from playwright.sync_api import Browser, expect

from hub.web.context import Hub
from tests.e2e.conftest import Site, opened, sign_in
from tests.served import served
from tests.unit.web.world import LI_NA


def test_from_sign_in_to_the_reason_of_a_value_by_keyboard(browser: Browser, site: Site) -> None:
    page = opened(browser, language="en")
    page.goto(f"{site.url}/card?customer={LI_NA}")  # somebody sent a link
    expect(page.locator("[name=name]")).to_be_focused()  # a frame after the page has loaded
    page.keyboard.type("mei")
    page.keyboard.press("Tab")
    page.keyboard.type("correct horse battery")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("李娜")
    page.wait_for_load_state()  # its script listens to keys from then on
    page.keyboard.press("/")
    expect(page.locator("[name=q]")).to_be_focused()
    page.keyboard.type("lina")
    page.keyboard.press("Enter")
    expect(page.locator(".customer")).to_have_count(1)
    page.locator(".customer").focus()
    page.keyboard.press("Enter")
    company = page.locator("#values summary", has_text="Company")
    company.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#values .lost s", has_text="宏达精密")).to_be_visible()
    page.get_by_role("link", name="Home").or_(page.locator(".brand")).first.click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("[name=password]")).to_be_visible()
    page.context.close()


def test_a_wrong_password_is_said_and_the_name_is_kept(browser: Browser, site: Site) -> None:
    page = opened(browser)
    page.goto(f"{site.url}/sign-in")
    page.fill("[name=name]", "mei")
    page.fill("[name=password]", "wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("不匹配")
    expect(page.locator("[name=name]")).to_have_value("mei")
    page.context.close()


def test_a_number_is_copied_with_one_click(browser: Browser, site: Site) -> None:
    page = opened(browser)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    sign_in(page, site)
    page.goto(f"{site.url}/card?customer={LI_NA}")
    page.locator("button.copy").first.click()
    expect(page.locator("button.copy").first).to_have_class("copy done")
    assert page.evaluate("navigator.clipboard.readText()") == "+8613900001234"
    page.context.close()


def test_the_older_events_are_two_clicks_away(browser: Browser, site: Site) -> None:
    page = opened(browser)
    sign_in(page, site)
    page.goto(f"{site.url}/card?customer={LI_NA}")
    shown = page.locator("#timeline .event:visible").count()
    page.locator("#timeline .fold > summary").click()
    assert page.locator("#timeline .event:visible").count() > shown
    page.get_by_role("link", name="更早的记录").click()
    expect(page.locator(".event")).to_have_count(25)
    page.context.close()


def test_without_scripts_nothing_is_missing(browser: Browser, site: Site) -> None:
    context = browser.new_context(java_script_enabled=False, locale="en")
    page = context.new_page()
    sign_in(page, site)
    page.goto(f"{site.url}/card?customer={LI_NA}")
    page.locator("#orders summary").first.click()
    expect(page.locator("#orders .lines").first).to_be_visible()
    expect(page.locator("button.copy").first).to_be_hidden()
    context.close()


@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_desk_on_another_site_frames_the_card_only_if_it_is_named(
    browser: Browser, site: Site, monkeypatch: pytest.MonkeyPatch, is_allowed: bool
) -> None:
    path = f"{site.url}/api/v1/customers/{LI_NA}/card"
    made = requests.post(path, headers={"Authorization": f"Bearer {site.token}"}, timeout=10)
    card = site.url + "/card?" + made.json()["url"].partition("?")[2]
    desk = Flask("desk")
    desk.add_url_rule("/", view_func=lambda: f'<iframe src="{card}" width="360" height="800">')
    with served(desk, "localhost") as where:
        monkeypatch.setattr(Hub, "frame_ancestors", where if is_allowed else "'self'")
        page = opened(browser, width=400)
        page.goto(where)
        name = page.frame_locator("iframe").locator("h1")
        if is_allowed:
            expect(name).to_have_text("李娜")
            frame = page.frame_locator("iframe")
            frame.get_by_role("link", name="为什么认定是同一位客户").click()
            expect(frame.locator(".decision")).to_have_count(4)
        else:
            page.wait_for_load_state("networkidle")
            expect(name).not_to_have_text("李娜")
        page.context.close()


def test_a_quarantined_event_is_found_read_and_replayed_by_keyboard(
    browser: Browser, site: Site
) -> None:
    page = opened(browser, language="en")
    page.on("dialog", lambda dialog: dialog.dismiss())
    sign_in(page, site, "lin")
    page.get_by_role("link", name="Inbox").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Quarantined", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator(".hook")).to_have_count(1)
    page.locator(".hook").focus()
    page.keyboard.press("Enter")
    expect(page.locator("pre.body")).to_contain_text('"text": "备件已发出"')
    expect(page.locator("pre.body")).not_to_contain_text("s3cr3t")
    page.get_by_role("button", name="Replay").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Queued again")
    page.get_by_role("button", name="Skip").click()
    expect(page.get_by_role("status")).to_contain_text("Left aside")
    with page.expect_download() as told:
        page.get_by_role("button", name="Download").click()
    assert "s3cr3t-canary" in told.value.path().read_text()
    assert page.complaints == []  # type: ignore[attr-defined]
    page.context.close()


def test_a_filter_finds_events_and_all_of_them_are_replayed_after_a_look(
    browser: Browser, site: Site
) -> None:
    page = opened(browser, width=360, language="en")
    sign_in(page, site, "lin")
    page.goto(f"{site.url}/inbox")
    page.locator(".filters summary").click()
    page.select_option("[name=connection]", "erp")
    page.fill("[name=type]", "order.created")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".hook")).to_have_count(2)
    page.get_by_role("link", name="Replay all found").click()
    expect(page.get_by_text("1 has expired")).to_be_visible()
    page.get_by_role("button", name="Replay").click()
    expect(page.get_by_role("status")).to_contain_text("1 event is queued again")
    page.context.close()


def test_who_was_refused_and_why_is_two_clicks_away(browser: Browser, site: Site) -> None:
    page = opened(browser, language="en")
    sign_in(page, site, "lin")
    page.goto(f"{site.url}/inbox")
    page.get_by_role("link", name="Refused").click()
    page.locator("summary.hook", has_text="erp").click()
    expect(page.get_by_text("no configured secret fits the signature")).to_be_visible()
    expect(page.locator("details[open] pre.body")).to_contain_text('"token": "***"')
    page.context.close()


def test_an_agent_is_offered_no_inbox(browser: Browser, site: Site) -> None:
    page = opened(browser, language="en")
    sign_in(page, site)
    expect(page.get_by_role("link", name="Inbox")).to_have_count(0)
    page.goto(f"{site.url}/inbox")
    expect(page.locator("h1")).to_have_text("Not for your role")
    page.context.close()
