"""钉钉 Stream against a gateway that speaks it, and the vendor's client against the same one."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import dingtalk_stream
import pytest

from adapters.dingtalk.adapter import DingtalkAdapter
from adapters.dingtalk.config import DingtalkConfig
from adapters.dingtalk.webhook import DingtalkReceiver
from hub.errors import AuthError, ConfigError, RetryableError
from hub.sdk import Row
from tests.contract.lines import PATIENCE_S, EndedError, Inbox, listening
from tests.contract.stream_server import KEY, SECRET, Gateway, serving


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with serving() as found:
        yield found


def adapter(gateway: Gateway, **given: Any) -> DingtalkAdapter:
    config = {
        "owner_keys": [KEY],
        "app_secrets": [SECRET],
        "api_url": gateway.url,
        "allow_networks": ["127.0.0.0/8"],
    }
    return DingtalkAdapter(DingtalkConfig.model_validate({**config, **given}))


def until(gateway: Gateway, *ids: str) -> None:
    """Return when the gateway knows that these arrived."""
    assert gateway.wait_for(lambda: set(ids) <= set(gateway.acknowledged), PATIENCE_S)


def until_stands(gateway: Gateway) -> None:
    assert gateway.wait_for(lambda: bool(gateway.lines), PATIENCE_S)


def test_events_and_messages_come_and_are_acknowledged(gateway: Gateway) -> None:
    gateway.tell(1)
    inbox = Inbox()
    with listening(adapter(gateway), inbox):
        gateway.say(2, "查一下 13900001111")
        inbox.until("event-1", "msg-2")
        until(gateway, "event-1", "msg-2")
    (asked,) = gateway.registered
    assert asked["subscriptions"] == [
        {"type": "EVENT", "topic": "*"},
        {"type": "CALLBACK", "topic": "/v1.0/im/bot/messages/get"},
    ]
    event, message = inbox.items["event-1"], inbox.items["msg-2"]
    assert (event.type, event.order_key) == ("bpms_instance_change", "p1")
    assert (message.type, message.order_key) == ("text", "cidEXAMPLE")
    assert {answer["code"] for answer in gateway.answers} == {200}


def test_an_event_reads_as_if_it_had_been_pushed(gateway: Gateway) -> None:
    gateway.tell(1)
    made, inbox = adapter(gateway), Inbox()
    with listening(made, inbox):
        inbox.until("event-1")
    (row,) = DingtalkReceiver(made.config).parse(inbox.items["event-1"].body)
    assert isinstance(row, Row)
    assert row.stream == "process_instances"
    named = {"EventType": "bpms_instance_change", "CorpId": "dingcorpEXAMPLE"}
    assert row.raw.items() >= {**named, "processInstanceId": "p1", "type": "start"}.items()


def test_what_was_not_stored_is_not_acknowledged_and_comes_again(gateway: Gateway) -> None:
    gateway.tell(1)
    inbox = Inbox()
    inbox.refuse = 1
    made = adapter(gateway)
    with pytest.raises(EndedError):
        made.listen(inbox)
    assert (gateway.given, gateway.acknowledged, inbox.items) == (["event-1"], [], {})
    with listening(made, inbox):
        until(gateway, "event-1")
    assert gateway.given == ["event-1"] * 2


def test_an_acknowledgement_that_was_lost_repeats_the_same_name(gateway: Gateway) -> None:
    gateway.tell(1)
    gateway.deaf = True
    inbox = Inbox()
    with listening(adapter(gateway), inbox):
        assert gateway.wait_for(lambda: bool(gateway.answers), PATIENCE_S)  # said, and not heard
    gateway.deaf, inbox.ending = False, False
    with listening(adapter(gateway), inbox):
        until(gateway, "event-1")
    assert inbox.repeated == ["event-1"]


def test_a_ping_is_echoed(gateway: Gateway) -> None:
    inbox = Inbox()
    with listening(adapter(gateway), inbox):
        until_stands(gateway)
        gateway.push("SYSTEM", "ping", {"opaque": "0d0e"}, "ping-1")
        until(gateway, "ping-1")
    (answer,) = gateway.answers
    assert json.loads(answer["data"]) == {"opaque": "0d0e"}


def test_a_polite_end_returns_at_once(gateway: Gateway) -> None:
    """钉钉 gives nothing to a line it has taken leave of: the next one must be had quickly."""
    inbox = Inbox()
    made = adapter(gateway)
    with listening(made, inbox) as ended:
        until_stands(gateway)
        gateway.drop(politely=True)
        assert ended() is None


def test_a_line_that_breaks_is_for_now(gateway: Gateway) -> None:
    inbox = Inbox()
    with listening(adapter(gateway), inbox) as ended:
        until_stands(gateway)
        gateway.drop()
        assert isinstance(ended(), RetryableError)


def test_a_line_that_is_forgotten_is_given_up(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays open and answers pings of the transport; only the words of 钉钉 are missing."""
    monkeypatch.setattr("adapters.dingtalk.line.SILENCE_S", 0.1)
    with listening(adapter(gateway), Inbox()) as ended:
        until_stands(gateway)
        gateway.push("SYSTEM", "ping", {}, "ping-1")
        assert isinstance(ended(), RetryableError)


