"""The adapter against a real Roundup: all rows come, writes happen once and come back."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from demo.people import People
from demo.systems import Roundup
from hub.errors import AuthError, RetryableError
from hub.mapping import to_canonical
from hub.registry import Hub
from tests.story.helpers import pull, reconcile
from tests.systems.live import change, desk, look_away, pulled, surveyed, versions


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


def test_a_survey_tells_the_versions_of_all_rows(roundup: Roundup) -> None:
    live = desk(roundup, page_size=2)
    for stream in live.streams:
        assert surveyed(live, stream) == versions(live, stream)


def test_a_missed_change_and_a_retired_issue_are_found(
    roundup: Roundup, open_with: Callable[..., Hub]
) -> None:
    hub = open_with({"desk": {"adapter": "roundup", **desk(roundup).settings}})
    live, api = hub.registry.get("desk"), roundup.api()
    made = [api.create("issue", title=title) for title in ("改", "删")]
    pull(hub, "desk", "issues")
    look_away(hub, "desk", "issues")
    before, number = versions(live, "issues")[made[0]], itertools.count()
    while versions(live, "issues")[made[0]] == before:  # its clock counts whole seconds
        api.change("issue", made[0], title=f"改了 {next(number)}")
    api.retire("issue", made[1])
    found = reconcile(hub, "desk", "issues")
    assert (found.method, found.repaired, found.complete) == ("survey", 2, True)
    assert found.source_count == found.hub_count == len(versions(live, "issues"))
