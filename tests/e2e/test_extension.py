"""The browser extension in a real Chromium: what it finds, when it asks, and what it shows.

The extension asks people for the addresses it may reach; nobody can answer that here, so a copy of
it is told that the loopback was allowed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Page, Worker, expect

from hub.registry import ROOT
from tests.e2e.conftest import CHROMIUM, OUT, Site, running, sign_in
from tests.served import served

EXTENSION = ROOT / "desks" / "extension"
SHARED = "021-5550 0100"
PAGE = f"""<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>Orders</title>
<h1>订单 20261121000123</h1>
<p id="hers">收货人 139 0000 1234，备用邮箱 li.na@hongda.example</p>
<p id="company">总机 {SHARED} 转 802</p>
<p>2026-11-21 · ¥12,800.00 · 192.168.100.200 · 第 1234567 号</p>
<textarea>13912345678</textarea><script>var phone = "13912345678"</script>
<div id="many">{"".join(f"<p>1380013{n:04d}</p>" for n in range(1200))}</div></html>"""

PLACE = """() => {
  const range = document.createRange(), node = document.querySelector("#hers").firstChild;
  range.setStart(node, 4);
  range.setEnd(node, 17);
  const box = range.getBoundingClientRect();
  return [box.left, box.right, box.top + box.height / 2];
}"""
"""Where her number stands."""


READ_FROM_A_PAGE = """async () => {
  const [tab] = await chrome.tabs.query({ active: true, lastFocusedWindow: true });
  const read = () => chrome.storage.local.get().then(JSON.stringify, (error) => error.message);
  const [answer] = await chrome.scripting.executeScript({ target: { tabId: tab.id }, func: read });
  return answer.result;
}"""


@dataclass
class Desk:
    """A browser with the extension, the hub it asks, and a shop's page."""

    context: BrowserContext
    worker: Worker
    site: Site
    shop: str
    asked: list[tuple[str, str]] = field(default_factory=list)

    def page(self) -> Page:
        page = self.context.new_page()
        page.goto(self.shop)
        return page

    def panel(self) -> Page:
        """The panel, as a page of its own."""
        page = self.context.new_page()
        page.set_viewport_size({"width": 360, "height": 900})
        page.goto(f"{self.worker.url.rpartition('/')[0]}/panel.html")
        return page

    def look(self, page: Page) -> None:
        """What a click on the button in the toolbar does to the page in front."""
        page.bring_to_front()
        look = "async () => look((await chrome.tabs.query({active: true}))[0].id)"
        self.worker.evaluate(look)

    def settings(self, **given: str) -> None:
        self.worker.evaluate("given => chrome.storage.local.set(given)", given)


