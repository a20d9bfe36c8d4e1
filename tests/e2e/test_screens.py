"""Every page, narrow and wide, in both languages, light and dark: whole, legible, faultless."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.e2e.conftest import OUT, Site, opened, sign_in
from tests.unit.web.world import HONGDA, LI_NA, QUIET

PAGES = {
    "card": f"/card?customer={LI_NA}",
    "company": f"/card?customer={HONGDA}",
    "stranger": f"/card?customer={QUIET}",
    "timeline": f"/card/timeline?customer={LI_NA}",
    "why": f"/card/why?customer={LI_NA}",
    "choice": "/card?phone=021-5550 0100",
    "nobody": "/card?phone=13912345678",
    "home": "/",
    "found": "/?q=lina",
    "none": "/?q=zzz",
    "sign-in": "/sign-in",
}
INBOX = {
    "inbox": "/inbox",
    "inbox-filter": "/inbox?connection=erp",
    "quarantined": "/inbox?state=quarantined",
    "event": "/inbox/2",
    "receipt": "/inbox/4",
    "refused": "/inbox/refused",
    "replay-all": "/inbox/all/replay?connection=erp",
}
EXPECTED = "the server responded with a status of 404"
LOOKS = list(product((360, 1440), ("zh-CN", "en"), ("light", "dark")))


@pytest.mark.parametrize(("width", "language", "scheme"), LOOKS)
def test_every_page(browser: Browser, site: Site, width: int, language: str, scheme: Any) -> None:
    OUT.mkdir(exist_ok=True)
    page = opened(browser, width=width, language=language, scheme=scheme)
    sign_in(page, site)
    _look_at(page, site, PAGES, (width, language, scheme))
    page.context.clear_cookies()
    sign_in(page, site, "lin")
    _look_at(page, site, INBOX, (width, language, scheme))
    assert [text for text in page.complaints if EXPECTED not in text] == []  # type: ignore[attr-defined]
    page.context.close()


def _look_at(page: Page, site: Site, pages: dict[str, str], look: tuple[int, str, str]) -> None:
    width, language, scheme = look
    for name, path in pages.items():
        page.goto(site.url + path)
        page.screenshot(path=OUT / f"{name}-{width}-{language}-{scheme}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.evaluate("document.documentElement.lang") == language
        _open_everything(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name}, opened"
        assert faults(page) == [], name
    page.screenshot(path=OUT / f"last-open-{width}-{language}-{scheme}.png", full_page=True)


def faults(page: Page) -> list[str]:
    """What axe finds wrong with the page as it stands."""
    return [_told(fault) for fault in Axe().run(page).response["violations"]]


def _open_everything(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")


def _told(fault: Any) -> str:
    return f"{fault['id']}: {[node['html'][:120] for node in fault['nodes'][:3]]}"
