"""Thresholds: each alarm begins once and ends once, whatever comes again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import MQTTMessage
from pydantic import ValidationError

from adapters.mqtt.adapter import MqttAdapter, MqttConfig, _device
from adapters.mqtt.watch import Reading, Threshold, Watch, said_at

BEGAN = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
FILTER = Threshold(name="filter", path="filter_life", below=10, clear=20, title="{device} {value}")


def reading(second: float, **body: Any) -> Reading:
    return Reading("AP-1", "devices/AP-1/telemetry", BEGAN + timedelta(seconds=second), body)


def states(threshold: Threshold, *readings: Reading, watch: Watch | None = None) -> list[str]:
    known = watch or Watch()
    return [
        f"{alarm['state']} {alarm['value']}"
        for one in readings
        for alarm in known.alarms(one, [threshold])
    ]


def values(threshold: Threshold, *told: Any) -> list[str]:
    return states(threshold, *(reading(n, filter_life=v) for n, v in enumerate(told)))


def test_it_begins_once_and_ends_once() -> None:
    assert values(FILTER, 50, 9, 8, 7, 30, 40) == ["on 9", "off 30"]


def test_a_value_that_wavers_about_the_limit_raises_one_alarm() -> None:
    assert values(FILTER, 9, 11, 9, 12, 9, 19.9, 20) == ["on 9", "off 20"]


@pytest.mark.parametrize("silent", [None, "n/a", True, [], {}])
def test_what_is_no_number_tells_nothing(silent: Any) -> None:
    assert values(FILTER, 9, silent, 9) == ["on 9"]


def test_above_equals_and_present() -> None:
    assert values(Threshold(name="a", path="filter_life", above=3), 3, 4, 3) == ["on 4", "off 3"]
    offline = Threshold(name="a", path="filter_life", equals="offline")
    assert values(offline, "online", "offline", "online") == ["on offline", "off online"]
    fault = Threshold(name="a", path="filter_life", present=True)
    assert values(fault, None, "E02", "E03", None) == ["on E02", "off None"]


def test_it_must_last_by_the_devices_clock() -> None:
    held = FILTER.model_copy(update={"for_s": 60})
    short = [reading(0, filter_life=5), reading(30, filter_life=50), reading(70, filter_life=5)]
    assert states(held, *short) == []
    assert states(held, *short, reading(129, filter_life=4), reading(130, filter_life=3)) == [
        "on 3"
    ]


def test_a_reading_that_comes_again_changes_nothing() -> None:
    first, second = reading(1, filter_life=5), reading(2, filter_life=50)
    assert states(FILTER, first, first, second, first, second) == ["on 5", "off 50"]


def test_what_was_retained_raises_no_second_alarm_after_a_restart() -> None:
    watch, retained = Watch(), reading(1, filter_life=5)
    assert states(FILTER, retained, watch=watch) == ["on 5"]
    again = Watch.told(watch.cursor())
    assert states(FILTER, retained, watch=again) == []
    assert states(FILTER, reading(3, filter_life=60), watch=again) == ["off 60"]


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=30),
    st.lists(st.integers(0, 29), max_size=10),
)
def test_alarms_alternate_whatever_comes_again(told: list[Any], restarts: list[int]) -> None:
    watch, seen = Watch(), []
    for number, (second, value) in enumerate(told):
        if number in restarts:
            watch = Watch.told(watch.cursor())
        seen += states(FILTER, reading(second, filter_life=value), watch=watch)
    assert [state.split()[0] for state in seen] == ["on", "off"] * (len(seen) // 2) + ["on"] * (
        len(seen) % 2
    )


def test_what_is_long_over_is_forgotten() -> None:
    watch = Watch()
    states(FILTER, reading(0, filter_life=5), reading(1, filter_life=50), watch=watch)
    later = Reading("AP-2", "devices/AP-2/telemetry", BEGAN + timedelta(days=9), {"filter_life": 1})
    states(FILTER, later, watch=watch)
    assert "AP-1" not in watch.cursor()


@pytest.mark.parametrize(
    "given", [{}, {"below": 1, "above": 2}, {"present": True, "equals": "x"}, {"name": "a/b"}]
)
def test_a_threshold_says_one_thing(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Threshold.model_validate({"name": "a", "path": "b", **given})


@pytest.mark.parametrize(
    ("pattern", "topic", "device"),
    [
        ("devices/{device}/telemetry", "devices/AP-1/telemetry", "AP-1"),
        ("devices/{device}/telemetry", "devices/AP-1/status", ""),
        ("+/{device}/#", "site/AP-1/a/b", "AP-1"),
        ("a.b/{device}", "axb/AP-1", ""),
    ],
)
def test_the_topic_names_the_device(pattern: str, topic: str, device: str) -> None:
    assert _device(pattern, topic) == device


@pytest.mark.parametrize("topic", ["devices/+/telemetry", "{device}/{device}"])
def test_a_topic_without_a_device_is_refused(topic: str) -> None:
    with pytest.raises(ValidationError, match="device"):
        MqttConfig(host="h", topics=(topic,))


@pytest.mark.parametrize("body", [{"at": "soon"}, {}, {"at": None}, {"at": {}}, 7])
def test_an_instant_nobody_can_read_is_ours(body: Any) -> None:
    assert said_at(body, "at", BEGAN) == BEGAN


def heard(topic: str, payload: bytes, *topics: str) -> list[Any]:
    config = MqttConfig(host="h", topics=topics or ("devices/{device}/telemetry",))
    message = MQTTMessage(topic=topic.encode())
    message.payload = payload
    return [*MqttAdapter(config).items(message, Watch(), {})]


@pytest.mark.parametrize("payload", [b'{"a": "\\ud83d"}', b"\xff", b"[" * 90_000, b""])
def test_no_message_stops_those_of_other_devices(payload: bytes) -> None:
    [item] = heard("devices/AP-1/telemetry", payload)
    assert (item.type, item.body) == ("unreadable", payload)


def test_what_an_earlier_configuration_subscribed_to_is_let_go() -> None:
    """The broker keeps a session's subscriptions: a topic taken out goes on coming."""
    assert heard("plants/7/telemetry", b"{}") == []


