"""The base of adapters and receivers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest

import hub.sdk
from hub.errors import ConfigError, UnsupportedError
from hub.sdk import (
    Adapter,
    Change,
    ConnectionConfig,
    Http,
    Page,
    RecordRef,
    Stream,
    WebhookReceiver,
    capabilities,
    config_class,
)


class Config(ConnectionConfig):
    """A config of its own."""


class Minimal(Adapter[Config]):
    """Check and pull."""

    streams = (Stream("things"),)

    def connect(self) -> Http:
        return Http("http://127.0.0.1:9", timeout_s=1)

    def check(self) -> None:
        self.http.get("/")

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        yield from ()


class Heir(Minimal):
    """Inherits its config."""


class Receiver(WebhookReceiver[Config]):
    """Nothing written."""


def test_config_class() -> None:
    assert config_class(Minimal) is config_class(Heir) is config_class(Receiver) is Config
    assert config_class(Adapter) is ConnectionConfig


class Since(ConnectionConfig):
    """With an instant."""

    since: datetime | None = None


@pytest.mark.parametrize("written", [datetime(2024, 1, 2), date(2024, 1, 2), "2024-01-02T00:00:00"])  # noqa: DTZ001 - as TOML reads it
def test_an_instant_without_a_zone_can_be_compared(written: object) -> None:
    assert Since.model_validate({"since": written}).since == datetime(2024, 1, 2, tzinfo=UTC)


def test_capabilities_are_what_is_overridden() -> None:
    assert capabilities(Minimal) == capabilities(Heir) == ("check", "pull")


def test_what_is_not_written_is_not_supported() -> None:
    adapter = Adapter(ConnectionConfig())
    stream = Stream("things")
    for call in (
        adapter.check,
        lambda: adapter.pull(stream, None),
        lambda: adapter.fetch(RecordRef("things", "1")),
        lambda: adapter.push(stream, Change(None, {}, "k")),
        lambda: adapter.listen(print),
        lambda: adapter.http,
        lambda: Receiver(Config()).sample(datetime.now(UTC)),
    ):
        with pytest.raises(UnsupportedError):
            call()
    adapter.close()


def test_only_the_networks_of_the_connection_are_reached() -> None:
    with pytest.raises(ConfigError):
        Minimal(Config()).check()
    adapter = Minimal(Config(allow_networks=("127.0.0.0/8",)))
    adapter.http.allow(adapter.config.allow_networks)
    adapter.close()


def test_public_names() -> None:
    """A change here needs a line in the changelog."""
    assert hub.sdk.__all__ == [
        "Adapter",
        "Answers",
        "Asked",
        "AuthError",
        "Change",
        "ConfigError",
        "ConflictError",
        "ConnectionConfig",
        "CursorExpiredError",
        "Deleted",
        "Described",
        "Desk",
        "Emit",
        "Envelope",
        "Found",
        "HookRequest",
        "Http",
        "Item",
        "JsonPath",
        "Link",
        "News",
        "Outgoing",
        "PacedError",
        "Page",
        "Panel",
        "Query",
        "Raw",
        "Receipt",
        "RecordRef",
        "RejectedError",
        "RemoteError",
        "Reply",
        "RetryableError",
        "Row",
        "Shown",
        "Sighting",
        "SignatureError",
        "SitePath",
        "Stream",
        "Survey",
        "Tally",
        "UnknownOutcomeError",
        "UnsupportedError",
        "View",
        "WebhookReceiver",
        "Window",
        "as_card",
        "as_version",
        "asked_for",
        "at",
        "capabilities",
        "config_class",
        "connect_address",
        "expiring",
        "id_of",
        "instant",
        "links",
        "parted",
        "parts_of",
        "plain",
        "scan",
        "sweep",
        "tally_digest",
        "urgent",
        "written",
        "zone_of",
    ]
    assert all(hasattr(hub.sdk, name) for name in hub.sdk.__all__)


def test_a_second_client_is_held_to_the_same_rules_and_closed_with_the_first() -> None:
    class Budget:
        """A budget that counts."""

        asked = 0

        def before(self) -> None:
            self.asked += 1

        def after(self, status: int, retry_after_s: float | None) -> None: ...

    adapter = Minimal(Config())
    adapter.pace = budget = Budget()
    beside = adapter.beside(Http("http://127.0.0.1:9", timeout_s=1, allow_networks=["127.0.0.0/8"]))
    with pytest.raises(ConfigError):
        beside.get("/")
    assert budget.asked == 1
    assert beside.pace is adapter.pace
    adapter.close()
