"""Zendesk by OAuth: a token that ran out is renewed once, and the call made again with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import responses

from adapters.zendesk.account import ZendeskConfig
from adapters.zendesk.adapter import ZendeskAdapter
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
