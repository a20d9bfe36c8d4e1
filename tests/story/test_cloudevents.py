"""CloudEvents from the front door to the customer, sent by the specification's own SDK."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from cloudevents.core.bindings import http as peer
from cloudevents.core.v1.event import CloudEvent
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from hub.registry import Hub
from hub.store.db import Database
from tests.story.helpers import customer, demo, drain, scalar
from webhooks.app import create_app

TOKEN = {"Authorization": "Bearer t0ken"}


@pytest.fixture
def hub(open_with: Callable[..., Hub]) -> Hub:
    events = {"adapter": "cloudevents", "bearer_tokens": ["t0ken"], "origins": ["sender.example"]}
    return open_with({"shop": events, "crm": demo(webhook_secrets=["s"])})


@pytest.fixture
def client(hub: Hub) -> Iterator[FlaskClient]:
    app = create_app(hub.settings)
    database: Database = app.extensions["hub.database"]
    with closing(database), app.test_client(use_cookies=False) as client:
        yield client


def event(id_: str, subject: str, **data: Any) -> CloudEvent:
    attributes = {"id": id_, "source": "/shop", "type": "com.example.customer.updated"}
    return CloudEvent({**attributes, "subject": subject}, data)


def post(client: FlaskClient, message: peer.HTTPMessage) -> TestResponse:
    return client.post("/hooks/shop", data=message.body, headers={**message.headers, **TOKEN})


def test_both_modes_reach_the_customer_and_repetitions_do_not(
    hub: Hub, client: FlaskClient
) -> None:
    first = event("e1", "C 1%", name="王小明", phone="13810000001")
    assert post(client, peer.to_binary_event(first)).status_code == 202
    assert post(client, peer.to_structured_event(first)).status_code == 200
    second = event("e2", "C 1%", name="王小明", phone="13810000001", tier="VIP")
    assert post(client, peer.to_structured_event(second)).status_code == 202
    drain(hub)
    found = customer(hub, "phone", "+8613810000001")
    assert found.tier is not None
    assert (found.tier.value, found.members[0].source.ref) == ("VIP", "shop/customers/C 1%")
    assert scalar(hub, "SELECT count(*) FROM inbox WHERE state = 'done'") == 2


def test_a_batch_is_one_event_each(hub: Hub, client: FlaskClient) -> None:
    told = [peer.to_structured_event(event(f"e{n}", f"C{n}", name=f"N{n}")).body for n in range(3)]
    headers = {"content-type": "application/cloudevents-batch+json"}
    assert post(client, peer.HTTPMessage(headers, b"[%b]" % b",".join(told))).status_code == 202
    assert scalar(hub, "SELECT count(*) FROM inbox") == 3
    drain(hub)
    assert scalar(hub, "SELECT count(*) FROM profile") == 3


def test_leave_to_send_is_asked_for_by_options(client: FlaskClient) -> None:
    granted = client.options("/hooks/shop", headers={"WebHook-Request-Origin": "sender.example"})
    assert granted.status_code == 200
    assert granted.headers["WebHook-Allowed-Origin"] == "sender.example"
    assert granted.headers["WebHook-Allowed-Rate"] == "*"
    refused = client.options("/hooks/shop", headers={"WebHook-Request-Origin": "other.example"})
    assert refused.status_code == 401
    assert "WebHook-Allowed-Origin" not in refused.headers
    assert client.options("/hooks/crm").status_code == 405
    assert client.options("/hooks/nobody").status_code == 404


@pytest.mark.parametrize("value", ["%C0%A0", "100%"])
def test_malformed_headers_are_400_and_nothing_is_kept(
    hub: Hub, client: FlaskClient, value: str
) -> None:
    message = peer.to_binary_event(event("e1", "C1", name="N"))
    answer = post(client, peer.HTTPMessage({**message.headers, "ce-subject": value}, message.body))
    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
    assert scalar(hub, "SELECT count(*) FROM inbox") == 0
