"""Signatures: the published vectors, and everything that must be refused."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.errors import SignatureError
from hub.sdk.signing import (
    body_hash,
    decode_base64,
    header,
    hmac_digest,
    standard_signature,
    verify_fresh,
    verify_hmac,
    verify_standard,
    verify_token,
)

VECTORS = json.loads(
    (Path(__file__).parents[2] / "data" / "standard_webhooks.json").read_text("utf-8")
)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


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


def test_an_id_with_a_dot_is_refused() -> None:
    """``a.1`` at 2 signs the same text as ``a`` at 1 with a body that starts with ``2.``."""
    secret, seconds = "whsec_" + "A" * 32, str(int(NOW.timestamp()))
    signature = standard_signature(secret, "a.1", seconds, b"x")
    told = {"webhook-id": "a.1", "webhook-timestamp": seconds}
    told["webhook-signature"] = "v1," + base64.b64encode(signature).decode()
    with pytest.raises(SignatureError):
        verify_standard([secret], told, b"x", NOW)


@given(st.text(max_size=60), st.text(max_size=20), st.text(max_size=20))
def test_nothing_but_refusal(signature: str, id_: str, timestamp: str) -> None:
    told = {"webhook-id": id_, "webhook-timestamp": timestamp, "webhook-signature": signature}
    with pytest.raises(SignatureError):
        verify_standard(["whsec_" + "A" * 32], told, b"{}", NOW)


@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_hmac(encoding: Any) -> None:
    digest = hmac_digest(b"k", b"m")
    text = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
    verify_hmac([b"old", b"k"], b"m", text, encoding=encoding)
    for keys, message, signature in (
        ([b"other"], b"m", text),
        ([], b"m", text),
        ([b"k"], b"n", text),
        ([b"k"], b"m", ""),
        ([b"k"], b"m", "é"),
        ([b"k"], b"m", "zz"),
    ):
        with pytest.raises(SignatureError):
            verify_hmac(keys, message, signature, encoding=encoding)


def test_token() -> None:
    verify_token(["a", "b"], "b")
    for expected, given_ in (([], ""), ([""], ""), (["a"], ""), (["a"], "b"), (["a"], "é")):
        with pytest.raises(SignatureError):
            verify_token(expected, given_)


@pytest.mark.parametrize(
    "timestamp", [str(int(NOW.timestamp())), NOW.isoformat(), "2026-11-21T20:04:59+08:00"]
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
    assert body_hash(b"a") == body_hash(b"a") != body_hash(b"b")
