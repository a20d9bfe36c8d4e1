"""Draws docs/card.png anew: ``python -m tests.e2e.picture``."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hub.web import formats
from tests.e2e.conftest import chromium, opened, running, sign_in
from tests.unit.web.world import LI_NA

TARGET = Path(__file__).parents[2] / "docs" / "card.png"
SHANGHAI = timedelta(hours=8)


def draw() -> None:
    """The card of 李娜 on an afternoon, so that its day has something in it."""
    real = datetime.now(UTC)
    afternoon = (real + SHANGHAI).replace(hour=15, minute=26) - SHANGHAI
    formats.now = lambda: datetime.now(UTC) + (afternoon - real)  # type: ignore[assignment]
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), afternoon) as site,
        chromium() as browser,
    ):
        page = opened(browser, width=1280)
        sign_in(page, site)
        page.set_viewport_size({"width": 1280, "height": 1300})
        page.goto(f"{site.url}/card?customer={LI_NA}")
        page.locator("#values summary", has_text="公司").click()
        page.mouse.move(0, 0)
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(400)  # until the arrow has turned
        page.screenshot(path=TARGET)


if __name__ == "__main__":
    draw()
