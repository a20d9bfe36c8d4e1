"""What people do with the pages, done in a browser."""

from __future__ import annotations

import pytest
import requests
from flask import Flask
from playwright.sync_api import Browser, expect

from hub.web.context import Hub
from tests.e2e.conftest import Site, opened, served, sign_in
from tests.unit.web.world import LI_NA


def test_from_sign_in_to_the_reason_of_a_value_by_keyboard(browser: Browser, site: Site) -> None:
    page = opened(browser, language="en")
    page.goto(f"{site.url}/card?customer={LI_NA}")  # somebody sent a link
    page.keyboard.type("mei")
    page.keyboard.press("Tab")
    page.keyboard.type("correct horse battery")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("李娜")
    page.keyboard.press("/")
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