@pytest.mark.parametrize(
    ("pattern", "topic"),
    [("$share/hub/d/{device}", "d/7"), ("d/{device}/#", "d/7"), ("d/{device}/#", "d/7/a/b")],
)
def test_a_topic_is_known_as_the_broker_matches_it(pattern: str, topic: str) -> None:
    assert _device(pattern, topic) == "7"


def test_a_number_that_is_none_ends_no_alarm() -> None:
    assert values(FILTER, 9, float("nan"), 9) == ["on 9"]


@pytest.mark.parametrize("told", ["2099-01-01T00:00:00Z", "1970-01-01T00:07:00Z"])
def test_a_clock_that_was_never_set_is_not_believed(told: str) -> None:
    """Else an alarm of the year 2099 is the last one that is heard."""
    assert said_at({"at": told}, "at", BEGAN) == BEGAN
    ahead = (BEGAN + timedelta(hours=8)).isoformat()  # another zone: still in order
    assert said_at({"at": ahead}, "at", BEGAN) == BEGAN + timedelta(hours=8)


@pytest.mark.parametrize(
    "given",
    [
        {"thresholds": [{"name": "a", "path": "x[", "present": True}]},
        {"thresholds": [{"name": "a", "path": "x", "below": 10, "clear": 5}]},
        {"thresholds": [{"name": "a", "path": "x", "above": 10, "clear": 15}]},
        {"thresholds": [{"name": "a", "path": "x", "present": True, "clear": 15}]},
        {"thresholds": [{"name": "a", "path": "x", "present": True}] * 2},
        {"at_path": "a["},
        {"serial_path": "["},
    ],
)
def test_what_could_never_raise_or_end_an_alarm_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MqttConfig(host="h", topics=("d/{device}",), **given)


def test_what_lacks_in_a_message_of_another_topic_ends_no_alarm() -> None:
    watch, fault = Watch(), Threshold(name="fault", path="fault", present=True)
    status = Reading("AP-1", "devices/AP-1/status", BEGAN + timedelta(seconds=2), {"online": True})
    told = [reading(1, fault="E02"), status, reading(3, fault="E02")]
    assert states(fault, *told, watch=watch) == ["on E02"]
    assert states(fault, reading(4), watch=watch) == ["off None"]
