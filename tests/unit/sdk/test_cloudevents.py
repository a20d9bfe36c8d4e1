"""CloudEvents: the vectors, the specification's own SDK as peer both ways, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings import http as peer
from cloudevents.core.v1.event import CloudEvent as PeerEvent
from hypothesis import given
from hypothesis import strategies as st

from hub.sdk.cloudevents import (
    BATCHED,
    STRUCTURED,
    CloudEvent,
    from_binary,
    from_structured,
    mode,
    split,
    to_binary,
    to_structured,
)

VECTORS = json.loads(
    (Path(__file__).parents[2] / "data" / "vectors" / "cloudevents.json").read_text("utf-8")
)
EVENT = CloudEvent(VECTORS["event"]["attributes"], VECTORS["event"]["data"])
BARE = {"id": "1", "source": "/s", "specversion": "1.0", "type": "a.b"}

# What an attribute may say: no control characters, no halves of surrogate pairs.
texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40)
names = st.from_regex(r"[a-z][a-z0-9]{2,12}", fullmatch=True).filter(
    lambda name: name not in ("data", "time", "datacontenttype", "dataschema", "subject")
)
objects = st.dictionaries(
    texts, st.none() | st.booleans() | st.integers() | st.text(max_size=20), max_size=4
)
events = st.builds(
    lambda id_, source, subject, more, data: CloudEvent(
        {**more, **BARE, "id": id_, "source": f"/{source}", "subject": subject}
        | {"datacontenttype": "application/json", "time": "2026-11-21T12:00:00Z"},
        data,
    ),
    texts,
    st.from_regex(r"[a-z]{1,9}", fullmatch=True),
    texts,
    st.dictionaries(names, texts, max_size=3),
    objects,
)


def headers_of(value: str) -> dict[str, str]:
    return {**{f"ce-{name}": text for name, text in BARE.items()}, "ce-subject": value}


def test_the_binary_vector_both_ways() -> None:
    told = VECTORS["http_binary"]
    assert mode(told["headers"]) == "binary"
    assert from_binary(told["headers"], told["body"].encode()) == EVENT
    headers, body = to_binary(EVENT)
    assert headers == told["headers"]
    assert json.loads(body) == EVENT.data


def test_the_structured_vector_both_ways() -> None:
    told = VECTORS["http_structured"]
    assert mode(told["headers"]) == "structured"
    assert from_structured(told["body"].encode()) == EVENT
    headers, body = to_structured(EVENT)
    assert mode(headers) == "structured"
    assert json.loads(body) == json.loads(told["body"])


@pytest.mark.parametrize("case", VECTORS["header_values"], ids=lambda case: case["value"])
def test_header_values(case: dict[str, Any]) -> None:
    headers, _ = to_binary(CloudEvent({**BARE, "subject": case["value"]}))
    assert headers["ce-subject"] == case["written"]
    for written in [case["written"], *case["read_too"]]:
        assert from_binary(headers_of(written), b"").text("subject") == case["value"]


@pytest.mark.parametrize("value", VECTORS["refused_header_values"])
def test_malformed_header_values_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"subject|utf-8"):
        from_binary(headers_of(value), b"")


@given(event=events)
def test_the_peer_reads_what_we_write(event: CloudEvent) -> None:
    for write in (to_binary, to_structured):
        headers, body = write(event)
        read = peer.from_http_event(peer.HTTPMessage(headers, body))
        told = {**read.get_attributes(), "time": read.get_time().isoformat()}
        assert told == {**event.attributes, "time": "2026-11-21T12:00:00+00:00"}
        assert read.get_data() == event.data


@given(event=events)
def test_we_read_what_the_peer_writes(event: CloudEvent) -> None:
    at = datetime(2026, 11, 21, 12, tzinfo=UTC)
    theirs = PeerEvent({**event.attributes, "time": at}, event.data)
    binary, structured = peer.to_binary_event(theirs), peer.to_structured_event(theirs)
    for message, expected in ((binary, "binary"), (structured, "structured")):
        headers = {name.lower(): value for name, value in message.headers.items()}
        assert mode(headers) == expected
    assert from_binary({k.lower(): v for k, v in binary.headers.items()}, binary.body) == event
    assert from_structured(structured.body) == event


@pytest.mark.parametrize("data", [b"\x00\xff", b"plain", b"{"])
def test_bytes_stay_bytes_whichever_way_they_travel(data: bytes) -> None:
    event = CloudEvent({**BARE, "datacontenttype": "application/octet-stream"}, data)
    assert from_binary(*to_binary(event)) == event
    assert from_structured(to_structured(event)[1]) == event
    message = peer.to_structured_event(PeerEvent({**event.attributes}, data))
    assert from_structured(message.body).data == data


def test_text_that_is_no_json_is_not_parsed() -> None:
    event = CloudEvent({**BARE, "datacontenttype": "text/plain"}, "5")
    assert to_binary(event)[1] == b"5"
    assert from_structured(to_structured(event)[1]) == event
    told = CloudEvent({**BARE, "datacontenttype": "application/json"}, "5")
    assert to_binary(told)[1] == b'"5"'
    assert from_binary(*to_binary(told)) == told


def test_json_that_is_none_stays_bytes() -> None:
    headers = {**to_binary(EVENT)[0]}
    assert from_binary(headers, b"{not json").data == b"{not json"
    assert from_binary(headers, b"").data is None


def test_numbers_and_truth_values_of_attributes() -> None:
    body = json.dumps({**BARE, "priority": 5, "urgent": True, "note": None}).encode()
    event = from_structured(body)
    assert (event.text("priority"), event.text("urgent"), event.text("note")) == ("5", "true", "")
    headers, _ = to_binary(event)
    assert (headers["ce-priority"], headers["ce-urgent"]) == ("5", "true")
    assert "ce-note" not in headers


def test_numbers_keep_all_their_digits() -> None:
    large = {"n": 123456789012345678901}
    (again,) = split(json.dumps([{**BARE, "data": large}]).encode())
    assert from_structured(again).data == large


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (STRUCTURED, "structured"),
        ("Application/CloudEvents+JSON ; charset=utf-8", "structured"),
        (BATCHED, "batched"),
        ("application/cloudevents-batch+json; charset=UTF-8", "batched"),
        ("application/cloudevents+avro", ""),
        ("application/cloudevents-batch", ""),
        ("application/cloudevents", ""),
        ("application/json", ""),
        ("", ""),
    ],
)
def test_modes(content_type: str, expected: str) -> None:
    assert mode({"content-type": content_type}) == expected
    assert mode({**headers_of("x"), "content-type": content_type}) == (
        expected if content_type.lower().startswith("application/cloudevents") else "binary"
    )


def test_binary_needs_all_required_headers() -> None:
    for name in BARE:
        headers = headers_of("x")
        del headers[f"ce-{name}"]
        assert mode(headers) == ""


@pytest.mark.parametrize(
    "more",
    [
        {"ce-id": ""},
        {"ce-specversion": "0.3"},
        {"ce-specversion": "1.0, 1.0"},
        {"ce-datacontenttype": "application/json"},
        {"ce-data": "x"},
        {"ce-my_extension": "x"},
        {"ce-": "x"},
    ],
)
def test_malformed_binary_messages_are_refused(more: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_binary({**headers_of("x"), **more}, b"")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"{" * 5000,
        b"[" * 100_000,
        b"\xff",
        json.dumps({**BARE, "id": 7}).encode(),
        json.dumps({**BARE, "id": ""}).encode(),
        json.dumps({**BARE, "specversion": "2.0"}).encode(),
        json.dumps({**BARE, "ext": {"a": 1}}).encode(),
        json.dumps({**BARE, "ext": 1.5}).encode(),
        json.dumps({**BARE, "Ext": "x"}).encode(),
        json.dumps({**BARE, "data": 1, "data_base64": "YQ=="}).encode(),
        json.dumps({**BARE, "data_base64": "not base64!"}).encode(),
        json.dumps({**BARE, "data_base64": 5}).encode(),
        json.dumps({**BARE, "data": float("nan")}).encode(),
    ],
)
def test_malformed_structured_messages_are_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_structured(body)


@given(st.binary(max_size=200), st.dictionaries(st.text(max_size=9), st.text(max_size=20)))
def test_nothing_but_value_errors(body: bytes, more: dict[str, str]) -> None:
    readers = (
        lambda: from_structured(body),
        lambda: split(body),
        lambda: from_binary({**headers_of("x"), **{f"ce-{k}": v for k, v in more.items()}}, body),
    )
    for read in readers:
        try:
            read()
        except ValueError:
            continue
