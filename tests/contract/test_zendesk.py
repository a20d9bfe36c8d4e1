"""Zendesk by OAuth: a token that ran out is renewed once, and the call made again with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import responses

from adapters.zendesk.account import ZendeskConfig
from adapters.zendesk.adapter import ZendeskAdapter
from hub.sdk import Stream
from hub.sdk.auth import MemoryTokens, Tokens

SITE = "https://acme.zendesk.com"


def adapter() -> ZendeskAdapter:
    given = {"subdomain": "acme", "client_id": "hub", "client_secret": "s"}
    made = ZendeskAdapter(ZendeskConfig.model_validate(given))
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    made.tokens = MemoryTokens(Tokens("old", refresh="r1", since=an_hour_ago, version=1))
    return made


def test_a_token_that_ran_out_is_renewed() -> None:
    with responses.RequestsMock() as mock:
        me = f"{SITE}/api/v2/users/me.json"
        mock.get(me, status=401, json={"error": "invalid_token"})
        told = {"access_token": "new", "refresh_token": "r2", "expires_in": 1800}
        mock.post(f"{SITE}/oauth/tokens", json=told)
        mock.get(me, json={"user": {"id": 1, "role": "admin"}})
        made = adapter()
        made.check()
        sent = [call.request for call in mock.calls]
    assert [r.headers.get("Authorization") for r in sent] == ["Bearer old", None, "Bearer new"]
    form = parse_qs(str(sent[1].body))
    assert (form["grant_type"], form["refresh_token"]) == (["refresh_token"], ["r1"])
    kept = made.tokens.load()
    assert kept is not None
    assert (kept.access, kept.refresh) == ("new", "r2")


def test_a_person_signs_in_at_the_account_itself() -> None:
    url = adapter().oauth().ask_url("https://hub.example.com/oauth", "state", "verifier")
    assert url.startswith(f"{SITE}/oauth/authorizations/new?response_type=code&client_id=hub")


def test_events_of_every_kind_let_the_others_pass() -> None:
    """A call of Talk is a comment, too; one event that lacks something stops none behind it."""
    said = {"author_id": 7, "body": "hello", "public": True, "created_at": "2026-11-21T08:00:00Z"}
    children = [
        {"id": 1, "type": "VoiceComment", "event_type": "Comment", **said},
        {"id": 2, "type": "Comment", "body": "nobody wrote it"},
        {"id": 3, "type": "CommentRedactionEvent"},
        {"id": 4, "type": "Comment", **said},
    ]
    event = {"id": 9, "ticket_id": 5, "child_events": children}
    told = {"ticket_events": [event], "end_time": 1795248001, "end_of_stream": True}
    config = ZendeskConfig.model_validate({"subdomain": "acme", "email": "a@b.c", "api_token": "t"})
    with responses.RequestsMock() as mock:
        mock.get(f"{SITE}/api/v2/incremental/ticket_events.json", json=told)
        mock.get(f"{SITE}/api/v2/users.json", json={"users": [], "meta": {}})
        [page] = ZendeskAdapter(config).pull(Stream("ticket_comments"), None)
    assert [row["key"] for row in page.records] == ["5-1", "5-2", "5-4"]