@pytest.fixture(scope="module")
def desk(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("extension")
    shutil.copytree(EXTENSION, folder / "extension")
    manifest = folder / "extension" / "manifest.json"
    told = json.loads(manifest.read_text("utf-8"))
    told["host_permissions"] = ["http://127.0.0.1/*", "http://localhost/*"]
    manifest.write_text(json.dumps(told), "utf-8")
    (folder / "hub").mkdir()
    shop = Flask("shop")
    shop.add_url_rule("/", view_func=lambda: PAGE)
    asked: list[tuple[str, str]] = []
    with running(folder / "hub") as site, served(shop, "localhost") as its:
        site.app.after_request(_noting(asked))
        given = folder / "extension"
        context = browser.browser_type.launch_persistent_context(
            folder / "profile",
            executable_path=CHROMIUM,
            channel="chromium",
            locale="en",
            args=[
                "--no-sandbox",
                "--disable-gpu",
                f"--disable-extensions-except={given}",
                f"--load-extension={given}",
                "--disable-features=DisableLoadExtensionCommandLineSwitch",
            ],
        )
        workers = context.service_workers
        worker = workers[0] if workers else context.wait_for_event("serviceworker")
        found = Desk(context, worker, site, its, asked)
        found.settings(url=site.url, token="")
        yield found
        context.close()


def _noting(asked: list[tuple[str, str]]) -> Any:
    from flask import request

    def note(answer: Any) -> Any:
        asked.append((request.method, request.full_path))
        return answer

    return note


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("请致电 13812345678。", ["13812345678"]),
        ("+86 138-1234-5678 / 0086 13912345678", ["+86 138-1234-5678", "0086 13912345678"]),
        ("８６１３８１２３４５６７８", ["8613812345678"]),
        ("电话：021-62880000转802", ["021-62880000转802"]),
        ("(010) 8888 8888 ext. 12", ["(010) 8888 8888 ext. 12"]),
        ("400-820-8820", ["400-820-8820"]),
        ("+44 20 7946 0958, +1 (212) 555-0100", ["+44 20 7946 0958", "+1 (212) 555-0100"]),
        ("Call (212) 555-0100 or 212.555.0199", ["(212) 555-0100", "212.555.0199"]),
        ("Li.Na+shop@Hongda.example, a@b", ["li.na+shop@hongda.example"]),
        ("mail 13812345678@139.com", ["13812345678@139.com"]),
        ("order 20261121000123 of 2026-11-21 10:30", []),
        ("192.168.100.200, v1.2.3.4567890, ¥12,800,000.00", []),
        ("ID 110101199003078515, card 6222021234567890123", []),
        ("https://a.example/13812345678/x?id=13812345678", []),
        ("x" * 1_000_000, []),  # with a pattern without an end: for hours
    ],
)
def test_what_is_a_phone_and_what_is_not(desk: Desk, text: str, values: list[str]) -> None:
    page = desk.context.pages[0]
    page.add_script_tag(path=EXTENSION / "contacts.js")
    found = page.evaluate("text => contactsIn(text)", text)
    assert [one["value"] for one in found] == values


def test_nothing_is_asked_before_a_click_and_then_the_card_is_there(desk: Desk) -> None:
    seller = desk.context.new_page()
    sign_in(seller, desk.site)
    seller.close()
    desk.asked.clear()
    page = desk.page()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    before = page.evaluate("document.body.outerHTML")
    desk.look(page)
    panel = desk.panel()
    expect(panel.locator("#found button")).to_have_count(200)
    shown = panel.locator("#found button").all_text_contents()
    assert shown[:3] == ["139 0000 1234", "li.na@hongda.example", f"{SHARED} 转 802"]
    assert page.evaluate("document.body.outerHTML") == before  # it marks, and changes nothing
    page.bring_to_front()
    page.locator("#hers").hover()
    assert desk.asked == []
    assert sent == []
    panel.bring_to_front()
    panel.get_by_role("button", name="139 0000 1234").click()
    expect(panel.frame_locator("#card").locator("h1")).to_have_text("李娜")
    panel.screenshot(path=OUT / "extension-panel.png")
    assert _faults(panel) == []
    assert {path.partition("?")[0] for _, path in desk.asked} >= {"/api/v1/customers", "/card"}
    page.close()
    panel.close()


def test_the_button_beside_a_number_asks_and_the_page_cannot_press_it(desk: Desk) -> None:
    page = desk.page()
    desk.look(page)
    panel = desk.panel()
    page.bring_to_front()
    box = page.evaluate(PLACE)
    page.mouse.move(box[0] + 10, box[2])
    offer = page.locator("conduit-offer")
    expect(offer).to_be_visible()
    page.screenshot(
        path=OUT / "extension-page.png", clip={"x": 0, "y": 0, "width": 700, "height": 300}
    )
    desk.asked.clear()
    assert page.evaluate("document.querySelector('conduit-offer').shadowRoot") is None
    page.mouse.click(box[1] + 14, box[2])
    panel.bring_to_front()
    expect(panel.frame_locator("#card").locator("h1")).to_have_text("李娜")
    page.bring_to_front()
    page.mouse.move(5, 5)
    expect(offer).to_be_hidden()
    page.evaluate("document.querySelector('#hers').textContent = 'gone'")
    page.mouse.move(box[0] + 10, box[2])
    expect(offer).to_be_hidden()
    page.close()
    panel.close()


