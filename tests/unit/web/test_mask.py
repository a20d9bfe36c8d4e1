from __future__ import annotations

import json

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from hub.profiles.mask import mask_phone, mask_text, masked
from tests.unit.web.world import LI_NA, OLD_LI_NA

SECRETS = (
    "13900001234", "139 0000 1234", "+8613900001234", "139-0000-1234",
    "02155500100", "021 5550 0100", "+862155500100", "021-5550",
    "13700005678", "137 0000 5678", "+8613700005678",
    "li.na@", "Li.Na@", "hello@quiet",
)  # fmt: skip

PATHS = [
    "/",
    "/?q=lina",
    "/?q=139 0000 1234",
    f"/card?customer={LI_NA}",
    f"/card/timeline?customer={LI_NA}",
    f"/card/why?customer={LI_NA}",
    "/api/v1/customers",
    "/api/v1/customers?q=李娜",
    f"/api/v1/customers/{LI_NA}",
    f"/api/v1/customers/{OLD_LI_NA}",
    f"/api/v1/customers/{LI_NA}/timeline?limit=100",
    f"/api/v1/customers/{LI_NA}/why",
]


@pytest.mark.parametrize("path", PATHS)
def test_an_auditor_sees_no_phone_and_no_address_anywhere(
    auditor: FlaskClient, agent: FlaskClient, path: str
) -> None:
    seen, whole = auditor.get(path), agent.get(path)
    assert (seen.status_code, whole.status_code) == (200, 200)
    text = seen.text.replace("q=139 0000 1234", "").replace('value="139 0000 1234"', "")
    shown = [secret for secret in SECRETS if secret in _plain(text)]
    if "q=139" in path:
        shown = [s for s in shown if s != "139 0000 1234"]  # what they typed themselves
    assert shown == []
    assert any(secret in _plain(whole.text) for secret in SECRETS)


def test_a_masked_profile_is_still_a_profile(auditor: FlaskClient, agent: FlaskClient) -> None:
    path = f"/api/v1/customers/{LI_NA}"
    seen, whole = auditor.get(path).get_json(), agent.get(path).get_json()
    assert seen["id"] == whole["id"]
    assert seen["name"]["value"] == "李娜"
    assert seen["built_at"] == whole["built_at"]
    assert [c["type"] for c in seen["contacts"]] == [c["type"] for c in whole["contacts"]]
    assert seen["orders"] == whole["orders"]
    assert {c["value"] for c in seen["contacts"] if c["type"] == "email"} == {"l***@hongda.example"}


def test_a_cursor_tells_nothing(auditor: FlaskClient) -> None:
    page = auditor.get(f"/api/v1/customers/{LI_NA}/timeline?limit=1").get_json()
    assert "mailbox" not in page["next"]
    again = auditor.get(
        f"/api/v1/customers/{LI_NA}/timeline", query_string={"cursor": page["next"]}
    )
    assert again.status_code == 200


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("电话13800138000，谢谢", "电话138******00，谢谢"),
        ("call +86 138 0013 8000 now", "call +86 13*********00 now"),
        ("(021) 6234-5678", "(02**********78"),
        ("mail a.b+c@x-y.example.com!", "mail a***@x-y.example.com!"),
        ("a@b.com+c@d.org", "a***@b.com+***@d.org"),
        ("１３８００１３８０００", "１３８******００"),
        ("due 2026-11-21, room 3", "due 2026-11-21, room 3"),
        ("5 of 10, 99.50 yuan", "5 of 10, 99.50 yuan"),
    ],
)
def test_free_text(text: str, hidden: str) -> None:
    assert mask_text(text) == hidden


def test_a_long_text_takes_no_longer_than_it_is() -> None:
    text = "x" * 1_000_000  # with a pattern without an end: for hours
    assert mask_text(f"{text} a@b.cn") == f"{text} a***@b.cn"


def test_structure_is_kept_where_it_identifies() -> None:
    document = {
        "id": "5f0c1d2e3b4a49788c6d5e4f3a2b1c01",
        "ref": "chat/users/13800138000",
        "number": "SO-2026-04171234",
        "occurred_at": "2026-11-21T10:00:00Z",
        "party": {"connection": "mail", "stream": "people", "id": "li@x.example"},
        "kind": "Call",
        "fields": {"number": "13800138000"},
        "amount_minor": 13800138000,
    }
    seen = masked(document)
    assert seen["id"] == document["id"]
    assert seen["occurred_at"] == document["occurred_at"]
    assert seen["ref"] == "chat/users/138******00"
    assert seen["party"]["id"] == "l***@x.example"
    assert seen["fields"]["number"] == "138******00"
    assert masked({"number": "SO-2026-04171234"}) == {"number": "SO-2026-04171234"}


@given(
    st.from_regex(r"\A1[3-9][0-9]{9}\Z"),
    st.sampled_from(["", " ", "电话", "Tel", "(", "：", "+86", "86-", "a@b.cn "]),
    st.sampled_from(["", "。", " ok", ")", "转1"]),
)
def test_no_mobile_number_gets_through_free_text(number: str, before: str, after: str) -> None:
    for spelled in (number, f"{number[:3]} {number[3:7]} {number[7:]}", "-".join(number)):
        seen = mask_text(before + spelled + after)
        assert number[3:9] not in "".join(c for c in seen if c.isdigit())


@given(st.text(max_size=40))
def test_masking_never_fails_and_hides_most_of_a_phone(text: str) -> None:
    json.dumps(masked({"value": text, "type": "phone", "others": [text, {"a": text}]}))
    assert len(mask_phone(text)) == len(text)


def _plain(text: str) -> str:
    """Numbers in links and in data attributes count as well."""
    return text.replace("%40", "@").replace("&#64;", "@").replace("%2B", "+")
