"""MQTT against Mosquitto: nothing is lost or doubled while lines break and the hub is away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.mqtt.adapter import MqttAdapter, MqttConfig
from hub.errors import AuthError, ConfigError, RetryableError
from hub.sdk import Row
from tests.contract.lines import EndedError, Inbox, listening
from tests.systems.mosquitto import HOST, PASSWORD, USER, Broker, broker

FILTER = {"name": "filter", "path": "filter_life", "below": 10, "title": "{device}: {value}"}


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Broker]:
    with broker(tmp_path) as found:
        yield found


def adapter(of: Broker, **given: Any) -> MqttAdapter:
    config = {
        "host": HOST,
        "port": of.port,
        "tls": False,
        "username": USER,
        "password": PASSWORD,
        "topics": ["devices/{device}/telemetry"],
        "thresholds": [FILTER],
        "reading_every_s": 0,
        "allow_networks": ["127.0.0.0/8"],
    }
    return MqttAdapter(MqttConfig.model_validate({**config, **given}))


def said(life: int, second: int) -> str:
    return json.dumps(
        {"serial": "SN1", "filter_life": life, "at": f"2026-01-01T00:00:{second:02}Z"}
    )


def rows(made: MqttAdapter, inbox: Inbox) -> list[str]:
    found = [one for item in inbox.items.values() for one in made.parse(item.body)]
    return [f"{r.stream} {r.raw.get('state', '')}".strip() for r in found if isinstance(r, Row)]


def until(inbox: Inbox, count: int) -> None:
    while len(inbox.items) < count:
        inbox.until_more(set(inbox.items))


def test_readings_and_alarms_come_as_devices_speak(mosquitto: Broker) -> None:
    made, inbox = adapter(mosquitto), Inbox()
    made.check()
    with listening(made, inbox):
        inbox.until_stands()
        mosquitto.say("AP-1", said(50, 1))
        mosquitto.say("AP-1", said(9, 2))
        mosquitto.say("AP-1", said(60, 3))
        until(inbox, 5)
    assert rows(made, inbox) == [
        "readings", "alarms on", "readings", "alarms off", "readings",
    ]  # fmt: skip


def test_what_devices_say_while_we_are_away_waits_for_us(mosquitto: Broker) -> None:
    made, inbox = adapter(mosquitto), Inbox()
    with listening(made, inbox):
        inbox.until_stands()
    mosquitto.say("AP-1", said(9, 1))
    mosquitto.stop()
    mosquitto.start()
    made, again = adapter(mosquitto), Inbox(inbox.cursor)
    with listening(made, again):
        until(again, 2)
    assert rows(made, again) == ["alarms on", "readings"]


def test_what_was_not_stored_comes_again(mosquitto: Broker) -> None:
    made, inbox = adapter(mosquitto), Inbox()
    with listening(made, inbox) as ended:
        inbox.until_stands()
        inbox.refuse = 1
        mosquitto.say("AP-1", said(9, 1))
        assert isinstance(ended(), EndedError)
    made, again = adapter(mosquitto), Inbox(inbox.cursor)
    with listening(made, again):
        until(again, 2)
    assert rows(made, again) == ["alarms on", "readings"]


def test_retained_words_raise_no_second_alarm(mosquitto: Broker) -> None:
    mosquitto.say("AP-1", said(9, 1), retain=True)
    made, inbox = adapter(mosquitto), Inbox()
    with listening(made, inbox):
        until(inbox, 2)
    made, again = adapter(mosquitto), Inbox(inbox.cursor)
    with listening(made, again):
        again.until_stands()
        mosquitto.say("AP-1", said(8, 2))
        until(again, 2)
    news = [name for name in again.items if name not in inbox.items]
    assert news == ["reading/devices/AP-1/telemetry/2026-01-01T00:00:02+00:00"]


def test_what_is_no_json_is_kept_for_quarantine(mosquitto: Broker) -> None:
    made, inbox = adapter(mosquitto), Inbox()
    with listening(made, inbox):
        inbox.until_stands()
        mosquitto.say("AP-1", "🔋 12%")
        until(inbox, 1)
    [item] = inbox.items.values()
    assert item.body.decode() == "🔋 12%"
    with pytest.raises(ValueError, match="Expecting"):
        list(made.parse(item.body))


def test_refusals_are_told_apart(mosquitto: Broker) -> None:
    with pytest.raises(AuthError):
        adapter(mosquitto, password="no").check()
    with pytest.raises(ConfigError, match="private"):
        adapter(mosquitto, allow_networks=[]).check()
    mosquitto.stop()
    with pytest.raises(RetryableError):
        adapter(mosquitto).check()


def test_a_line_that_breaks_is_told(mosquitto: Broker) -> None:
    inbox = Inbox()
    with listening(adapter(mosquitto), inbox) as ended:
        inbox.until_stands()
        mosquitto.stop()
        assert isinstance(ended(), RetryableError)
