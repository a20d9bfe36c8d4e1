"""Telegram's getUpdates against a server that keeps what was not acknowledged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from adapters.telegram.adapter import TelegramAdapter, TelegramBotConfig
from adapters.telegram.webhook import HEADER, TelegramReceiver
from hub.errors import AuthError, ConfigError, RetryableError
from hub.sdk import Envelope, HookRequest, Row
from hub.sdk.testing import NOW
from tests.contract.bot_server import TOKEN, Bot, serving
from tests.contract.lines import PATIENCE_S, EndedError, Inbox, listening


@pytest.fixture
def bot(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bot]:
    monkeypatch.setattr("adapters.telegram.adapter.POLL_S", 1)  # an end waits for the answer
    with serving() as found:
        yield found


def adapter(bot: Bot, **given: Any) -> TelegramAdapter:
    config = {"bot_token": TOKEN, "api_url": bot.url, "allow_networks": ["127.0.0.0/8"]}
    return TelegramAdapter(TelegramBotConfig.model_validate({**config, **given}))


def until(bot: Bot, *numbers: int) -> None:
    """Return when Telegram knows that these arrived."""
    assert bot.wait_for(lambda: set(numbers) <= bot.acknowledged, PATIENCE_S)


def test_updates_come_and_the_next_question_acknowledges_them(bot: Bot) -> None:
    bot.tell(7)
    inbox = Inbox()
    with listening(adapter(bot), inbox):
        until(bot, 7)
        bot.tell(8)
        until(bot, 7, 8)
    assert list(inbox.items) == ["7", "8"]
    assert inbox.repeated == []


def test_what_was_not_stored_is_not_acknowledged_and_comes_again(bot: Bot) -> None:
    bot.tell(7)
    inbox = Inbox()
    inbox.refuse = 1
    made = adapter(bot)
    with pytest.raises(EndedError):
        made.listen(inbox)
    assert (bot.acknowledged, inbox.items) == (set(), {})
    with listening(made, inbox):
        until(bot, 7)


def test_the_same_update_by_webhook_has_the_same_name_and_reads_the_same(bot: Bot) -> None:
    update = bot.tell(7, "在吗")
    made, inbox = adapter(bot, secret_tokens=["word"]), Inbox()
    with listening(made, inbox):
        until(bot, 7)
    receiver = TelegramReceiver(made.config)
    body = json.dumps(update, indent=1).encode()
    opened = receiver.open(HookRequest("POST", {HEADER: "word"}, {}, body, NOW))
    assert isinstance(opened, Envelope)
    (pushed,), asked = opened.items, inbox.items["7"]
    assert (pushed.event_id, pushed.order_key, pushed.type) == (
        asked.event_id,
        asked.order_key,
        asked.type,
    )
    assert list(receiver.parse(pushed.body)) == list(receiver.parse(asked.body))
    assert all(isinstance(row, Row) for row in receiver.parse(asked.body))


def test_a_line_that_breaks_is_for_now(bot: Bot) -> None:
    inbox = Inbox()
    with listening(adapter(bot), inbox) as ended:
        for number in (2, 3, 4):  # the first one waits for nothing; it tries three times
            assert bot.wait_for(lambda number=number: bot.polls == number, PATIENCE_S)
            bot.drop()
        assert isinstance(ended(), RetryableError)


def test_a_webhook_in_the_way_is_told(bot: Bot) -> None:
    bot.webhook = True
    with pytest.raises(ConfigError, match="a webhook is set") as caught:
        adapter(bot).listen(Inbox())
    assert "deleteWebhook" in caught.value.hint


def test_another_who_asks_is_told(bot: Bot) -> None:
    with listening(adapter(bot), Inbox()) as ended:
        assert bot.wait_for(lambda: bot.polls > 1 and bool(bot.asking), PATIENCE_S)
        bot.ask(0, 0)
        error = ended()
    assert isinstance(error, ConfigError)
    assert "another asks too" in str(error)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"bot_token": "123456:wrong-token"}, AuthError),
        ({"allow_networks": []}, ConfigError),
        ({"api_url": "http://127.0.0.1:1"}, RetryableError),
    ],
)
def test_the_trouble_has_a_name_and_the_token_stays_out_of_it(
    bot: Bot, given: dict[str, Any], error: type
) -> None:
    adapter(bot).check()
    for ask in (adapter(bot, **given).check, lambda: adapter(bot, **given).listen(Inbox())):
        with pytest.raises(error) as caught:
            ask()
        told = f"{caught.value} {caught.value.hint}"
        assert "wrong-token" not in told
        assert TOKEN not in told


def test_without_a_token_nothing_is_asked(bot: Bot) -> None:
    made = adapter(bot, bot_token="")
    made.check()
    with pytest.raises(ConfigError):
        made.listen(Inbox())
