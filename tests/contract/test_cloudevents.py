"""CloudEvents in: who is let in, what an event is called, what is kept although it is broken."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings import http as peer
from cloudevents.core.v1.event import CloudEvent as PeerEvent

from adapters.cloudevents.webhook import CloudEventsConfig, CloudEventsReceiver
from hub.errors import ConfigError, SignatureError
from hub.sdk import Deleted, Envelope, HookRequest, Reply, Row
from hub.sdk.signing import STANDARD

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BARE = {"id": "1", "source": "/s", "specversion": "1.0", "type": "com.example.order.updated"}


def receiver(**config: Any) -> CloudEventsReceiver:
    return CloudEventsReceiver(CloudEventsConfig(**(config or {"bearer_tokens": ["t0ken"]})))


def request(message: peer.HTTPMessage, **more: str) -> HookRequest:
    told = {"authorization": "Bearer t0ken", **message.headers, **more}
    return HookRequest("POST", {k.lower(): v for k, v in told.items()}, {}, message.body, NOW)


def binary(data: Any = None, **attributes: str) -> HookRequest:
    event = PeerEvent({**BARE, "datacontenttype": "application/json", **attributes}, data)
    return request(peer.to_binary_event(event))


def structured(document: object, media: str = "application/cloudevents+json") -> HookRequest:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return request(peer.HTTPMessage({"content-type": media}, body))


def signed(asked: HookRequest) -> HookRequest:
    stamp = {"webhook-id": "m1", "webhook-timestamp": str(int(NOW.timestamp()))}
    return STANDARD.sign(replace(asked, headers={**asked.headers, **stamp}), SECRET)


def items(opened: Envelope | Reply) -> list[tuple[str | None, str | None, str]]:
    assert isinstance(opened, Envelope)
    return [(item.event_id, item.order_key, item.type) for item in opened.items]


def test_the_same_event_has_the_same_name_in_every_mode() -> None:
    event = {**BARE, "subject": "张伟 100%", "data": {"id": "7"}}
    one = binary({"id": "7"}, subject="张伟 100%")
    two = structured(event)
    three = structured([event, event], "application/cloudevents-batch+json; charset=utf-8")
    opened = [receiver().open(each) for each in (one, two, three)]
    assert {name for each in opened for name in items(each)} == {
        ("/s|1", "张伟 100%", "com.example.order.updated")
    }
    assert [len(items(each)) for each in opened] == [1, 1, 2]


def test_names_cannot_be_mistaken_for_one_another() -> None:
    first = receiver().open(structured({**BARE, "source": "a|b", "id": "c"}))
    second = receiver().open(structured({**BARE, "source": "a", "id": "b|c"}))
    assert items(first)[0][0] != items(second)[0][0]


def test_rows_carry_the_event_and_take_their_id_from_the_subject() -> None:
    opened = receiver().open(binary({"number": "SO1"}, subject="1001"))
    assert isinstance(opened, Envelope)
    (said,) = receiver().parse(opened.items[0].body)
    assert isinstance(said, Row)
    assert said.stream == "orders"
    assert said.raw["event_subject"] == "1001"
    assert said.raw["number"] == "SO1"
    gone = structured({**BARE, "type": "com.example.order.Deleted.v2", "subject": "1001"})
    opened = receiver().open(gone)
    assert isinstance(opened, Envelope)
    assert list(receiver().parse(opened.items[0].body)) == [Deleted("orders", "1001")]


def test_data_in_base64_is_read_too() -> None:
    data = {"data_base64": "eyJpZCI6ICI3In0=", "datacontenttype": "application/json"}
    opened = receiver().open(structured({**BARE, **data}))
    assert isinstance(opened, Envelope)
    (said,) = receiver().parse(opened.items[0].body)
    assert isinstance(said, Row)
    assert said.raw["id"] == "7"


@pytest.mark.parametrize(
    ("document", "media"),
    [
        (b"{", "application/cloudevents+json"),
        ({"id": "1"}, "application/cloudevents+json"),
        ({**BARE, "data": "text"}, "application/cloudevents+json"),
        ({**BARE, "type": "unheard.of"}, "application/cloudevents+json"),
        ({**BARE, "type": ""}, "application/cloudevents+json"),
        ({"not": "a list"}, "application/cloudevents-batch+json"),
        (b"[" * 100_000, "application/cloudevents-batch+json"),
        ([5], "application/cloudevents-batch+json"),
    ],
)
def test_genuine_garbage_is_kept_and_told(document: object, media: str) -> None:
    opened = receiver().open(structured(document, media))
    assert isinstance(opened, Envelope)
    (item,) = opened.items
    with pytest.raises(ConfigError):
        list(receiver().parse(item.body))


def test_a_broken_event_takes_no_others_of_its_batch_along() -> None:
    batch = structured(
        [BARE, {"id": "2"}, {**BARE, "id": "3"}], "application/cloudevents-batch+json"
    )
    assert [name for name, _, _ in items(receiver().open(batch))] == ["/s|1", None, "/s|3"]


def test_an_empty_batch_is_nothing_new() -> None:
    assert items(receiver().open(structured([], "application/cloudevents-batch+json"))) == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"ce-subject": "%C0%A0"}, 400),
        ({"ce-subject": "100%"}, 400),
        ({"ce-specversion": "0.3"}, 400),
        ({"content-type": "application/cloudevents+avro"}, 415),
    ],
)
def test_malformed_binary_messages_are_answered(headers: dict[str, str], status: int) -> None:
    asked = binary({"id": "7"})
    answer = receiver().open(replace(asked, headers={**asked.headers, **headers}))
    assert isinstance(answer, Reply)
    assert answer.status == status


def test_what_is_no_cloud_event_is_415() -> None:
    asked = structured({"id": "7"}, "application/json")
    answer = receiver().open(asked)
    assert isinstance(answer, Reply)
    assert answer.status == 415


def test_a_signature_leaves_attributes_in_headers_unproven() -> None:
    signing = receiver(secrets=[SECRET])
    assert items(signing.open(signed(structured(BARE))))
    with pytest.raises(SignatureError, match="attributes"):
        signing.open(signed(binary({"id": "7"})))


@pytest.mark.parametrize(
    ("headers", "query", "is_let_in"),
    [
        ({"authorization": "Bearer t0ken"}, {}, True),
        ({"authorization": "bearer old"}, {}, True),
        ({}, {"access_token": "t0ken"}, True),
        ({"authorization": "Bearer other"}, {"access_token": "t0ken"}, False),
        ({"authorization": "Bearer"}, {}, False),
        ({"authorization": "t0ken"}, {}, False),
        ({}, {"access_token": ""}, False),
        ({}, {}, False),
    ],
)
def test_bearer_tokens(headers: dict[str, str], query: dict[str, str], *, is_let_in: bool) -> None:
    asked = binary({"id": "7"})
    told = {k: v for k, v in asked.headers.items() if k != "authorization"} | headers
    given = receiver(bearer_tokens=["t0ken", "old"])
    if is_let_in:
        assert items(given.open(replace(asked, headers=told, query=query)))
    else:
        with pytest.raises(SignatureError):
            given.open(replace(asked, headers=told, query=query))


def test_all_that_is_configured_must_hold_and_something_must_be() -> None:
    both = receiver(bearer_tokens=["t0ken"], path_tokens=["p4th"])
    assert items(both.open(replace(binary(), path="p4th")))
    for asked in (
        binary(),
        replace(
            binary(), path="p4th", headers=dict(structured(BARE).headers) | {"authorization": ""}
        ),
    ):
        with pytest.raises(SignatureError):
            both.open(asked)
    with pytest.raises(SignatureError, match="nothing is configured"):
        receiver(accept=["orders"]).open(binary())


def ask(**headers: str) -> HookRequest:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return HookRequest("OPTIONS", told, {}, b"", NOW)


def test_leave_to_send() -> None:
    given = receiver(bearer_tokens=["t"], origins=["eventgrid.azure.net"])
    granted = given.open(ask(webhook_request_origin="eventgrid.azure.net"))
    assert isinstance(granted, Reply)
    assert granted.headers == {
        "WebHook-Allowed-Origin": "eventgrid.azure.net",
        "WebHook-Allowed-Rate": "*",
        "Allow": "POST",
    }
    for asked in (ask(webhook_request_origin="other.example"), ask()):
        with pytest.raises(SignatureError):
            given.open(asked)
    with pytest.raises(SignatureError):
        receiver().open(ask(webhook_request_origin="*"))
    everybody = receiver(bearer_tokens=["t"], origins=["*"], path_tokens=["p4th"])
    anybody = ask(webhook_request_origin="other.example")
    assert isinstance(everybody.open(replace(anybody, path="p4th")), Reply)
    with pytest.raises(SignatureError):
        everybody.open(anybody)
