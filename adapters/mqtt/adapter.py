"""MQTT: telemetry of devices, and tickets where it crosses a threshold.

A device is named by its topic, which a broker can enforce, not by what its message says. Messages
are acknowledged once their effect is stored. Retained and repeated ones change nothing: they carry
the device's own instant, and an alarm that stands already is not raised again.

Source: MQTT 3.1.1 (OASIS) and a Mosquitto 2.0 broker (checked 2026-11)
"""

from __future__ import annotations

import json
import re
import ssl
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from paho.mqtt.client import MQTTMessage
from pydantic import Field, SecretStr, field_validator

from adapters.mqtt.line import Line
from adapters.mqtt.watch import Reading, Threshold, Watch, said_at
from hub.sdk import Adapter, ConnectionConfig, Emit, Item, JsonPath, Row, at

DEVICE = "{device}"


class MqttConfig(ConnectionConfig):
    host: str = Field(description="Host name of the broker", examples=["mqtt.example.com"])
    port: int = Field(default=8883, ge=1, le=65535, description="Port of the broker")
    tls: bool = Field(default=True, description="Encrypt, and check the broker's certificate")
    username: str = Field(default="", description="User at the broker")
    password: SecretStr = Field(default=SecretStr(""), description="Password of that user")
    client_id: str = Field(
        default="conduit",
        pattern=r"^[A-Za-z0-9_-]{1,23}$",
        description="Name of our session at the broker; it keeps what we missed under it, and no "
        "other client may use it",
    )
    topics: tuple[str, ...] = Field(
        min_length=1,
        description="Topics to hear, with {device} for the level that names the device",
        examples=[["devices/{device}/telemetry"]],
    )
    at_path: JsonPath = Field(
        default="at", description="Where a message has its instant (JMESPath); else ours counts"
    )
    serial_path: JsonPath = Field(
        default="serial", description="Where a message has the device's serial number (JMESPath)"
    )
    thresholds: tuple[Threshold, ...] = Field(
        default=(),
        description="What is an alarm: name, path and one of below, above, equals or present; "
        "clear, for_s, title and priority (see README.md)",
    )
    reading_every_s: float = Field(
        default=3600.0,
        ge=0,
        description="How often a device's reading is kept beside the alarms, in seconds; 0 = all",
    )

    @field_validator("topics")
    @classmethod
    def _name_the_device(cls, topics: tuple[str, ...]) -> tuple[str, ...]:
        for topic in topics:
            if topic.split("/").count(DEVICE) != 1:
                raise ValueError(f"{topic!r} has no level {DEVICE}, or several")
        return topics

    @field_validator("thresholds")
    @classmethod
    def _differ(cls, thresholds: tuple[Threshold, ...]) -> tuple[Threshold, ...]:
        names = [threshold.name for threshold in thresholds]
        if len(set(names)) != len(names):
            raise ValueError("two thresholds have one name")
        return thresholds


class MqttAdapter(Adapter[MqttConfig]):
    """One broker. It only listens: rows are readings, and alarms that began or ended."""

    _session: Line | None = None

    def check(self) -> None:
        line = self._line_as(f"check-{uuid.uuid4().hex[:12]}", lasting=False)
        try:
            line.open(self.config.host, self.config.port)
        finally:
            line.close()

    def listen(self, emit: Emit) -> None:
        watch, kept = Watch.told(emit.cursor), dict[str, datetime]()
        self._session = line = self._line_as(self.config.client_id, lasting=True)
        try:
            line.open(self.config.host, self.config.port)
            emit()
            while True:
                messages = line.wait()
                before = watch.cursor()
                items = [item for message in messages for item in self.items(message, watch, kept)]
                after = watch.cursor()
                if items or after != before:
                    emit(*items, cursor=after)
                line.acknowledge(messages)
        finally:
            line.close()

    def parse(self, body: bytes) -> Iterator[Row]:
        told = json.loads(body)
        yield Row(told["stream"], told["row"])

    def close(self) -> None:
        if self._session:
            self._session.close()
        super().close()

    def _line_as(self, client_id: str, *, lasting: bool) -> Line:
        c = self.config
        topics = [topic.replace(DEVICE, "+") for topic in c.topics]
        line = Line(client_id, topics, lasting=lasting)
        line.client.allow_networks = c.allow_networks
        if c.username:
            line.client.username_pw_set(c.username, c.password.get_secret_value())
        if c.tls:
            line.client.tls_set_context(ssl.create_default_context())
        return line

    def items(
        self, message: MQTTMessage, watch: Watch, kept: dict[str, datetime]
    ) -> Iterator[Item]:
        """What a message tells; ``watch`` and ``kept`` remember what matters of those before."""
        found = filter(None, (_device(topic, message.topic) for topic in self.config.topics))
        if (device := next(found, "")) == "":
            return  # the broker keeps what a session subscribed to before `topics` was changed
        reading = self._reading(message, device)
        if reading is None:  # neither lost nor understood: quarantined as it came
            yield Item(bytes(message.payload), order_key=message.topic, type="unreadable")
            return
        alarms = list(watch.alarms(reading, self.config.thresholds))
        for alarm in alarms:
            row = {**alarm, "serial": self._serial(reading)}
            yield _item("alarms", row, f"alarm/{alarm['id']}/{alarm['state']}", reading.device)
        last = kept.get(reading.topic)
        every = timedelta(seconds=self.config.reading_every_s)
        if alarms or last is None or reading.said_at - last >= every:
            kept[reading.topic] = reading.said_at
            stamp = reading.said_at.isoformat()
            row = {
                "id": f"{reading.topic}/{stamp}",
                "device": reading.device,
                "serial": self._serial(reading),
                "at": stamp,
                "values": reading.body if isinstance(reading.body, dict) else {"": reading.body},
            }
            yield _item("readings", row, f"reading/{row['id']}", reading.device)

    def _reading(self, message: MQTTMessage, device: str) -> Reading | None:
        try:
            body = json.loads(message.payload)
            json.dumps(body, ensure_ascii=False).encode()  # half a character cannot be kept
        except (ValueError, RecursionError):
            return None
        told = said_at(body, self.config.at_path, datetime.now(UTC))
        return Reading(device, message.topic, told, body)

    def _serial(self, reading: Reading) -> str:
        found = at(self.config.serial_path, reading.body)
        return "" if found is None else str(found)


def _item(stream: str, row: dict[str, Any], event_id: str, device: str) -> Item:
    body = json.dumps({"stream": stream, "row": row}, ensure_ascii=False).encode()
    return Item(body, event_id=event_id, order_key=device, type=stream)


def _device(pattern: str, topic: str) -> str:
    """The level of the topic that stands where the pattern has the device; "" for another topic."""
    plain = re.sub(r"^\$share/[^/]*/", "", pattern)
    known = {DEVICE: "/([^/]+)", "+": "/[^/]*", "#": "(?:/.*)?"}
    levels = (known.get(level, "/" + re.escape(level)) for level in plain.split("/"))
    match = re.fullmatch("".join(levels), f"/{topic}", re.DOTALL)
    return match[1] if match else ""
