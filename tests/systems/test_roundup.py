"""The adapter against a real Roundup: all rows come, writes happen once and come back."""

from __future__ import annotations

import pytest

from demo.people import People
from demo.systems import Roundup
from hub.errors import AuthError, RetryableError
from hub.mapping import to_canonical
from tests.systems.live import change, desk, pulled


def test_issues_messages_and_users_come_and_map(roundup: Roundup, known: People) -> None:
    live = desk(roundup)
    live.adapter.check()
    for stream in live.streams:
        rows, cursor = pulled(live, stream)
        assert rows
        for raw in rows.values():
            assert to_canonical(live.mappings[stream], raw, connection="desk")
        assert pulled(live, stream, cursor)[0].keys() <= rows.keys()
    users, _ = pulled(live, "users")
    expected = {person.roundup.name for person in known.persons if person.roundup}
    assert {raw["realname"] for raw in users.values()} == expected


def test_an_issue_is_opened_once_answered_and_closed(roundup: Roundup) -> None:
    live = desk(roundup)
    _, cursor = pulled(live, "issues")
    lina = roundup.api().find("user", username="lina")[0]["id"]
    create = change(title="净化器不工作", message="你好", nosy=lina)
    issues, messages = live.streams["issues"], live.streams["messages"]
    first, again = live.adapter.push(issues, create), live.adapter.push(issues, create)
    assert first.id == again.id
    answer = change(content="已派单", issue=first.id)
    assert live.adapter.push(messages, answer).id == live.adapter.push(messages, answer).id
    live.adapter.push(issues, change(first.id, status="resolved"))
    rows, _ = pulled(live, "issues", cursor)
    (ticket,) = to_canonical(live.mappings["issues"], rows[first.id], connection="desk")
    document = ticket.model_dump(mode="json")
    assert (document["subject"], document["status"]) == ("净化器不工作", "closed")
    assert document["requester"] == {"connection": "desk", "stream": "users", "id": lina}


def test_wrong_credentials_and_a_stopped_server_are_told_apart(roundup: Roundup) -> None:
    with pytest.raises(AuthError):
        desk(roundup, password="no").adapter.check()
    with pytest.raises(RetryableError):
        desk(roundup, url="http://127.0.0.1:9/rest").adapter.check()
