from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from flask import Flask

from hub.models import Address
from hub.web import formats


@pytest.fixture(params=["zh", "en"])
def language(app: Flask, request: pytest.FixtureRequest) -> Iterator[str]:
    with app.test_request_context(f"/?lang={request.param}"):
        yield request.param


@pytest.mark.parametrize(
    ("amount", "currency", "zh", "en"),
    [
        (1280000, "CNY", "¥12,800.00", "CN¥12,800.00"),
        (-50, "USD", "-US$0.50", "-$0.50"),
        (1234, "JPY", "JP¥1,234", "¥1,234"),
        (1234567, "KWD", "KWD 1,234.567", "KWD 1,234.567"),
        (100, "XXZ", "1 XXZ", "1 XXZ"),
    ],
)
def test_money(language: str, amount: int, currency: str, zh: str, en: str) -> None:
    written = formats.money({"amount_minor": amount, "currency": currency}).replace("\xa0", " ")
    assert written == (zh if language == "zh" else en)


def test_no_money() -> None:
    assert formats.money(None) == formats.money({}) == formats.money("9") == ""


@pytest.mark.parametrize(
    ("span", "zh", "en"),
    [
        (timedelta(seconds=10), "刚刚", "just now"),
        (timedelta(hours=2, minutes=4), "2小时前", "2 hours ago"),
        (timedelta(days=3), "3天前", "3 days ago"),
        (timedelta(days=-1, minutes=-5), "1天后", "in 1 day"),
    ],
)
def test_ages(language: str, span: timedelta, zh: str, en: str) -> None:
    assert formats.age(datetime.now(UTC) - span) == (zh if language == "zh" else en)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("+8613900001234", "139 0000 1234"),
        ("+862155500100;ext=12", "021 5550 0100"),
        ("+442079460000", "+44 20 7946 0000"),
        ("+86139******34", "+86139******34"),
        ("8001", "8001"),
    ],
)
def test_phones(language: str, value: str, written: str) -> None:
    assert formats.phone(value).startswith(written)
    if ";ext=" in value:
        assert formats.phone(value) == f"{written} {'转' if language == 'zh' else 'ext.'} 12"


def test_days(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "now", lambda: datetime(2026, 11, 20, 17, tzinfo=UTC))
    assert formats.today() == date(2026, 11, 21)  # already tomorrow in Shanghai
    days = ((2026, 11, 21), (2026, 11, 20), (2026, 11, 3), (2025, 1, 2))
    assert [formats.heading(date(*day)) for day in days] == (
        ["今天", "昨天", "11月3日周二", "2025年1月2日"]
        if language == "zh"
        else ["Today", "Yesterday", "Tue, Nov 3", "January 2, 2025"]
    )


def test_what_a_document_may_hold_instead_of_a_day() -> None:
    for value in (None, 5, "", "soon"):
        assert formats.day(value) is None
        assert formats.instant(value) is None
    assert formats.instant("2026-11-21T10:00:00") is None  # nobody knows where
    assert formats.instant("2026-11-21T10:00:00Z") == datetime(2026, 11, 21, 10, tzinfo=UTC)


def test_addresses_in_the_order_of_their_country() -> None:
    here = Address(street="张江路 88 号", city="浦东新区", region="上海市")
    there = Address(street="1 Main St", city="Springfield", postal_code="12345", country="US")
    assert formats.postal(here) == "上海市 浦东新区 张江路 88 号"
    assert formats.postal(there) == "1 Main St, Springfield, 12345, US"


def test_links_only_for_what_can_be_called() -> None:
    assert formats.address_link("phone", "+8613900001234") == "tel:+8613900001234"
    assert formats.address_link("email", "a@b.example") == "mailto:a@b.example"
    assert formats.address_link("phone", "+86139******34") == ""
    assert formats.address_link("website", "javascript:alert(1)") == ""
