"""Whatever was sent to us can be read, and nothing that looks like a secret in it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.store import bodies
from hub.store.bodies import HIDDEN, SHOWN_MAX, is_secret, readable

CANARY = "c4n4ry-0123456789"


SECRET_NAMES = """
password user_passwd newPassword1 client_secret appSecret corpsecret token accessToken pwd 密码
X-Gitlab-Token X-Hub-Signature-256 msg_signature sign X-Sign api_key apiKey X-Api-Key EncodingAESKey
Authorization Cookie
"""
OTHER_NAMES = """
secretary design assignee signed_at issue_key key content-type config x-request-id author 姓名
webhook-timestamp passenger
"""


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_a_secret_is_known_by_its_name(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize("name", OTHER_NAMES.split())
def test_other_names_are_left_alone(name: str) -> None:
    assert not is_secret(name)


def nested(value: str) -> list[tuple[str, bytes, str]]:
    inner = json.dumps({"user": "李娜", "token": value})
    record: dict[str, Any] = {"id": 17, "name": "李娜", "auth": {"client_secret": value}}
    tokens = {
        "tokens": [value, {"deep": value}],
        "link": f"https://a.example/?access_token={value}",
    }
    escaped = json.dumps({"name": "李娜", "payload": inner, "header": f"Bearer {value}"})
    xml = f"<xml><Name>李娜</Name><Token><![CDATA[{value}]]></Token><a sign='{value}'/></xml>"
    soap = f"<s:E xmlns:s='urn:x'><s:Secret><v>{value}</v></s:Secret><n>李娜</n></s:E>"
    form = urlencode({"name": "李娜", "payload": inner, "password": value})
    return [
        ("json", json.dumps(record | tokens).encode(), "application/json"),
        ("json", escaped.encode(), ""),
        ("xml", xml.encode(), "text/xml"),
        ("xml", soap.encode(), ""),
        ("form", form.encode(), "application/x-www-form-urlencoded"),
        ("form", form.encode(), ""),
        ("text", f"姓名: 李娜, password = {value}".encode(), "text/plain"),
        ("text", f'{{"name": "李娜", "secret": "{value}", "cut'.encode(), "application/json"),
        ("text", f"<xml><Name>李娜</Name><Token>{value}".encode(), "text/xml"),
        ("text", f"姓名：李娜 token: {value}".encode("gb18030"), "text/plain; charset=GBK"),
    ]


@pytest.mark.parametrize(("format_", "body", "content_type"), nested(CANARY))
def test_each_kind_of_body_is_put_in_order_without_its_secrets(
    format_: str, body: bytes, content_type: str
) -> None:
    shown = readable(body, content_type)
    assert shown.format == format_
    assert "李娜" in shown.text
    assert HIDDEN in shown.text
    assert CANARY not in shown.text


def test_json_is_indented_and_xml_keeps_its_prefixes() -> None:
    assert readable(b'{"a":[1,{"b":null}]}').text.splitlines()[1] == '  "a": ['
    soap = readable(b'<s:E xmlns:s="urn:x"><s:B>\n <a>1</a></s:B></s:E>').text
    assert soap.splitlines() == [
        '<s:E xmlns:s="urn:x">',
        "  <s:B>",
        "    <a>1</a>",
        "  </s:B>",
        "</s:E>",
    ]


def test_a_form_is_a_line_for_each_field_and_json_in_it_is_opened() -> None:
    shown = readable(urlencode({"a": "1 2", "payload": '{"x":[1]}'}).encode())
    assert shown.text.splitlines()[:2] == ["a = 1 2", "payload = {"]


def test_what_is_no_text_is_shown_in_hexadecimal() -> None:
    shown = readable(b"PK\x03\x04" + bytes(3000))
    assert shown.format == "binary"
    assert shown.cut
    assert shown.text.startswith("000000  50 4b 03 04 00")
    assert "PK.." in shown.text.splitlines()[0]
    assert len(shown.text.splitlines()) == 64


def test_nothing_is_empty_and_much_is_cut() -> None:
    assert readable(b" \n") == bodies.Body("empty", "")
    long = readable(b'["' + b"x" * 2 * SHOWN_MAX + b'"]')
    assert long.cut
    assert len(long.text) == SHOWN_MAX


@pytest.mark.parametrize(
    "body",
    [
        *(word * 100_000 for word in (b"[", b"<a>", b"_", b"token ", b"a=b&", b"sign", b"%")),
        b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>",
        b'{"n": NaN}',
        b"\xff\xfe" * 10,
    ],
)
def test_no_body_is_too_strange(body: bytes) -> None:
    assert readable(body, "application/x-www-form-urlencoded").format


@given(st.binary(max_size=300), st.text(max_size=40))
def test_whatever_comes_it_can_be_shown(body: bytes, content_type: str) -> None:
    readable(body, content_type)
    assert "\x00" not in bodies.start(body, content_type)


KEYS = st.sampled_from(["id", "name", "token", "password", "apiKey", "sign", "secrets"])
VALUES = st.recursive(
    st.sampled_from([CANARY, 7, True, None]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(VALUES)
def test_nothing_under_a_secrets_name_is_shown(value: Any) -> None:
    """Whole, and cut anywhere, as the body of a refused request is."""
    body = json.dumps({"token": value}).encode()
    assert CANARY not in readable(body).text


@pytest.mark.parametrize("size", range(20, 60))
def test_the_beginning_of_a_body_hides_them_wherever_it_is_cut(size: int) -> None:
    for _, body, content_type in nested(CANARY)[:3]:
        shown = bodies.start(body[:size], content_type, [CANARY])
        assert CANARY not in shown
    cut = bodies.start(f'{{"密码": "{CANARY}", "x": "李娜"}}'.encode()[:size], "")
    assert "4ry" not in cut


def test_headers_are_scrubbed_by_name_and_by_our_own_secrets() -> None:
    told = {
        "x-signature": "s",
        "x-custom": f"pre {CANARY}",
        "x-trace": "t1",
        "referer": "/?token=a",
    }
    assert bodies.scrubbed(told, [CANARY]) == {
        "x-signature": HIDDEN,
        "x-custom": HIDDEN,
        "x-trace": "t1",
        "referer": f"/?token={HIDDEN}",
    }
    assert bodies.outlined(told, [CANARY])["x-custom"] == f"{HIDDEN} ({len(CANARY) + 4})"
    many = bodies.outlined({f"h{n}": "x" * 9999 for n in range(200)})
    assert len(many) == bodies.HEADERS_MAX
    assert {len(value) for value in many.values()} == {bodies.VALUE_MAX}
