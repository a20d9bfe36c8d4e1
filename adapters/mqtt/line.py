"""One session with an MQTT broker: messages come through a queue and are acknowledged by hand.

Source: MQTT 3.1.1 (OASIS); https://eclipse.dev/paho/files/paho.mqtt.python/html/ (checked 2026-11)
"""

from __future__ import annotations

import queue
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from hub.sdk import AuthError, RetryableError, connect_address

CONNECT_S = 20.0
KEEPALIVE_S = 30
BATCH_MAX = 200
QOS = 1

REFUSED = frozenset({"Not authorized", "Bad user name or password", "Client identifier not valid"})
TOPIC_REFUSED, STANDS = "the MQTT broker does not let us read a topic", "stands"
_ENDED = object()


class Guarded(Client):
    """Dials only addresses this connection may reach, and only what was checked."""

    allow_networks: Sequence[str] = ()

    def _create_socket_connection(self) -> socket.socket:
        address = connect_address(self._host, self._port, self.allow_networks)
        return socket.create_connection(address, timeout=self._connect_timeout)


class Line:
    """A session that stands until ``close``, or until the broker ends it."""

    def __init__(self, client_id: str, topics: Sequence[str], *, lasting: bool) -> None:
        self.client = Guarded(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=not lasting,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        self._topics = topics
        self._came: queue.Queue[Any] = queue.Queue()
        self._greeted: queue.Queue[str] = queue.Queue()  # messages may come before a greeting
        self.client.on_connect = self._connected
        self.client.on_subscribe = self._subscribed
        self.client.on_message = lambda _client, _data, message: self._came.put(message)
        self.client.on_disconnect = lambda *_: self._came.put(_ENDED)

    def open(self, host: str, port: int) -> None:
        """Return when the broker has let us in and the topics are subscribed.

        Raises:
            AuthError: it does not.
            RetryableError: it cannot be reached, or does not answer.
        """
        try:
            self.client.connect(host, port, KEEPALIVE_S)
        except OSError as exc:
            raise RetryableError(
                f"the MQTT broker cannot be reached: {type(exc).__name__}",
                hint="Check host, port and TLS, and that the broker is running.",
            ) from None
        self.client.loop_start()
        try:
            said = self._greeted.get(timeout=CONNECT_S)
        except queue.Empty:
            said = "the MQTT broker does not answer"
        if said == TOPIC_REFUSED:
            raise AuthError(said, hint="Let this user read the topics of the connection.")
        if said in REFUSED:
            raise AuthError(f"the MQTT broker refused us: {said}", hint="Check user and password.")
        if said != STANDS:
            raise RetryableError(said)

    def wait(self) -> list[MQTTMessage]:
        """The messages that came, at least one; those that wait already come along.

        Raises:
            RetryableError: the line broke.
        """
        found = [self._came.get()]
        with suppress(queue.Empty):
            while len(found) < BATCH_MAX and found[-1] is not _ENDED:
                found.append(self._came.get_nowait())
        if found[-1] is _ENDED:
            # What came before it was not acknowledged, and comes again.
            raise RetryableError("the line to the MQTT broker broke")
        return found

    def acknowledge(self, messages: Sequence[MQTTMessage]) -> None:
        """The broker may forget these."""
        for message in messages:
            self.client.ack(message.mid, message.qos)

    def close(self) -> None:
        """End the session's connection and whoever waits; the broker keeps a lasting session."""
        self.client.disconnect()
        self._came.put(_ENDED)
        self.client.loop_stop()

    def _connected(self, client: Client, _data: Any, _flags: Any, reason: Any, _: Any) -> None:
        if reason.is_failure:
            self._greeted.put(str(reason))
        else:
            client.subscribe([(topic, QOS) for topic in self._topics])

    def _subscribed(self, _client: Client, _data: Any, _id: int, reasons: Any, _: Any) -> None:
        refused = any(reason.is_failure for reason in reasons)
        self._greeted.put(TOPIC_REFUSED if refused else STANDS)