def test_several_are_offered_nobody_is_said_and_a_token_serves_as_well(desk: Desk) -> None:
    desk.context.clear_cookies()
    panel = desk.panel()
    ask = panel.locator("input[name=text]")
    ask.fill("nobody@example.com")
    ask.press("Enter")
    expect(panel.locator("#said")).to_contain_text("You are not signed in.")
    desk.settings(token=desk.site.token)
    ask.press("Enter")
    expect(panel.locator("#said")).to_have_text("Nobody is known by that.")
    ask.fill(SHARED)
    ask.press("Enter")
    expect(panel.locator("#choice button")).to_have_count(3)
    panel.locator("#choice button").first.click()
    expect(panel.frame_locator("#card").locator("h1")).not_to_be_empty()
    panel.close()


def test_a_number_that_is_none_is_looked_for_as_a_name(desk: Desk) -> None:
    desk.settings(token=desk.site.token)
    panel = desk.panel()
    for text in ("11111", "李@娜"):
        panel.locator("input[name=text]").fill(text)
        panel.locator("input[name=text]").press("Enter")
        expect(panel.locator("#said")).to_have_text("Nobody is known by that.")
    panel.close()


def test_a_page_of_the_browser_holds_nobody_and_no_page_reads_the_token(desk: Desk) -> None:
    page = desk.page()
    desk.look(page)
    panel = desk.panel()
    expect(panel.locator("#found button")).to_have_count(200)
    page.bring_to_front()
    told = desk.worker.evaluate(READ_FROM_A_PAGE)
    assert "Access to storage is not allowed" in told
    page.goto("chrome://version")
    desk.look(page)
    expect(panel.locator("#found button")).to_have_count(0)
    page.close()
    panel.close()


def test_the_options_keep_the_address_and_mark_the_sites_named(desk: Desk) -> None:
    options = desk.context.new_page()
    options.goto(f"{desk.worker.url.rpartition('/')[0]}/options.html")
    expect(options.locator("[name=url]")).to_have_value(desk.site.url)
    options.screenshot(path=OUT / "extension-options.png")
    assert _faults(options) == []
    options.locator("[name=sites]").fill(f"{desk.shop}/some/page")
    options.locator("[name=token]").fill(desk.site.token)
    options.get_by_role("button", name="Save").click()
    expect(options.locator("#said")).to_have_text("Saved.")
    desk.asked.clear()
    page = desk.page()
    page.locator("#hers").hover()
    expect(page.locator("conduit-offer")).to_have_count(1)
    assert desk.asked == []
    options.locator("[name=sites]").fill("")
    options.get_by_role("button", name="Save").click()
    expect(options.locator("#said")).to_have_text("Saved.")
    page.reload()
    expect(page.locator("conduit-offer")).to_have_count(0)
    options.close()
    page.close()


def _faults(page: Page) -> list[str]:
    return [fault["id"] for fault in Axe().run(page).response["violations"]]


def test_the_archive_holds_what_a_browser_needs(tmp_path: Path) -> None:
    target = f"BIN={Path(sys.executable).parent}"
    archive = tmp_path / "extension.zip"
    make = ["make", "-s", "extension", f"EXTENSION={archive}", target, "READY="]
    subprocess.run(make, cwd=ROOT, check=True)
    with zipfile.ZipFile(archive) as found:
        names = found.namelist()
    assert "manifest.json" in names
    assert "_locales/zh_CN/messages.json" in names
    assert not [name for name in names if name.endswith(".md")]


def test_both_languages_say_the_same_things() -> None:
    words = {
        path.parent.name: json.loads(path.read_text("utf-8"))
        for path in Path(EXTENSION).glob("_locales/*/messages.json")
    }
    assert words.keys() == {"en", "zh_CN"}
    assert words["en"].keys() == words["zh_CN"].keys()
    used = "".join(path.read_text("utf-8") for path in EXTENSION.glob("*.*") if path.is_file())
    assert [name for name in words["en"] if name not in used] == []
