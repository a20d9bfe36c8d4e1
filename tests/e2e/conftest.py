"""A filled hub that answers on a port of its own, and the system's Chromium to look at it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from hub.settings import Settings
from hub.store import accounts
from hub.store.db import Database
from hub.store.migrate import migrate
from hub.web import create_app
from tests.served import served
from tests.unit.web import world

OUT = Path(__file__).parent / "out"
PASSWORD = "correct horse battery"
PEOPLE = {"mei": "agent", "lin": "admin"}
CHROMIUM = os.environ.get("HUB_TEST_CHROMIUM", shutil.which("chromium") or "/usr/bin/chromium")
REQUIRED = "chromium" in os.environ.get("HUB_TEST_REQUIRE", "").split(",")


@dataclass(frozen=True)
class Site:
    """A hub that answers.

    Attributes:
        url: where.
        token: an agent's.
    """

    url: str
    app: Any
    token: str


@contextmanager
def running(folder: Path, now: datetime | None = None) -> Iterator[Site]:
    """A hub with the customers of ``tests.unit.web.world``, an agent and an administrator."""
    database = Database(f"sqlite:///{folder}/hub.db")
    migrate(database)
    with database.write() as conn:
        world.fill(conn, now)
        for name, role in PEOPLE.items():
            accounts.create(conn, name, PASSWORD, role)
        token = accounts.create_token(conn, "desk", "agent")
    settings = Settings.model_validate({"secret_keys": [world.KEY], "database_url": database.url})
    app = create_app(settings, database)
    with served(app) as url:
        yield Site(url, app, token)
    database.close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's browser; none is ever downloaded."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        if REQUIRED:
            pytest.fail(f"chromium is required and {CHROMIUM} does not exist")
        pytest.skip("no chromium: apt-get install chromium")
    with chromium() as found:
        yield found


def opened(
    browser: Browser, *, width: int = 1440, language: str = "zh-CN", scheme: Any = "light"
) -> Page:
    """A page of a browser that somebody else has never used; its complaints are kept."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, locale=language, color_scheme=scheme
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.complaints = complaints  # type: ignore[attr-defined]
    return page


def sign_in(page: Page, site: Site, name: str = "mei") -> None:
    page.goto(f"{site.url}/sign-in")
    page.fill("[name=name]", name)
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/")