def test_a_ticket_opens_one_line(gateway: Gateway) -> None:
    made = adapter(gateway)
    for _ in range(2):
        inbox = Inbox()
        with listening(made, inbox):
            until_stands(gateway)
    assert len(gateway.registered) == 2
    gateway.refuses_tickets = True
    with pytest.raises(RetryableError) as caught:  # the app was let in: no fault of its secret
        made.listen(Inbox())
    assert "ticket=" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"app_secrets": ["wrong"]}, AuthError),
        ({"owner_keys": ["dingother"]}, AuthError),
        ({"app_secrets": []}, ConfigError),
        ({"allow_networks": []}, ConfigError),
        ({"api_url": "http://127.0.0.1:1"}, RetryableError),
    ],
)
def test_the_trouble_has_a_name(gateway: Gateway, given: dict[str, Any], error: type) -> None:
    adapter(gateway).check()
    with pytest.raises(error) as caught:
        adapter(gateway, **given).listen(Inbox())
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (403, "Forbidden.AccessDenied.QpsLimitForApi", RetryableError),
        (400, "qps.exceed.limit", RetryableError),
        (403, "Forbidden.AccessDenied.AccessTokenPermissionDenied", AuthError),
        (400, "invalidParameter.subscriptions", ConfigError),
        (500, "ServiceUnavailable", RetryableError),
    ],
)
def test_a_refused_registration(gateway: Gateway, status: int, code: str, error: type) -> None:
    gateway.refuses = status, code
    with pytest.raises(error) as caught:
        adapter(gateway).check()
    assert type(caught.value) is error


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "no JSON",
        '{"type": "EVENT"}',
        '{"type": "EVENT", "headers": {"messageId": "m"}, "data": "{"}',
        '{"type": "NEW", "headers": {"messageId": "m"}, "data": "[1]"}',
    ],
)
def test_what_nobody_can_read_is_kept_for_people(gateway: Gateway, text: str) -> None:
    inbox = Inbox()
    with listening(adapter(gateway), inbox):
        until_stands(gateway)
        gateway.write(text)
        gateway.tell(1)
        until(gateway, "event-1")
    kept = [item for name, item in inbox.items.items() if name != "event-1"]
    assert [item.body.decode() for item in kept] == [text]


class _Events(dingtalk_stream.EventHandler):
    heard: ClassVar[list[Any]] = []

    async def process(self, event: Any) -> tuple[int, str]:
        self.heard.append(event.data["processInstanceId"])
        return dingtalk_stream.AckMessage.STATUS_OK, "OK"


class _Messages(dingtalk_stream.ChatbotHandler):
    heard: ClassVar[list[Any]] = []

    async def process(self, message: Any) -> tuple[int, str]:
        self.heard.append(message.data["msgId"])
        return dingtalk_stream.AckMessage.STATUS_OK, "OK"


class _Once(dingtalk_stream.DingTalkStreamClient):  # type: ignore[misc]
    """Ends when its line has: by itself it dials again for ever."""

    def open_connection(self) -> Any:
        if self.websocket:
            raise KeyboardInterrupt  # what it ends by; thrown and caught in its own loop
        return super().open_connection()


async def _to_its_end(client: dingtalk_stream.DingTalkStreamClient) -> None:
    await client.start()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for one in left:
        one.cancel()
    await asyncio.gather(*left, return_exceptions=True)


def test_the_vendors_client_understands_this_gateway(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What our adapter is tested against is the protocol as its maker speaks it."""
    address = f"{gateway.url}/v1.0/gateway/connections/open"
    monkeypatch.setattr(dingtalk_stream.DingTalkStreamClient, "OPEN_CONNECTION_API", address)
    client = _Once(dingtalk_stream.Credential(KEY, SECRET))
    client.register_all_event_handler(_Events())
    client.register_callback_handler("/v1.0/im/bot/messages/get", _Messages())
    gateway.tell(1)
    thread = threading.Thread(target=lambda: asyncio.run(_to_its_end(client)))
    thread.start()
    try:
        until_stands(gateway)
        gateway.push("SYSTEM", "ping", {"opaque": "0d0e"}, "ping-1")
        gateway.say(2, "你好")
        until(gateway, "event-1", "ping-1", "msg-2")
    finally:
        gateway.drop(politely=True)
        thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert (_Events.heard, _Messages.heard) == (["p1"], ["msg-2"])
    kinds = {answer["headers"]["messageId"]: answer["data"] for answer in gateway.answers}
    assert json.loads(kinds["ping-1"]) == {"opaque": "0d0e"}
