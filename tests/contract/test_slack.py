"""Slack beyond fixtures: whose words a message is, however it comes."""

from __future__ import annotations

import pytest
import responses

from adapters.slack.account import SlackConfig
from adapters.slack.adapter import SlackAdapter
from hub.sdk import RecordRef


@pytest.mark.parametrize(("team", "author"), [("T1", "colleague"), ("T9", "customer")])
def test_a_message_that_is_asked_for_keeps_its_author(team: str, author: str) -> None:
    given = {"signing_secrets": ["s"], "bot_token": "xoxb", "team_id": "T1"}
    said = {"ts": "1.2", "text": "hello", "user": "U1", "team": team}
    with responses.RequestsMock() as mock:
        body = {"ok": True, "messages": [said]}
        mock.get("https://slack.com/api/conversations.history", json=body)
        found = SlackAdapter(SlackConfig.model_validate(given)).fetch(
            RecordRef("messages", "C1/1.2")
        )
    assert found is not None
    assert found["author_role"] == author
