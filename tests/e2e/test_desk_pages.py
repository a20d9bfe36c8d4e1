"""Pages of desks in a real browser: framed by another site, which gets no cookie of the hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import responses
from axe_playwright_python.sync_playwright import Axe
from flask import Flask, request, send_from_directory
from playwright.sync_api import Browser, Frame, Page, expect
from sqlalchemy import select

from adapters.wecom.signing import jsapi_signature
from hub.registry import ROOT
from hub.store import schema
from tests.e2e.conftest import OUT, PASSWORD, Site, opened, running
from tests.served import served
from tests.unit.web.world import VAULT

ASSETS = ROOT / "desks" / "zendesk" / "assets"
CHATWOOT = """<!doctype html><meta charset="utf-8"><title>Chatwoot</title>
<style>body {{ margin: 0 }} iframe {{ width: 100%; height: 820px; border: 0 }}</style>
<iframe id="app" src="{url}"></iframe>
<script>
let contact = {{}};
const told = () => JSON.stringify({{event: "appContext", data: {{
  conversation: {{id: 7, messages: []}}, contact, currentAgent: {{id: 1, name: "Mei"}}}}}});
const say = (text) => document.querySelector("#app").contentWindow.postMessage(text, "*");
window.talkTo = (whom) => {{ contact = whom; say(told()); }};
onmessage = (event) => {{
  if (event.data === "chatwoot-dashboard-app:fetch-info") {{ say("not json"); say(told()); }}
}};
</script>"""
LI_NA = {"id": 5, "name": "Li Na", "phone_number": "+8613900001234", "email": None}
WANG = {"id": 6, "name": "?", "email": "nobody@elsewhere.example"}
SEVERAL = {"id": 8, "phone_number": "+862155500100"}


@dataclass
class Desk:
    """A hub, and a desk on another site that frames its page."""

    site: Site
    url: str
    name: str = "support"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    chatwoot = Flask("chatwoot")
    with running(tmp_path_factory.mktemp("hub")) as site, served(chatwoot, "localhost") as its:
        connect(site, "support", "chatwoot", frame_origins=["https://other.example", its])

        def conversation() -> str:
            lang = request.args.get("lang", "zh-CN")
            return CHATWOOT.format(url=f"{site.url}/desks/support?lang={lang}")

        chatwoot.add_url_rule("/", view_func=conversation)
        yield Desk(site, its)


def connect(site: Site, name: str, adapter: str, **config: Any) -> None:
    """A connection, as ``hub apply`` would have stored it a second ago."""
    with site.app.extensions["hub"].database.write() as conn:
        row = dict(conn.execute(select(schema.connection).limit(1)).mappings().one())
        secrets = VAULT.encrypt(b"{}", context=f"connection:{name}")
        mine = {"name": name, "adapter": adapter, "secrets": secrets}
        conn.execute(
            schema.connection.insert().values(
                {**row, **mine, "config": orjson.dumps(config).decode()}
            )
        )
    site.app.extensions["conduit-registry"].forget()


def frame_of(page: Page, path: str = "/desks/") -> Frame:
    """The frame of the hub's page, once it is there."""
    page.wait_for_function("document.querySelector('iframe')")
    for _ in range(100):
        if found := next((f for f in page.frames if path in f.url), None):
            return found
        page.wait_for_timeout(50)
    raise AssertionError([f.url for f in page.frames])


def sign_in(page: Page, frame: Frame, name: str = "mei") -> None:
    """Press the button, and sign in in the window that opens."""
    with page.expect_popup() as popup:
        frame.locator("[data-way-in]").click()
    window = popup.value
    window.fill("[name=name]", name)
    window.fill("[name=password]", PASSWORD)
    with window.expect_event("close"):
        window.keyboard.press("Enter")


def shown(frame: Frame) -> Any:
    """The name on the card in the page."""
    return frame.frame_locator("[data-card]").locator("h1")


