"""HubSpot beyond fixtures: an account that lets the app in, merged objects, what only receives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses

from adapters.hubspot.adapter import HubspotAdapter
from adapters.hubspot.config import HubspotConfig
from adapters.hubspot.crm import ANSWERS
from hub.errors import AuthError, ConfigError, RetryableError
from hub.sdk import Change, RecordRef, Stream
from hub.sdk.auth import MemoryTokens, Tokens

API = "https://api.hubapi.com"
OBJECTS = f"{API}/crm/v3/objects"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
CONTACTS = Stream("contacts", writable=True)
TICKETS = Stream("tickets", writable=True)


@pytest.fixture
def mock() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as found:
        yield found


def adapter(**given: Any) -> HubspotAdapter:
    return HubspotAdapter(HubspotConfig.model_validate(given))


def signed_in() -> HubspotAdapter:
    found = adapter(sign_in=True, client_id="app", client_secrets=["secret"])
    found.tokens = MemoryTokens(Tokens("access", refresh="refresh"))
    return found


def test_an_account_is_asked_to_let_the_app_in() -> None:
    page = signed_in().oauth().ask_url("https://hub.example.com/oauth/callback", "state", "v" * 43)
    asked = {name: value[0] for name, value in parse_qs(urlsplit(page).query).items()}
    assert page.startswith("https://app.hubspot.com/oauth/authorize?")
    assert asked["client_id"] == "app"
    assert {"tickets", "crm.objects.contacts.write"} <= {*asked["scope"].split()}
    with pytest.raises(ConfigError):
        adapter(sign_in=True).oauth()


def test_its_token_is_renewed_with_the_refresh_token(mock: responses.RequestsMock) -> None:
    found = signed_in()
    found.tokens = MemoryTokens(Tokens("old", "refresh", expires_at=LONG_AGO, since=LONG_AGO))
    mock.post(
        f"{API}/oauth/v1/token",
        json={"access_token": "new", "refresh_token": "next", "expires_in": 1800},
    )
    mock.post(f"{OBJECTS}/contacts/batch/read", json={"results": []})
    assert found.fetch(RecordRef("contacts", "1")) is None
    form = parse_qs(str(mock.calls[0].request.body))
    assert (form["grant_type"], form["refresh_token"]) == (["refresh_token"], ["refresh"])
    assert mock.calls[1].request.headers["Authorization"] == "Bearer new"


def test_an_object_that_was_merged_into_another_is_gone(mock: responses.RequestsMock) -> None:
    winner = {"id": "700", "properties": {}, "updatedAt": "2026-11-20T08:00:00Z"}
    mock.post(f"{OBJECTS}/contacts/batch/read", json={"results": [winner]})
    none = {"results": []}
    mock.post(f"{API}/crm/v4/associations/contacts/companies/batch/read", json=none)
    found = adapter(access_token="token")
    assert found.fetch(RecordRef("contacts", "501")) is None
    told = found.fetch(RecordRef("contacts", "700"))
    assert told is not None
    assert told["id"] == "700"


def test_a_day_without_calls_left_is_waited_for(mock: responses.RequestsMock) -> None:
    refusal = {"status": "error", "errorType": "RATE_LIMIT", "policyName": "DAILY"}
    mock.get(f"{OBJECTS}/contacts", status=429, json=refusal)
    with pytest.raises(RetryableError) as caught:
        adapter(access_token="token").check()
    assert caught.value.retry_after_s == 3600
    assert len(mock.calls) == 1  # not knocked at again within seconds


def test_a_locked_record_is_tried_again(mock: responses.RequestsMock) -> None:
    mock.patch(f"{OBJECTS}/contacts/1", status=423, json={"status": "error"})
    mock.patch(f"{OBJECTS}/contacts/1", json={"id": "1"})
    change = Change("1", {"properties": {"jobtitle": "x"}}, "k")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.sleep", lambda _: None)
        assert adapter(access_token="token").push(CONTACTS, change).id == "1"


def test_what_only_receives_asks_nobody(mock: responses.RequestsMock) -> None:
    found = adapter(client_secrets=["secret"])
    assert not found.reads(CONTACTS)
    found.check()
    with pytest.raises(ConfigError):
        found.fetch(RecordRef("contacts", "1"))


def test_without_a_sign_in_a_person_is_asked_for() -> None:
    found = adapter(sign_in=True, client_id="app", client_secrets=["secret"])
    with pytest.raises(AuthError) as caught:
        found.check()
    assert "hub connect" in caught.value.hint


def test_a_stage_that_is_new_is_asked_for(mock: responses.RequestsMock) -> None:
    found = adapter(access_token="token")
    none = {"results": []}
    for other in ("contacts", "companies"):
        mock.post(f"{API}/crm/v4/associations/tickets/{other}/batch/read", json=none)
    stages = [{"id": "1", "label": "New", "metadata": {"ticketState": "OPEN"}}]
    mock.get(f"{API}/crm/v3/pipelines/tickets", json={"results": [{"stages": stages}]})
    late = {"id": "2", "label": "Late", "metadata": {"ticketState": "OPEN"}}
    mock.get(f"{API}/crm/v3/pipelines/tickets", json={"results": [{"stages": [*stages, late]}]})
    for id_ in ("1", "2", "1"):
        row = {"id": "9", "properties": {"hs_pipeline_stage": id_}, "updatedAt": "2026-11-20"}
        mock.upsert("POST", f"{OBJECTS}/tickets/batch/read", json={"results": [row]})
        told = found.fetch(RecordRef("tickets", "9"))
        assert told is not None
        assert told["stage"]["id"] == id_
    assert sum("pipelines" in str(call.request.url) for call in mock.calls) == 2


def test_a_new_ticket_stands_somewhere(mock: responses.RequestsMock) -> None:
    mock.post(f"{OBJECTS}/tickets/batch/read", json={"results": []})
    mock.post(f"{OBJECTS}/tickets/batch/upsert", json={"results": [{"id": "905"}]})
    change = Change(None, {"properties": {"subject": "漏水"}}, "k", marker="hub-1")
    assert adapter(access_token="token").push(TICKETS, change).id == "905"
    (made,) = json.loads(mock.calls[1].request.body or b"")["inputs"]
    assert made["properties"] == {
        "hs_pipeline": "0",
        "hs_pipeline_stage": "1",
        "subject": "漏水",
        "hub_id": "hub-1",
    }


def test_a_fault_behind_what_is_not_there_is_seen() -> None:
    """One answer tells of a whole page: links that could not be read now are not no links."""
    missing = {"category": "OBJECT_NOT_FOUND", "message": "no links"}
    busy = {"category": "RATE_LIMITS", "message": "wait"}
    ANSWERS({"results": [], "errors": [missing]})
    ANSWERS({"results": []})
    with pytest.raises(RetryableError):
        ANSWERS({"results": [], "errors": [missing, busy]})
