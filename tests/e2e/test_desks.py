"""The card on desks of other people, in a real browser."""

from __future__ import annotations

import pytest
import requests
from flask import Flask
from playwright.sync_api import Browser, expect

from tests.e2e.conftest import Site, opened
from tests.served import served
from tests.unit.web.world import LI_NA


@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_desk_frames_the_card_it_asked_for_and_nobody_else_does(
    browser: Browser, site: Site, is_allowed: bool
) -> None:
    desk, thief = Flask("desk"), Flask("thief")
    with served(desk, "localhost") as its, served(thief, "localhost") as other:
        made = requests.post(
            f"{site.url}/api/v1/card-tokens",
            json={"phone": "139 0000 1234", "frame_origin": its, "lifetime_s": 120},
            headers={"Authorization": f"Bearer {site.token}"},
            timeout=10,
        )
        assert made.status_code == 201
        card = f"{site.url}/card?{made.json()['url'].partition('?')[2]}&customer={LI_NA}"
        host = desk if is_allowed else thief
        host.add_url_rule("/", view_func=lambda: f'<iframe src="{card}" width="360" height="800">')
        page = opened(browser, width=400)
        page.goto(its if is_allowed else other)
        name = page.frame_locator("iframe").locator("h1")
        if is_allowed:
            expect(name).to_have_text("李娜")
        else:
            page.wait_for_load_state("networkidle")
            expect(name).not_to_have_text("李娜")
            assert any("frame-ancestors" in text for text in page.complaints)  # type: ignore[attr-defined]
        page.context.close()