def test_signed_in_once_the_card_follows_the_conversation(browser: Browser, desk: Desk) -> None:
    page = opened(browser, width=360)
    page.goto(desk.url)
    frame = frame_of(page)
    expect(frame.locator("[data-said]")).to_have_text("登录后即可在这里查看客户。")
    page.screenshot(path=OUT / "desk-sign-in.png")
    assert faults(page) == []
    page.evaluate("contact => talkTo(contact)", LI_NA)
    sign_in(page, frame)
    expect(shown(frame)).to_have_text("李娜")
    expect(frame.locator("[data-way-in]")).to_be_hidden()
    page.screenshot(path=OUT / "desk-card.png")
    assert next(c for c in page.context.cookies() if c["name"] == "conduit")["sameSite"] == "Lax"
    page.evaluate("contact => talkTo(contact)", WANG)
    expect(frame.locator("[data-said]")).to_have_text("没有找到这位客户。")
    expect(frame.locator("[data-card]")).to_be_hidden()
    page.evaluate("contact => talkTo(contact)", SEVERAL)
    expect(frame.locator("[data-choices] button")).to_have_count(3)
    page.screenshot(path=OUT / "desk-several.png")
    assert faults(page) == []
    frame.locator("[data-choices] button", has_text="李娜").focus()
    page.keyboard.press("Enter")
    expect(shown(frame)).to_have_text("李娜")
    page.evaluate("contact => talkTo(contact)", {})
    expect(frame.locator("[data-said]")).to_have_text("这个会话没有说明对方是谁。")
    page.evaluate("contact => talkTo(contact)", LI_NA)
    expect(shown(frame)).to_have_text("李娜")
    page.context.close()


def test_a_tab_stays_signed_in_until_one_signs_out_there(browser: Browser, desk: Desk) -> None:
    page = opened(browser, width=400)
    page.goto(desk.url)
    frame = frame_of(page)
    page.evaluate("contact => talkTo(contact)", LI_NA)
    sign_in(page, frame)
    expect(shown(frame)).to_have_text("李娜")
    page.reload()  # Chatwoot makes the frame anew with each conversation
    frame = frame_of(page)
    page.evaluate("contact => talkTo(contact)", LI_NA)
    expect(shown(frame)).to_have_text("李娜")
    with page.expect_response("**/sign-out"):
        frame.locator("[data-way-out]").click()
    expect(frame.locator("[data-card]")).to_be_hidden()
    expect(frame.locator("[data-way-in]")).to_be_focused()
    page.reload()
    expect(frame_of(page).locator("[data-way-in]")).to_be_visible()
    page.context.close()


def test_where_frames_may_keep_nothing_one_click_without_a_password_is_enough(
    browser: Browser, desk: Desk
) -> None:
    page = opened(browser, width=400)
    page.goto(desk.url)
    frame = frame_of(page)
    page.evaluate("contact => talkTo(contact)", LI_NA)
    sign_in(page, frame)
    expect(shown(frame)).to_have_text("李娜")
    page.context.clear_cookies(name="conduit-desk")
    page.reload()
    frame = frame_of(page)
    page.evaluate("contact => talkTo(contact)", LI_NA)
    with page.expect_popup() as popup:
        frame.locator("[data-way-in]").click()
    if not popup.value.is_closed():
        popup.value.wait_for_event("close")
    expect(shown(frame)).to_have_text("李娜")
    page.context.close()


def test_the_same_words_again_leave_the_card_alone(browser: Browser, desk: Desk) -> None:
    page = opened(browser, width=400, language="en", scheme="dark")
    page.goto(f"{desk.url}/?lang=en")
    frame = frame_of(page)
    page.evaluate("contact => talkTo(contact)", LI_NA)
    sign_in(page, frame)
    expect(shown(frame)).to_have_text("李娜")
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url) if r.url.endswith("/card?lang=en") else None)
    page.evaluate("contact => { for (let n = 0; n < 5; n++) talkTo(contact) }", LI_NA)
    page.evaluate("contact => talkTo(contact)", SEVERAL)
    expect(frame.locator("[data-said]")).to_have_text("Several customers are known by that:")
    assert len(asked) == 1
    page.screenshot(path=OUT / "desk-several-dark.png")
    page.context.close()


