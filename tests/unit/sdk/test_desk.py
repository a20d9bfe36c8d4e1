"""What is said to a chat desk, and how its answer becomes a card with buttons."""

from __future__ import annotations

import pytest

from hub.sdk import Shown, View, as_card, asked_for, links

COMMANDS = ("/customer", "/客户")


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("/customer 138 1234 5678", "138 1234 5678"),
        ("  /Customer\t李娜 ", "李娜"),
        ("/客户 021-62880000转802", "021-62880000转802"),
        ("13812345678", "13812345678"),
        ("+86 138-1234-5678", "+86 138-1234-5678"),
        ("(010) 8888 8888", "(010) 8888 8888"),
        ("１３８１２３４５６７８", "１３８１２３４５６７８"),
        ("li.na@hongda.example", "li.na@hongda.example"),
        ("/customer", ""),
        ("/customers 李娜", ""),
        ("李娜", ""),
        ("12345", ""),
        ("订单 20261121000123", ""),
        ("13812345678 谢谢", ""),
        ("@mei hello", ""),
        ("", ""),
        ("1" * 100_000, ""),
        ("a@" * 50_000, ""),
    ],
)
def test_what_is_a_question(text: str, asked: str) -> None:
    assert asked_for(text, COMMANDS) == asked
    assert asked_for(text, ()) == ""


def test_one_customer_is_a_card_and_several_are_buttons() -> None:
    mei = Shown("梅 <b>", ["138****00", "VIP"], "https://hub.example/card?t=a&lang=zh", "打开")
    li = Shown("李娜", ["…"], "https://hub.example/card?t=b", "打开")
    card = as_card(View(customers=[mei]))
    assert card["subject"] == "梅 <b>"
    assert card["text"] == "138****00\nVIP"
    assert links(card["html"]) == (("打开", "https://hub.example/card?t=a&lang=zh"),)
    both = as_card(View("多位：", [mei, li]))
    assert "subject" not in both
    assert both["text"] == "多位：\n梅 <b>\n138****00\nVIP\n李娜\n…"
    assert [link.label for link in links(both["html"])] == ["梅 <b>", "李娜"]


def test_where_others_read_along_no_name_is_told() -> None:
    hidden = [Shown("", (), f"https://hub.example/card?customer={n}", "登录") for n in (1, 2)]
    assert as_card(View(customers=hidden[:1])) == {
        "text": "",
        "html": '<a href="https://hub.example/card?customer=1">登录</a>',
        "automatic": True,
    }
    assert [link.label for link in links(as_card(View("x", hidden))["html"])] == [
        "登录 (1)",
        "登录 (2)",
    ]
    assert as_card(View("没有找到"))["text"] == "没有找到"
