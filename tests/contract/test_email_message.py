"""Mail as strangers and broken programs write it."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.email.message import to_row

RECEIVED = datetime(2026, 11, 21, 12, tzinfo=UTC)


def row(*lines: str | bytes, body: bytes = b"hello") -> dict[str, Any]:
    head = b"\r\n".join(line.encode() if isinstance(line, str) else line for line in lines)
    return to_row(head + b"\r\n\r\n" + body, RECEIVED, frozenset({"us@example.org"}))


def encoded(text: str, charset: str, codec: str) -> bytes:
    return b"=?%b?B?%b?=" % (charset.encode(), base64.b64encode(text.encode(codec)))


def test_an_encoded_name_cannot_pose_as_an_address() -> None:
    found = row(
        b"From: " + encoded("boss@bank.example, x", "utf-8", "utf-8") + b" <li@example.com>"
    )
    assert found["sender"]["address"] == "li@example.com"


@pytest.mark.parametrize("charset", ["gb2312", "GBK", "gb18030", "utf-8"])
def test_headers_of_old_chinese_mailers(charset: str) -> None:
    codec = "utf-8" if charset == "utf-8" else "gb18030"
    found = row("From: a@example.com", b"Subject: " + encoded("朱镕基订单", charset, codec))
    assert found["subject"] == "朱镕基订单"


@pytest.mark.parametrize("codec", ["gb18030", "utf-8"])
def test_raw_eight_bit_headers(codec: str) -> None:
    found = row("From: a@example.com", b"Subject: " + "退货：朱镕基".encode(codec))
    assert found["subject"] == "退货：朱镕基"


@pytest.mark.parametrize(
    "type_", ["text/plain", "text/plain; charset=gb2312", "text/plain; charset=x"]
)
def test_a_body_without_or_with_a_wrong_charset(type_: str) -> None:
    found = row(
        "From: a@example.com", f"Content-Type: {type_}", body="您好，朱镕基".encode("gb18030")
    )
    assert found["text"] == "您好，朱镕基"


def test_html_is_cleaned_and_gives_the_text() -> None:
    body = (
        b'<p>Hi</p><img src="https://t.example/1.gif"><script>x()</script><p onclick="x()">you</p>'
    )
    found = row("From: a@example.com", "Content-Type: text/html", body=body)
    assert found["text"] == "Hi\nyou"
    assert found["html"] == "<p>Hi</p><p>you</p>"


def test_threading() -> None:
    found = row(
        "From: a@example.com", "References: <r@x> <p@x>", "In-Reply-To: <p@x>", "Message-ID: <m@x>"
    )
    assert (found["thread"], found["in_reply_to"], found["message_id"]) == (
        "<r@x>",
        "<p@x>",
        "<m@x>",
    )
    assert row("From: a@example.com", "Message-ID: <m@x>")["thread"] == "<m@x>"
    assert row("From: a@example.com", "References: <r@x> <p@x>")["in_reply_to"] == "<p@x>"


def test_without_a_usable_id_the_hash_names_it() -> None:
    for line in ("X: y", "Message-ID: ", "Message-ID: none", f"Message-ID: <{'x' * 400}@y>"):
        found = row("From: a@example.com", line)
        assert found["message_id"].startswith("sha256:")
        assert found["message_id"] == row("From: a@example.com", line)["message_id"]


@pytest.mark.parametrize(
    ("line", "automatic"),
    [
        ("Auto-Submitted: auto-replied", True),
        ("Auto-Submitted: no", False),
        ("Precedence: bulk", True),
        ("Return-Path: <>", True),
        ("Return-Path: <a@example.com>", False),
        ('Content-Type: multipart/report; boundary="b"', True),
    ],
)
def test_automatic_mail(line: str, automatic: bool) -> None:
    assert row("From: a@example.com", line)["automatic"] is automatic


def test_ours_is_out_and_nobodys() -> None:
    found = row("From: Us <US@example.org>")
    assert (found["direction"], found["sender"]) == ("out", None)


def test_a_bounce_is_nobodys() -> None:
    found = row("From: MAILER-DAEMON@x.example", 'Content-Type: multipart/report; boundary="b"')
    assert (found["direction"], found["sender"]) == ("in", None)


@pytest.mark.parametrize("date", ["", "Date: yesterday", "Date: Fri, 31 Dec 9999 23:59:59 -1200"])
def test_a_date_that_cannot_be(date: str) -> None:
    assert row("From: a@example.com", date or "X: y")["date"] == RECEIVED.isoformat()


def test_a_date_from_the_future_is_not_believed() -> None:
    late = RECEIVED + timedelta(days=30)
    assert row("From: a@example.com", f"Date: {late:%a, %d %b %Y %H:%M:%S +0000}")["date"] == (
        RECEIVED.isoformat()
    )


def test_attachments_are_listed() -> None:
    body = (
        b"--b\r\nContent-Type: text/plain\r\n\r\nsee\r\n"
        b"--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n"
        b"Content-Disposition: attachment; filename*=utf-8''%E7%85%A7%E7%89%87.png\r\n\r\n"
        b"AAAA\r\n--b--\r\n"
    )
    found = row("From: a@example.com", 'Content-Type: multipart/mixed; boundary="b"', body=body)
    assert found["text"] == "see"
    assert found["attachments"] == [
        {"name": "照片.png", "content_type": "image/png", "size_bytes": 3}
    ]


HEADERS = st.sampled_from(
    [b"From", b"To", b"Cc", b"Subject", b"Date", b"Message-ID", b"References", b"Content-Type",
     b"In-Reply-To", b"Content-Transfer-Encoding", b"Content-Disposition", b"MIME-Version"]
)  # fmt: skip
JUNK = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [b"multipart/mixed; boundary=b", b"=?utf-8?B?!!!?=", b"<a@b", b"message/rfc822",
         b"text/html; charset=utf-7", b"attachment; filename*=x''%FF",
         b'"a" <a@b>, , <>', b"group: a@b, c@d;",
         b"quoted-printable", b"base64", b"=?gb2312?Q?=FF=FE?= <x@y>", b"a@b(c" ]
    ),
)  # fmt: skip


@given(st.lists(st.tuples(HEADERS, JUNK), max_size=8), st.binary(max_size=200))
def test_no_mail_is_refused_for_how_it_is_written(
    headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    content = b"".join(b"%b: %b\r\n" % pair for pair in headers) + b"\r\n--b\r\n" + body
    found = to_row(content, RECEIVED, frozenset())
    orjson.dumps(found)
    assert "\0" not in str(found)
    assert found["message_id"]
    assert found["thread"]