def test_a_card_is_handed_a_new_token_and_keeps_what_is_being_written(
    browser: Browser, desk: Desk
) -> None:
    page = opened(browser, width=400)
    page.goto(desk.url)
    frame = frame_of(page)
    page.evaluate("contact => talkTo(contact)", LI_NA)
    sign_in(page, frame)
    expect(shown(frame)).to_have_text("李娜")
    card = frame_of(page, "/card?")
    card.evaluate("document.querySelector('h1').id = 'same'")
    old = card.url
    page.wait_for_function(  # a token names the second of its making
        "then => Math.floor(Date.now() / 1000) > then",
        arg=page.evaluate("Math.floor(Date.now() / 1000)"),
    )
    frame.evaluate("""() => {
      const told = Object.getOwnPropertyDescriptor(Date, "now").value;
      Date.now = () => told() + 11 * 60 * 1000;
      document.dispatchEvent(new Event("visibilitychange"));
    }""")
    card.wait_for_function("old => location.href !== old", arg=old)
    assert card.locator("h1#same").count() == 1  # the page itself stayed
    token = re.search(r"[?&]t=([^&]+)", card.url)[1]  # type: ignore[index]
    links = card.evaluate(
        "[...document.querySelectorAll('a[href*=\"t=\"], form')].map((e) => e.href ?? e.action)"
    )
    assert links
    assert all(token in link for link in links)
    assert token in card.evaluate("document.querySelector('main').dataset.events")
    page.context.close()


@pytest.mark.parametrize("how", ["another site", "another window"])
def test_nobody_but_the_desk_around_the_page_is_heard(
    browser: Browser, desk: Desk, how: str
) -> None:
    """A page between, or beside, that is not one of the desk's."""
    page = opened(browser, width=400)
    if how == "another site":
        thief = Flask("thief")
        with served(thief, "localhost") as its:
            view = lambda: CHATWOOT.format(url=f"{desk.site.url}/desks/support")  # noqa: E731
            thief.add_url_rule("/", view_func=view)
            page.goto(its)
            page.wait_for_load_state("networkidle")
            assert any("frame-ancestors" in text for text in page.complaints)  # type: ignore[attr-defined]
            assert not [f for f in page.frames if f.url.startswith(desk.site.url)]
        page.context.close()
        return
    page.goto(desk.url)
    frame = frame_of(page)
    sign_in(page, frame)
    expect(frame.locator("[data-said]")).to_have_text("这个会话没有说明对方是谁。")
    text = json.dumps({"event": "appContext", "data": {"contact": LI_NA}})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    frame.evaluate("text => window.postMessage(text, '*')", text)  # its own window, its own site
    frame.evaluate("document.body.append(document.createElement('iframe'))")
    inside = frame.child_frames[-1]
    inside.evaluate("text => window.parent.postMessage(text, '*')", text)  # a window below it
    page.evaluate("contact => talkTo(contact)", SEVERAL)  # what is heard after it
    expect(frame.locator("[data-choices] button")).to_have_count(3)
    assert len([url for url in asked if "/desks/support/card" in url]) == 1
    page.context.close()


def test_a_session_is_taken_from_no_window_but_the_one_that_was_opened(
    browser: Browser, desk: Desk
) -> None:
    page = opened(browser, width=400)
    page.goto(desk.url)
    frame = frame_of(page)
    page.evaluate("contact => talkTo(contact)", LI_NA)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate(
        "() => document.querySelector('#app').contentWindow.postMessage({session: 'forged'}, '*')"
    )
    frame.evaluate("() => window.postMessage({session: 'forged'}, '*')")
    frame.evaluate("() => new Promise((done) => setTimeout(done, 0))")
    page.evaluate("contact => talkTo(contact)", SEVERAL)  # what is heard after it
    expect(frame.locator("[data-said]")).to_have_text("登录后即可在这里查看客户。")
    assert [url for url in asked if "/card" in url] == []
    page.context.close()


