"""Signatures: recipes, the published vectors, and everything that must be refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from adapters.webhook.webhook import StandardConfig, StandardReceiver
from hub.errors import SignatureError, UnsupportedError
from hub.sdk import HookRequest
from hub.sdk.signing import (
    Recipe,
    body_hash,
    decode_base64,
    form,
    header,
    standard,
    verify_any,
    verify_fresh,
    verify_token,
)

VECTORS = json.loads(
    (Path(__file__).parents[2] / "data" / "standard_webhooks.json").read_text("utf-8")
)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def verify_standard(
    secrets: Sequence[str],
    headers_: Mapping[str, str],
    body: bytes,
    now: datetime,
    *,
    prefix: str = "webhook",
) -> str:
    v1, _ = standard(prefix)
    v1.verify(HookRequest("POST", headers_, {}, body, now), secrets)
    return headers_[f"{prefix}-id"]


def at(case: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(case["timestamp"], UTC)


def headers(case: dict[str, Any], signature: str) -> dict[str, str]:
    return {
        "webhook-id": case["msg_id"],
        "webhook-timestamp": str(case["timestamp"]),
        "webhook-signature": signature,
    }


@pytest.mark.parametrize("case", VECTORS["v1_hmac_sha256"])
def test_standard_webhooks_vectors(case: dict[str, Any]) -> None:
    given = headers(case, case["expected"]["webhook-signature"])
    body = case["body"].encode()
    assert verify_standard([case["secret"]], given, body, at(case)) == case["msg_id"]
    old_first = ["whsec_" + "MDEyMzQ1Njc4OWFiY2RlZg==", case["secret"]]
    assert verify_standard(old_first, given, body, at(case)) == case["msg_id"]


@pytest.mark.parametrize("case", VECTORS["v1_hmac_sha256"])
def test_one_other_byte_is_refused(case: dict[str, Any]) -> None:
    given = headers(case, case["expected"]["webhook-signature"])
    body, secret, now = case["body"].encode(), case["secret"], at(case)
    later = {**given, "webhook-timestamp": str(case["timestamp"] + 1)}
    for secrets, told, content, clock in (
        ([secret], given, body + b" ", now),
        ([secret[:-2] + "AA"], given, body, now),
        ([], given, body, now),
        (["whsec_not base64"], given, body, now),
        ([secret], later, body, now),
        ([secret], {**given, "webhook-id": "msg_other"}, body, now),
        ([secret], given, body, now + timedelta(seconds=301)),
        ([secret], given, body, now - timedelta(seconds=301)),
    ):
        with pytest.raises(SignatureError):
            verify_standard(secrets, told, content, clock)


def test_rotation_and_unknown_versions() -> None:
    case = VECTORS["v1_rotation_list"][0]
    now = at(case)
    assert verify_standard([case["secret"]], case["headers"], case["body"].encode(), now)


def receiver(*secrets: str, **given_: Any) -> StandardReceiver:
    return StandardReceiver(StandardConfig(secrets=secrets, **given_))


@pytest.mark.parametrize("case", VECTORS["v1a_ed25519"])
def test_public_keys_through_the_receiver(case: dict[str, Any]) -> None:
    told = headers(case, case["expected"]["webhook-signature"])
    sent = HookRequest("POST", told, {}, case["body"].encode(), at(case))
    shared = "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZg=="
    for secrets in ([case["public_key"]], [shared, case["public_key"]]):
        (item,) = receiver(*secrets).open(sent).items
        assert item.event_id == case["msg_id"]
    key = case["public_key"].encode()
    forged = [replace(sent, body=flip(sent.body, n)) for n in range(8 * len(sent.body))]
    forged += [
        replace(sent, headers={**told, name: flip(value.encode(), n).decode("latin-1")})
        for name, value in told.items()
        for n in range(8 * len(value))
    ]
    for other in forged:
        with pytest.raises(SignatureError):
            receiver(case["public_key"]).open(other)
    for n in range(8 * len(key)):
        with pytest.raises(SignatureError):
            receiver(flip(key, n).decode("latin-1")).open(sent)


def test_a_public_key_is_no_shared_secret() -> None:
    """Everybody knows it: what is signed with it as if it were a secret proves nothing."""
    (case,) = VECTORS["v1a_ed25519"]
    told = {name: value for name, value in headers(case, "").items() if value}
    known = case["public_key"].removeprefix("whpk_")
    v1, _ = standard()
    forged = v1.sign(HookRequest("POST", told, {}, case["body"].encode(), at(case)), known)
    v1.verify(forged, [known])
    with pytest.raises(SignatureError):
        receiver(case["public_key"]).open(forged)
    with pytest.raises(UnsupportedError):
        receiver(case["public_key"]).sample(NOW)


@pytest.mark.parametrize("case", VECTORS["v1_rotation_list"])
def test_rotation_through_the_receiver(case: dict[str, Any]) -> None:
    sent = HookRequest("POST", case["headers"], {}, case["body"].encode(), at(case))
    other = "whsec_" + base64.b64encode(b"0123456789abcdefghijklmnopqrstuv").decode()
    for secrets in ([case["secret"]], [other], [other, case["secret"]]):
        (item,) = receiver(*secrets).open(sent).items
        assert item.event_id == case["msg_id"]
    with pytest.raises(SignatureError):
        receiver("whsec_" + "A" * 32).open(sent)


def test_older_names_through_the_receiver() -> None:
    (case,) = VECTORS["svix_headers"]
    now = datetime.fromtimestamp(int(case["headers"]["svix-timestamp"]), UTC)
    sent = HookRequest("POST", case["headers"], {}, case["body"].encode(), now)
    assert receiver(case["secret"], header_prefix="svix").open(sent).items
    with pytest.raises(SignatureError):
        receiver(case["secret"]).open(sent)


def flip(data: bytes, bit: int) -> bytes:
    at_, of = divmod(bit, 8)
    return data[:at_] + bytes([data[at_] ^ (1 << of)]) + data[at_ + 1 :]


def test_older_header_names() -> None:
    case = VECTORS["svix_headers"][0]
    now = datetime.fromtimestamp(int(case["headers"]["svix-timestamp"]), UTC)
    body = case["body"].encode()
    assert verify_standard([case["secret"]], case["headers"], body, now, prefix="svix")


@pytest.mark.parametrize("case", VECTORS["malformed_signature_header"], ids=lambda c: c["name"])
def test_malformed_headers(case: dict[str, Any]) -> None:
    told, body = headers(case, case["header"]), case["body"].encode()
    if case["expected"]["valid"]:
        assert verify_standard([case["secret"]], told, body, at(case))
    else:
        with pytest.raises(SignatureError):
            verify_standard([case["secret"]], told, body, at(case))


@given(st.text(max_size=60), st.text(max_size=20), st.text(max_size=20))
def test_nothing_but_refusal(signature: str, id_: str, timestamp: str) -> None:
    told = {"webhook-id": id_, "webhook-timestamp": timestamp, "webhook-signature": signature}
    with pytest.raises(SignatureError):
        verify_standard(["whsec_" + "A" * 32], told, b"{}", NOW)


def signed(recipe: Recipe, secret: str = "k", **given_: Any) -> HookRequest:
    asked = {"method": "POST", "headers": {}, "query": {}, "body": b"m", "received_at": NOW}
    return recipe.sign(HookRequest(**{**asked, **given_}), secret)


SHA1 = Recipe(
    signature="query:sign", parts=("secret", "query:at", "body"), digest="sha1", sort=True
)
LIST = Recipe(
    signature="header:x-sign#v1",
    parts=("header:x-sign#t", "body"),
    separator=".",
    timestamp="header:x-sign#t",
)
URL = Recipe(signature="header:x-sign", parts=("method", "url", "form"), encoding="base64")
JSON = Recipe(signature="json:sign", parts=("json:at", "text:!", "json:word"), separator="\n")


@pytest.mark.parametrize(
    ("recipe", "given_"),
    [
        (Recipe(signature="header:x-sign", parts=("body",), prefix="sha256="), {}),
        (Recipe(signature="header:x-sign", parts=("body",), digest="hmac-sha1"), {}),
        (SHA1, {"query": {"at": "5"}}),
        (LIST, {"headers": {"x-sign": f"t={int(NOW.timestamp())}"}}),
        (URL, {"url": "https://hub.example.com/hooks/a?b=%20", "body": b"b=2&a=1&a=1"}),
        (JSON, {"body": b'{"at": 5, "word": "w"}'}),
        (Recipe(signature="query:sign", parts=("query",)), {"query": {"b": "2", "a": "1"}}),
        (Recipe(signature="header:x-sign", parts=("path", "xml:E")), {"body": b"<x><E>1</E></x>"}),
    ],
)
def test_what_a_recipe_signs_it_believes(recipe: Recipe, given_: dict[str, Any]) -> None:
    request = signed(recipe, **given_)
    recipe.verify(request, ["old", "k"])
    for secrets, other in (
        (["other"], request),
        ([], request),
        ([""], request),
        (["k"], replace(request, body=b"n")),
        (["k"], replace(request, headers={}, query={}, body=b"")),
    ):
        if other is request or "body" in recipe.parts or other.body != b"n":
            with pytest.raises(SignatureError):
                recipe.verify(other, secrets)


def test_a_recipe_is_refused_where_it_proves_nothing() -> None:
    for faulty in (
        {"signature": "header:x", "parts": ["body"], "digest": "sha256"},
        {"signature": "header:x", "parts": []},
        {"signature": "header", "parts": ["body"]},
        {"signature": "cookie:x", "parts": ["body"]},
        {"signature": "header:x", "parts": ["body"], "digest": "crc32"},
    ):
        with pytest.raises(ValidationError):
            Recipe.model_validate(faulty)


def test_a_url_with_or_without_its_port() -> None:
    request = signed(URL, url="https://hub.example.com/hooks/a", body=b"")
    URL.verify(replace(request, url="https://hub.example.com:443/hooks/a"), ["k"])
    with pytest.raises(SignatureError):
        URL.verify(replace(request, url="https://hub.example.com:8443/hooks/b"), ["k"])


@pytest.mark.parametrize("url", ["https://[", "https://hub:x/a", "", "https://hub:99999/", "é://"])
def test_an_address_that_is_none(url: str) -> None:
    request = signed(URL, url="https://hub.example.com/hooks/a", body=b"")
    by_path = Recipe(signature="header:x-sign", parts=("path",))
    for recipe in (URL, by_path):
        with pytest.raises(SignatureError):
            recipe.verify(replace(request, url=url), ["k"])


def test_any_of_several_recipes() -> None:
    recipes = {"list": LIST, "query": SHA1}
    assert verify_any(recipes, signed(SHA1, query={"at": "5"}), ["k"]) == "query"
    with pytest.raises(SignatureError, match="no configured secret fits"):
        verify_any(recipes, signed(SHA1, query={"at": "5"}), ["other"])


@pytest.mark.parametrize("bit", range(8))
def test_no_other_text_is_the_same_signature(bit: int) -> None:
    """Neither upper case nor the unused bits at the end of base64."""
    for encoding in ("hex", "base64"):
        recipe = Recipe(signature="header:x-sign", parts=("body",), encoding=encoding)
        request = signed(recipe)
        text = request.headers["x-sign"].encode()
        for at_ in range(len(text)):
            flipped = text[:at_] + bytes([text[at_] ^ (1 << bit)]) + text[at_ + 1 :]
            forged = replace(request, headers={"x-sign": flipped.decode("latin-1")})
            with pytest.raises(SignatureError):
                recipe.verify(forged, ["k"])


def test_a_form() -> None:
    assert form(b"a=1&b=%E4%BD%A0&a=") == [("a", "1"), ("b", "你"), ("a", "")]
    assert len(form(b"a=1&" * 999 + b"a=1")) == 1000
    for body in (b"\xff", b"a", b"a=1&&", b"a=1&" * 1000 + b"a=1"):
        with pytest.raises(SignatureError):
            form(body)


def test_token() -> None:
    verify_token(["a", "b"], "b")
    for expected, given_ in (([], ""), ([""], ""), (["a"], ""), (["a"], "b"), (["a"], "é")):
        with pytest.raises(SignatureError):
            verify_token(expected, given_)


@pytest.mark.parametrize(
    "timestamp",
    [
        str(int(NOW.timestamp())),
        str(int(NOW.timestamp() * 1000)),
        NOW.isoformat(),
        "2026-11-21T20:04:59+08:00",
    ],
)
def test_fresh(timestamp: str) -> None:
    verify_fresh(timestamp, NOW)


@pytest.mark.parametrize(
    "timestamp",
    [
        "",
        "x",
        "-5",
        "1e9",
        "²",
        "9" * 400,
        "2026-11-21T12:00:00",
        "2026-11-21T12:05:01Z",
        "2026-11-21",
    ],
)
def test_not_fresh(timestamp: str) -> None:
    with pytest.raises(SignatureError):
        verify_fresh(timestamp, NOW)


def test_small_helpers() -> None:
    assert header({"x": "1"}, "x") == "1"
    with pytest.raises(SignatureError):
        header({"x": ""}, "x")
    assert decode_base64("YQ==") == b"a"
    with pytest.raises(SignatureError):
        decode_base64("YR==")
    assert body_hash(b"a") == body_hash(b"a") != body_hash(b"b")
