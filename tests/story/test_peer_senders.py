"""Senders' own libraries against the real receiver: what they sign is let in, stored and read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient
from slack_sdk.signature import SignatureVerifier
from standardwebhooks.webhooks import Webhook

from hub.registry import Hub
from tests.story.helpers import customer, drain, scalar
from webhooks.app import create_app

SIGNING_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
STANDARD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def hub(open_with: Callable[..., Hub]) -> Hub:
    return open_with(
        {
            "chat": {"adapter": "slack", "signing_secrets": [SIGNING_SECRET]},
            "shop": {"adapter": "webhook", "secrets": [STANDARD_SECRET]},
        }
    )


@pytest.fixture
def client(hub: Hub) -> Iterator[FlaskClient]:
    app = create_app(hub.settings)
    with app.test_client(use_cookies=False) as client:
        yield client
    app.extensions["hub.database"].close()


def from_slack(body: str, at: datetime | None = None) -> dict[str, str]:
    timestamp = f"{(at or datetime.now(UTC)).timestamp():.0f}"
    verifier = SignatureVerifier(SIGNING_SECRET)
    signature = verifier.generate_signature(timestamp=timestamp, body=body)
    assert signature
    return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": signature}


def test_slack_sdk_signs_an_event(hub: Hub, client: FlaskClient) -> None:
    event = {"type": "app_mention", "user": "U1", "channel": "C1", "text": "你好 &"}
    body = json.dumps({"type": "event_callback", "event_id": "Ev1", "event": event})
    told = from_slack(body)
    answers = [client.post("/hooks/chat", data=body.encode(), headers=told) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 200]
    assert scalar(hub, "SELECT event_id FROM inbox") == "Ev1"
    assert client.post("/hooks/chat", data=f"{body} ", headers=told).status_code == 401
    late = from_slack(body, datetime.now(UTC) - timedelta(minutes=6))
    assert client.post("/hooks/chat", data=body.encode(), headers=late).status_code == 401
    drain(hub)
    assert scalar(hub, "SELECT state FROM inbox") == "done"


def test_slack_sdk_signs_a_command_and_a_challenge(hub: Hub, client: FlaskClient) -> None:
    form = {"command": "/c360", "text": "13800000000", "user_id": "U1", "trigger_id": "t1"}
    command = urlencode(form)
    headers = {**from_slack(command), "Content-Type": "application/x-www-form-urlencoded"}
    answer = client.post("/hooks/chat", data=command, headers=headers)
    assert (answer.status_code, answer.data) == (200, b"")
    challenge = json.dumps({"type": "url_verification", "challenge": "3eZbrw1aBm"})
    answer = client.post("/hooks/chat", data=challenge, headers=from_slack(challenge))
    assert (answer.status_code, answer.data) == (200, b"3eZbrw1aBm")
    assert scalar(hub, "SELECT count(*) FROM inbox") == 1


def from_standard(body: str, msg_id: str, at: datetime) -> dict[str, str]:
    return {
        "webhook-id": msg_id,
        "webhook-timestamp": f"{at.timestamp():.0f}",
        "webhook-signature": Webhook(STANDARD_SECRET).sign(msg_id, at, body),
    }


def test_standardwebhooks_signs_a_customer(hub: Hub, client: FlaskClient) -> None:
    def send(msg_id: str, at: datetime, **data: Any) -> int:
        event = {"type": "customer.updated", "timestamp": at.isoformat(), "data": data}
        body = json.dumps(event, ensure_ascii=False)
        told = from_standard(body, msg_id, at)
        return client.post("/hooks/shop", data=body.encode(), headers=told).status_code

    now = datetime.now(UTC).replace(microsecond=0)
    told = {"id": "C-17", "name": "王小明", "phone": "+8613810000001"}
    assert [send("msg_1", now, **told) for _ in range(2)] == [202, 200]
    assert send("msg_2", now - timedelta(minutes=6), **told) == 401
    drain(hub)
    found = customer(hub, "phone", "+8613810000001")
    assert "王小明" in found.model_dump_json()