def test_another_sites_window_gets_no_session(browser: Browser, desk: Desk) -> None:
    """Whoever opens the window of the sign-in without being the hub's page hears nothing."""
    page = opened(browser)
    page.goto(desk.url)
    page.evaluate("window.heard = []; addEventListener('message', (e) => heard.push(e.data))")
    with page.expect_popup() as popup:
        page.evaluate("url => { window.open(url) }", f"{desk.site.url}/desks/support/sign-in")
    window = popup.value
    window.fill("[name=name]", "mei")
    window.fill("[name=password]", PASSWORD)
    with window.expect_event("close"):
        window.keyboard.press("Enter")
    assert not [told for told in page.evaluate("heard") if "session" in str(told)]
    page.context.close()


ZENDESK = """<!doctype html><meta charset="utf-8"><title>Zendesk</title>
<style>body {{ margin: 0 }} iframe {{ width: 100%; height: 720px; border: 0 }}</style>
<iframe id="app" src="{app}/iframe.html?origin={origin}&app_guid=1" sandbox="allow-forms
 allow-popups
 allow-popups-to-escape-sandbox allow-same-origin allow-scripts allow-downloads"></iframe>"""

ZAF = """window.ZAFClient = { init: () => {
  const heeds = {};
  window.ticket = { id: 20978392, email: "Li.Na@hongda.example", identities: [] };
  window.turnTo = (person) => { window.ticket = person; heeds["ticket.requester.id.changed"]?.(); };
  return {
    metadata: async () => ({ settings: SETTINGS }),
    context: async () => ({ location: "ticket_sidebar" }),
    get: async (path) => ({ [path]: path === "currentUser" ? { locale: "zh-cn" } : window.ticket }),
    invoke: async () => {},
    on: (event, heed) => { heeds[event] = heed; },
  };
} };"""
"""What the app uses of Zendesk's script, which talks to Zendesk alone."""


@contextmanager
def zendesk(browser: Browser, site: Site, connection: str) -> Iterator[tuple[Page, str, str]]:
    """A page of Zendesk with the app in it; the addresses of both."""
    support, apps = Flask("support"), Flask("apps", static_folder=None)
    apps.add_url_rule("/<path:name>", view_func=lambda name: send_from_directory(ASSETS, name))
    with served(support, "localhost") as its, served(apps, "localhost") as app:
        view = lambda: ZENDESK.format(app=app, origin=its)  # noqa: E731
        support.add_url_rule("/", view_func=view)
        page = opened(browser, width=360)
        settings = json.dumps({"hub_url": f"{site.url}/", "connection": connection})
        page.route(
            "https://static.zdassets.com/zendesk_app_framework_sdk/2.0/zaf_sdk.min.js",
            lambda route: route.fulfill(
                body=ZAF.replace("SETTINGS", settings), content_type="text/javascript"
            ),
        )
        yield page, its, app
        page.context.close()


def test_the_app_in_zendesk_shows_the_requester_of_the_ticket(browser: Browser, desk: Desk) -> None:
    with zendesk(browser, desk.site, "zendesk") as (page, its, app):
        connect(desk.site, "zendesk", "zendesk", frame_origins=[its, app])
        page.goto(its)
        frame = frame_of(page)
        sign_in(page, frame)
        expect(shown(frame)).to_have_text("李娜")
        page.screenshot(path=OUT / "desk-zendesk.png")
        mine = frame_of(page, "/iframe.html")
        assert mine.locator("#silent").is_hidden()
        mine.evaluate(
            "turnTo({id: 1, identities: [{type: 'phone_number', value: '021-5550 0100'}]})"
        )
        expect(frame.locator("[data-choices] button")).to_have_count(3)
        mine.evaluate("turnTo(null)")
        expect(frame.locator("[data-said]")).to_have_text("这个会话没有说明对方是谁。")


