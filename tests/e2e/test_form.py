"""The hosted form in a browser: opened, embedded, filled in with a photo, and sent once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Browser, FrameLocator, Page, expect

from hub.registry import Hub, apply, open_hub
from hub.settings import Settings
from hub.store.crypto import new_key
from hub.store.migrate import migrate
from tests.e2e.conftest import OUT, opened
from tests.e2e.test_screens import LOOKS, faults
from tests.served import served
from tests.story.helpers import customer, drain, scalar
from webhooks.app import create_app

QUICKEST_MS = 2100
"""A form must have been open for two seconds."""

PNG = b"\x89PNG\r\n"


@pytest.fixture
def shop() -> Iterator[str]:
    """A page elsewhere that embeds whatever form it is told to."""
    app = Flask(__name__)

    @app.get("/<path:form>")
    def page(form: str) -> str:
        return f'<title>Shop</title><iframe src="{form}" title="Form" height="900"></iframe>'

    with served(app, "localhost") as url:
        yield url


@pytest.fixture
def hub(tmp_path: Path, shop: str) -> Iterator[Hub]:
    form = {"adapter": "form", "page_secret": "0123456789abcdef"}
    settings = Settings(
        state_dir=tmp_path,
        database_url=f"sqlite:///{tmp_path}/hub.db",
        secret_keys=[new_key()],
        connections={"repair": {**form, "embed_origins": [shop]}, "alone": form},
    )
    made = open_hub(settings)
    migrate(made.database)
    apply(made.registry, settings)
    yield made
    made.close()


@pytest.fixture
def door(hub: Hub) -> Iterator[str]:
    app = create_app(hub.settings)
    with closing(app.extensions["hub.database"]), served(app) as url:
        yield url


def fill(form: Page | FrameLocator) -> None:
    form.get_by_label("Name *").fill("李娜 🎉")
    form.get_by_label("Phone *").fill("139 1234 5678")
    form.get_by_label("What is it about? *").fill("主轴异响")
    photo = {"name": "主轴.png", "mimeType": "image/png", "buffer": PNG}
    form.get_by_label("Photos").set_input_files(photo)  # type: ignore[arg-type]
    form.get_by_label("You may use this to deal with my report *").check()


def sent(hub: Hub) -> list[str]:
    drain(hub)
    profile = customer(hub, "phone", "+8613912345678")
    [message] = [fact for fact in profile.timeline if fact.kind == "Message"]
    return [file["name"] for file in message.fields["attachments"]]


def test_a_report_with_a_photo_is_sent_once(browser: Browser, hub: Hub, door: str) -> None:
    page = opened(browser, language="en")
    page.goto(f"{door}/hooks/alone")
    fill(page)
    page.wait_for_timeout(QUICKEST_MS)
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("status")).to_contain_text("Your report has arrived")
    page.reload()
    expect(page.get_by_role("status")).to_contain_text("Your report has arrived")
    assert sent(hub) == ["主轴.png"]
    assert scalar(hub, "SELECT count(*) FROM inbox") == 1
    assert page.complaints == []  # type: ignore[attr-defined]
    page.context.close()


def test_it_is_filled_in_within_another_page_that_may_show_it(
    browser: Browser, hub: Hub, door: str, shop: str
) -> None:
    page = opened(browser, language="en")
    page.goto(f"{shop}/{door}/hooks/repair")
    form = page.frame_locator("iframe")
    fill(form)
    page.wait_for_timeout(QUICKEST_MS)
    form.get_by_role("button", name="Send").click()
    expect(form.get_by_role("status")).to_contain_text("Your report has arrived")
    assert sent(hub) == ["主轴.png"]
    page.goto(f"{shop}/{door}/hooks/alone")
    expect(page.frame_locator("iframe").get_by_role("button", name="Send")).to_have_count(0)
    page.context.close()


@pytest.mark.parametrize(("width", "language", "scheme"), LOOKS)
def test_it_fits_and_reads_well(
    browser: Browser, door: str, width: int, language: str, scheme: str
) -> None:
    page = opened(browser, width=width, language=language, scheme=scheme)
    page.goto(f"{door}/hooks/alone")
    page.screenshot(path=OUT / f"form-{width}-{language}-{scheme}.png", full_page=True)
    assert faults(page) == []
    page.locator("form").evaluate("form => { form.noValidate = true; form.requestSubmit() }")
    expect(page.get_by_role("alert")).to_be_visible()
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.context.close()
