"""Whatever stands in headers, query and body: a receiver refuses it or keeps it; none fails."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub import mapping, registry
from hub.sdk import Envelope, HookRequest, Reply, SignatureError, UnsupportedError
from hub.sdk.testing import NOW, _request
from hub.sdk.vendor import Vendor

VENDORS = {
    name: Vendor(found, mapping) for name, found in registry.manifests().items() if found.webhook
}

texts = st.one_of(
    st.text(max_size=40),
    st.integers().map(str),
    st.binary(max_size=40).map(lambda b: b.decode("latin-1")),
    st.sampled_from(["", "v1,", "sha256=", "1795262400", "1795262400000", "=", "é" * 50, "\ud800"]),
)
jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
NAMES = (
    "encrypt", "type", "token", "challenge", "header", "event", "op", "data", "signature", "sig",
    "timestamp", "timeStamp", "nonce", "content", "schema", "events", "id", "entry", "value",
    "clientState", "payload", "ticket", "issue", "object", "Type", "TopicArn", "SigningCertURL",
)  # fmt: skip
objects = st.dictionaries(st.sampled_from(NAMES), jsons, max_size=6)
xmls = texts.map(lambda text: f"<xml><Encrypt>{text}</Encrypt></xml>")
ODD = (
    b"", b"{", b"[]", b"null", b'"', b"\xff\xfe", b"<xml/>", b"<a>", b"[" * 20_000, b"{" * 20_000,
    b'{"a":' * 20_000, b"<a>" * 20_000, b"1" * 5_000, b"=&=", b"%zz=%", b"\x00",
    b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', b"<?xml version='1.0' encoding='utf-7'?><x/>",
    b'{"Type":"Notification","TopicArn":1}', b'--b\r\n\r\n--b--', b'payload=%7B', b'{"value":[1]}',
    b'{"encrypt":"="}', b'{"encrypt":"\xf0\x9f"}', b'{"encrypt":1e999}',
)  # fmt: skip


@st.composite
def requests(draw: st.DrawFn, genuine: HookRequest) -> HookRequest:
    """A genuine request of which some parts are garbage."""
    body = st.one_of(
        st.just(genuine.body),
        st.binary(max_size=200),
        st.sampled_from(ODD),
        objects.map(lambda value: json.dumps(value).encode()),
        xmls.map(lambda text: text.encode("utf-8", "replace")),
    )
    return replace(
        genuine,
        method=draw(st.sampled_from(["GET", "POST", "PUT"])),
        headers=draw(garbled(dict(genuine.headers))),
        query=draw(garbled({**genuine.query, "echostr": "", "hub.challenge": "", "sign": ""})),
        body=draw(body),
        url=draw(st.just(genuine.url) | texts),
        path=draw(st.just(genuine.path) | texts),
        remote=draw(st.just(genuine.remote) | texts),
    )


def garbled(told: dict[str, str]) -> st.SearchStrategy[dict[str, str]]:
    kept = st.fixed_dictionaries({}, optional={k: st.just(v) | texts for k, v in told.items()})
    return st.just(told) | kept


def genuine_of(vendor: Vendor) -> tuple[HookRequest, Any]:
    """A genuine request, and the config it is genuine with."""
    try:
        return vendor.receiver().sample(NOW), None
    except UnsupportedError:
        fixture = next(iter(vendor.fixtures_of("hook").values()))
        return _request(fixture["hook"]), fixture.get("config")


@pytest.mark.parametrize("name", VENDORS)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_garbage_is_refused_or_kept(name: str, data: st.DataObject) -> None:
    vendor = VENDORS[name]
    genuine, config = genuine_of(vendor)
    receiver = vendor.receiver(config)
    opened: Any = None
    try:
        opened = receiver.open(data.draw(requests(genuine)))
    except SignatureError:
        return
    assert isinstance(opened, Envelope | Reply)


@pytest.mark.parametrize("name", VENDORS)
def test_every_odd_body_is_refused_or_kept(name: str) -> None:
    vendor = VENDORS[name]
    genuine, config = genuine_of(vendor)
    receiver = vendor.receiver(config)
    for body in ODD:
        try:
            opened = receiver.open(replace(genuine, body=body))
        except SignatureError:
            continue
        assert isinstance(opened, Envelope | Reply)
