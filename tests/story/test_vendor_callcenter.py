"""Calls of each preset, from the push to the timeline of the customer who called."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
import responses
from flask.testing import FlaskClient
from pydantic import ValidationError

from adapters.callcenter.preset import names, preset
from adapters.callcenter.webhook import CallCenterHookConfig
from hub.pipeline.reconcile import comparable
from hub.profiles.document import Fact
from hub.registry import Hub
from hub.store import alerts, checkpoints
from tests.story.helpers import account, customer, demo, drain, pull, scalar
from webhooks.app import create_app

Open = Callable[..., Hub]
PHONE, WORD = "13800000001", "long-random-word"
SESSION = "e97be0ab-1ef6-4ad2-a8c4-2b2bbfb18e55"
BEGAN = 1795262300
API = {"instance": "1400264214", "access_key_id": "AKID", "access_key_secret": "secret"}

TENCENT = {
    "SessionId": SESSION,
    "Caller": f"0086{PHONE}",
    "Callee": "0084000000000",
    "Direction": 0,
    "CallType": 2,
    "Duration": 62,
    "StartTimestamp": BEGAN,
    "AcceptTimestamp": BEGAN + 20,
    "EndedTimestamp": BEGAN + 82,
    "SeatUser": {"Nick": "王五"},
    "EndStatusString": "ok",
}
RECORDING = {
    "SessionId": SESSION,
    "EndpointUser": PHONE,
    "RecordURL": "https://records.example.com/1.mp3",
}
PUSHED: dict[str, dict[str, Any]] = {
    "tencent": TENCENT,
    "tianrun": {
        "cdr_main_unique_id": "sip-35-1795262300.292514",
        "cdr_call_type": "1",
        "cdr_status": "1",
        "cdr_customer_number": f"0{PHONE}",
        "cdr_start_time": str(BEGAN),
        "cdr_bridge_time": str(BEGAN + 20),
        "cdr_end_time": str(BEGAN + 82),
        "cdr_bridged_cno": "王五",
    },
    "qimo": {
        "CallSheetID": "2026112119582013800000001",
        "CallNo": PHONE,
        "CalledNo": "4000000000",
        "CallType": "normal",
        "State": "dealing",
        "Ring": "2026-11-21 19:58:20",
        "Begin": "2026-11-21 19:58:40",
        "End": "2026-11-21 19:59:42",
        "AgentName": "王五",
    },
    "aliyun": {
        "ContactId": "job-0000001",
        "ContactType": "Inbound",
        "CallingNumber": PHONE,
        "CalledNumber": "4000000000",
        "StartTime": BEGAN * 1000,
        "EstablishedTime": (BEGAN + 20) * 1000,
        "ReleaseTime": (BEGAN + 82) * 1000,
        "TalkTime": 62,
        "AgentNames": "王五",
        "ContactDisposition": "Success",
    },
}

WAYS = [(name, "json") for name in PUSHED]
WAYS += [(name, way) for name in ("tianrun", "qimo") for way in ("form", "get")]


@pytest.fixture
def hub(open_with: Open) -> Hub:
    lines = {
        name: {"adapter": "callcenter", "preset": name, "path_tokens": [WORD]} for name in PUSHED
    }
    api = {"adapter": "callcenter", "preset": "tencent", "path_tokens": [WORD], **API}
    hub = open_with({"crm": demo(), **lines, "listed": api})
    person = {"id": "c1", "kind": "person", "name": "李雷", "phone": f"+86 {PHONE}"}
    account(hub, "crm").put("customers", person)
    pull(hub, "crm")
    return hub


@pytest.fixture
def client(hub: Hub) -> Iterator[FlaskClient]:
    app = create_app(hub.settings)
    with closing(app.extensions["hub.database"]), app.test_client(use_cookies=False) as client:
        yield client


def calls(hub: Hub) -> list[Fact]:
    found = customer(hub, "phone", f"+86{PHONE}")
    assert found.name is not None
    assert found.name.value == "李雷"
    return [fact for fact in found.timeline if fact.kind == "Call"]


def test_every_preset_is_told_of_here() -> None:
    assert sorted(PUSHED) == names()


@pytest.mark.parametrize(("name", "way"), WAYS)
def test_a_call_is_on_the_timeline_of_who_called(
    hub: Hub, client: FlaskClient, name: str, way: str
) -> None:
    event, address = PUSHED[name], f"/hooks/{name}/{WORD}"
    for _ in range(2):  # it comes twice
        match way:
            case "json":
                answer = client.post(address, json=event)
            case "form":
                answer = client.post(address, data=event)
            case _:
                answer = client.get(address, query_string=event)
        assert answer.status_code == 200
        assert answer.data.decode() == preset(name).body
    drain(hub)
    (call,) = calls(hub)
    assert call.fields["direction"] == "in"
    assert (call.fields["agent"], call.fields["duration_s"]) == ("王五", 62)
    assert call.fields["wait_s"] == 20 or name == "aliyun"  # which tells it itself
    assert call.occurred_at is not None
    assert call.occurred_at.timestamp() == BEGAN
    assert scalar(hub, "SELECT count(*) FROM inbox") == 1


@pytest.mark.parametrize("order", [(TENCENT, RECORDING), (RECORDING, TENCENT)])
def test_a_recording_finds_its_call(
    hub: Hub, client: FlaskClient, order: tuple[dict[str, Any], ...]
) -> None:
    for number, event in enumerate(order):
        named = {"X-TCCC-PUSH-UUID": f"push-{number}"}
        for _ in range(2):
            client.post(f"/hooks/tencent/{WORD}", json=event, headers=named)
        drain(hub)
    (call,) = calls(hub)
    assert call.fields["recording_url"] == "https://records.example.com/1.mp3"
    assert (call.fields["agent"], call.fields["duration_s"]) == ("王五", 62)
    assert call.fields.get("answered", True)
    assert scalar(hub, "SELECT count(*) FROM inbox") == 2


def test_a_push_is_named_by_its_header(hub: Hub, client: FlaskClient) -> None:
    """The same words may be pushed for two reasons; the header tells them apart."""
    for push in ("push-1", "push-2", "push-1"):
        client.post(f"/hooks/tencent/{WORD}", json=TENCENT, headers={"X-TCCC-PUSH-UUID": push})
    assert scalar(hub, "SELECT count(*) FROM inbox") == 2
    drain(hub)
    assert len(calls(hub)) == 1


def test_the_word_in_the_address_is_not_stored(open_with: Open) -> None:
    line = {"adapter": "callcenter", "preset": "tianrun", "query_tokens": [WORD]}
    hub = open_with({"tianrun": line})
    app = create_app(hub.settings)
    with closing(app.extensions["hub.database"]), app.test_client() as client:
        told = {**PUSHED["tianrun"], "token": WORD}
        assert client.get("/hooks/tianrun", query_string=told).status_code == 200
        assert client.get("/hooks/tianrun", query_string=PUSHED["tianrun"]).status_code == 401
    body = scalar(hub, "SELECT body FROM inbox")
    assert WORD.encode() not in bytes(body)
    assert PHONE.encode() in bytes(body)


def test_calls_listed_and_pushed_are_one(hub: Hub, client: FlaskClient) -> None:
    """What a push missed comes by the API; what both tell is one call, and the more is kept."""
    missed = {**TENCENT, "SessionId": "missed", "EndStatusString": "waitingGiveUp"}
    client.post(f"/hooks/listed/{WORD}", json=RECORDING)
    drain(hub)
    rows = [TENCENT, {**missed, "AcceptTimestamp": 0}]
    body = {"Response": {"TotalCount": 2, "TelCdrs": rows}}
    with responses.RequestsMock() as wire:
        wire.post("https://ccc.tencentcloudapi.com/", json=body)
        pull(hub, "listed")
        told = json.loads(wire.calls[0].request.body or "")
        assert told["SdkAppId"] == 1400264214
        pull(hub, "listed")
    found = {call.source.ref.rpartition("/")[2]: call.fields for call in calls(hub)}
    assert found.keys() == {SESSION, "missed"}
    assert found[SESSION]["recording_url"] == "https://records.example.com/1.mp3"
    assert found[SESSION]["duration_s"] == 62
    assert found["missed"]["answered"] is False


@pytest.mark.parametrize(
    "wrong",
    [
        {"preset": "nobody"},
        {"preset": "tianrun", "paths": {"agent": "cdr_bridged_cno ||"}},
        {"preset": "tianrun", "paths": {"agnet": "cdr_bridged_cno"}},
    ],
)
def test_a_wrong_preset_or_path_is_told_at_start(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CallCenterHookConfig.model_validate(wrong)


def test_a_line_without_a_key_is_not_pulled_and_certifies_nothing(hub: Hub) -> None:
    with hub.database.read() as conn:
        known = {row["connection"] for row in checkpoints.every(conn)}
    assert known == {"crm", "listed"}
    lives = hub.registry.all()
    assert [name for name, live in lives.items() if comparable(live)] == ["crm", "listed"]


def test_a_list_that_forgets_the_oldest_is_no_loss(hub: Hub) -> None:
    """A call centre keeps half a year: a full read shows less than the hub holds."""
    with responses.RequestsMock() as wire:
        for rows in ([{**TENCENT, "SessionId": f"s-{n}"} for n in range(40)], [TENCENT]):
            body = {"Response": {"TotalCount": len(rows), "TelCdrs": rows}}
            wire.upsert("POST", "https://ccc.tencentcloudapi.com/", json=body)
            with hub.database.write() as conn:
                checkpoints.restart(conn, "listed")
            pull(hub, "listed")
    with hub.database.read() as conn:
        assert alerts.every(conn) == []
