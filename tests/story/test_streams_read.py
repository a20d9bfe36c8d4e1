"""Only streams that a connection can read are pulled: others would stand there as failing."""

from __future__ import annotations

from collections.abc import Callable

from hub.registry import Hub
from hub.store import checkpoints
from tests.story.helpers import demo

Open = Callable[..., Hub]


def test_a_stream_that_is_only_written_or_heard_of_is_never_due(open_with: Open) -> None:
    matrix = {"adapter": "matrix", "homeserver": "https://m.example.com", "access_token": "t"}
    hub = open_with({"chat": matrix, "crm": demo()})
    assert "messages" in hub.registry.get("chat").streams
    with hub.database.read() as conn:
        assert {connection for connection, _ in checkpoints.due(conn)} == {"crm"}
    assert hub.registry.get("chat").pulled == []