def test_the_app_in_zendesk_says_what_is_missing_for_it_to_be_framed(
    browser: Browser, desk: Desk
) -> None:
    with zendesk(browser, desk.site, "nothing") as (page, its, app):
        connect(desk.site, "nothing", "zendesk", frame_origins=["https://acme.zendesk.com"])
        page.clock.install()
        page.goto(its)
        mine = frame_of(page, "/iframe.html")
        mine.wait_for_function("document.querySelector('#hub').src")
        page.clock.fast_forward(11_000)
        expect(mine.locator("#line")).to_have_text(f'frame_origins = ["{its}", "{app}"]')


WX = """window.wx = {
  asked: [],
  ready: (heed) => { wx.heed = heed; },
  error: () => {},
  config: (told) => { wx.asked.push(["config", told]); setTimeout(() => wx.heed(), 0); },
  agentConfig: (told) => { wx.asked.push(["agentConfig", told]); told.success({}); },
  invoke: (name, _, heed) => heed({ err_msg: `${name}:ok`, userId: "wmEXAMPLE0001" }),
};"""
"""What the page uses of WeCom's scripts, which work inside its clients alone."""


def test_the_sidebar_of_wecom_shows_the_customer_of_the_chat(browser: Browser, desk: Desk) -> None:
    app = {"receive_ids": ["ww1234567890abcdef"], "secret": "s", "agent_id": 1000002}
    connect(desk.site, "wecom", "wecom", **app)
    with desk.site.app.extensions["hub"].database.write() as conn:
        person = {"ref": "erp/parties/1042", "type": "external_userid", "level": "proven"}
        conn.execute(schema.identifier.insert().values(value="wmEXAMPLE0001", **person))
    page = opened(browser, width=360)
    for address, body in (
        ("https://res.wx.qq.com/open/js/jweixin-1.2.0.js", WX),
        ("https://open.work.weixin.qq.com/wwopen/js/jwxwork-1.0.0.js", ""),
    ):
        told = {"body": body, "content_type": "text/javascript"}
        page.route(address, lambda route, _, told=told: route.fulfill(**told))
    vendor = re.compile(r"https://qyapi\.weixin\.qq\.com/.*")
    with responses.RequestsMock(assert_all_requests_are_fired=False) as net:
        known = {"errcode": 0, "access_token": "t", "ticket": "x", "expires_in": 7200}
        net.get(vendor, json=known)
        page.goto(f"{desk.site.url}/desks/wecom")
        page.fill("[name=name]", "mei")  # by itself: the hub's own sign-in comes first
        page.fill("[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        expect(page.frame_locator("[data-card]").locator("h1")).to_have_text("李娜")
    page.screenshot(path=OUT / "desk-wecom.png")
    assert page.complaints == []  # type: ignore[attr-defined]
    asked = page.evaluate("wx.asked")
    assert [name for name, _ in asked] == ["config", "agentConfig"]
    agent = asked[1][1]
    url = "http://127.0.0.1:8360/desks/wecom"  # the hub's public address
    signed = jsapi_signature("x", agent["nonceStr"], str(agent["timestamp"]), url)
    assert agent["signature"] == signed
    assert agent["agentid"] == 1000002
    page.context.close()


def faults(page: Page) -> list[str]:
    return [
        fault["id"] for fault in Axe().run(page).response["violations"] if fault["id"] not in _OURS
    ]


_OURS = {
    "document-title",
    "html-has-lang",
    "landmark-one-main",
    "page-has-heading-one",
    "region",
    "frame-title",
}
"""Faults of the page around, which plays the desk."""
