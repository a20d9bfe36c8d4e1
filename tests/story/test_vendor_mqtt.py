"""A device's filter runs out: a ticket at the desk, once, whatever the broker sends again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from paho.mqtt.client import MQTTMessage

from adapters.mqtt.watch import Watch
from hub.registry import Hub
from tests.story.helpers import account, demo, drain, receive, scalar

Open = Callable[..., Hub]

DEVICES = {
    "adapter": "mqtt",
    "host": "mqtt.example.com",
    "topics": ["devices/{device}/telemetry"],
    "thresholds": [
        {"name": "filter", "path": "filter_life", "below": 10, "title": "滤芯剩余 {value}%"}
    ],
}
RULES = [
    {
        "id": "device-to-desk",
        "when": "Ticket created",
        "if": [{"field": "connection", "is": "devices"}],
        "then": {
            "write": "desk/tickets",
            "fields": {"subject": "{subject}", "description": "{product_sn}"},
        },
    }
]


@pytest.fixture
def hub(open_with: Open) -> Hub:
    return open_with({"devices": DEVICES, "desk": demo()}, RULES)


def hear(hub: Hub, watch: Watch, *said: tuple[int, int]) -> None:
    """As ``listen`` does: what devices said becomes items, stored in one commit."""
    adapter = hub.registry.get("devices").adapter
    messages = [message(life, second) for life, second in said]
    items = [item for m in messages for item in adapter.items(m, watch, {})]
    receive(hub, "devices", *items)
    drain(hub)


def message(life: int, second: int) -> MQTTMessage:
    made = MQTTMessage(topic=b"devices/AP-7/telemetry")
    body: dict[str, Any] = {"serial": "SN7", "filter_life": life}
    made.payload = orjson.dumps({**body, "at": f"2026-11-21T10:00:{second:02}Z"})
    return made


def tickets(hub: Hub) -> Sequence[dict[str, Any]]:
    return [row for _, _, row in account(hub, "desk").changes("tickets") if row]


def test_a_threshold_becomes_one_ticket_and_is_solved(hub: Hub) -> None:
    watch = Watch()
    hear(hub, watch, (50, 1), (9, 2))
    hear(hub, Watch(), (50, 1), (9, 2))  # killed before the broker was told: all comes again
    hear(hub, watch, (8, 3), (60, 4))
    [ticket] = tickets(hub)
    assert (ticket["subject"], ticket["description"]) == ("滤芯剩余 9%", "SN7")
    solved = "SELECT count(*) FROM record WHERE CAST(document AS TEXT) LIKE '%solved%'"
    assert scalar(hub, solved) == 1
    assert scalar(hub, "SELECT count(*) FROM record WHERE kind = 'Asset'") == 1
    assert scalar(hub, "SELECT count(*) FROM quarantine") == 0
