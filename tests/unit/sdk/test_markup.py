"""Links of a message, for vendors that show buttons."""

from __future__ import annotations

import pytest

from hub.sdk import Link, links


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("", []),
        ("no link &amp; nothing", []),
        (
            '<p>张** <a href="https://hub.example.org/c?a=1&amp;b=2">打开 <b>卡片</b>\n 👋</a></p>',
            [Link("打开 卡片 👋", "https://hub.example.org/c?a=1&b=2")],
        ),
        ('<a href="http://x"></a>', [Link("http://x", "http://x")]),
        ('<a href="javascript:alert(1)">x</a><a name="y">y</a><a href>z</a>', []),
        (
            '<a href="https://x">one <a href=https://y>two</a> three',
            [Link("one", "https://x"), Link("two", "https://y")],
        ),
        ('<a href="https://x">never closed', [Link("never closed", "https://x")]),
        ("<<<a href='https://x'", []),
    ],
)
def test_links(html: str, found: list[Link]) -> None:
    assert list(links(html)) == found
