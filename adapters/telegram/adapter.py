"""Telegram's updates asked for with getUpdates, where Telegram cannot call us.

Telegram keeps an update for a day, until the next question names a higher offset: that is how it is
acknowledged. While a webhook is set, or when somebody else asks too, it answers 409.

Source: https://core.telegram.org/bots/api#getupdates (checked 2026-11)
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field, SecretStr

from adapters.telegram.webhook import TelegramConfig, TelegramReceiver, name_of
from hub.sdk import Adapter, AuthError, ConfigError, Emit, Http, Item, Raw, RetryableError

POLL_S = 25


class TelegramBotConfig(TelegramConfig):
    secret_tokens: tuple[SecretStr, ...] = Field(
        default=(),
        description="secret_token given to setWebhook (A-Z a-z 0-9 _ -), where Telegram calls us; "
        "two while one is changed",
    )
    bot_token: SecretStr = Field(
        default=SecretStr(""),
        description="Token of the bot, from @BotFather; updates are asked for with it",
    )
    api_url: str = Field(
        default="https://api.telegram.org",
        pattern=r"^https?://",
        description="Bot API server, Telegram's or one of your own",
    )


class TelegramAdapter(Adapter[TelegramBotConfig]):
    """One bot. It only listens; what it emits is read by ``TelegramReceiver.parse``."""

    def connect(self) -> Http:
        token = self.config.bot_token.get_secret_value()
        base = f"{self.config.api_url.rstrip('/')}/bot{token}"
        return Http(base, raise_for_refusal=_raise_for_refusal, hidden=[token])

    def check(self) -> None:
        if self.config.bot_token.get_secret_value():  # who takes webhooks only has nothing to try
            self.http.get("/getMe")

    def listen(self, emit: Emit) -> None:
        if not self.config.bot_token.get_secret_value():
            raise ConfigError("asking for updates needs the bot's token", hint="Set bot_token.")
        offset: int | None = None  # Telegram knows what we acknowledged
        wait_s = 0  # at first, so that it is known soon whether we are let in
        while True:
            asked = {"offset": offset, "timeout": wait_s}
            updates = self.http.get("/getUpdates", params=asked, timeout=POLL_S + 10)["result"]
            emit(*map(self._item, updates))
            wait_s = POLL_S
            if updates:
                offset = max(update["update_id"] for update in updates) + 1

    def _item(self, update: Raw) -> Item:
        """The item a webhook would give."""
        body = json.dumps(update, ensure_ascii=False).encode()
        return TelegramReceiver(self.config).items(body, name_of)[0]


def _raise_for_refusal(status: int, body: Any) -> None:
    told = body if isinstance(body, dict) else {}
    if status == 409:
        webhook = "webhook" in str(told.get("description"))
        raise ConfigError(
            f"Telegram gives no updates: {'a webhook is set' if webhook else 'another asks too'}",
            hint="Call deleteWebhook of this bot, or take out `listen`."
            if webhook
            else "One program only may ask for a bot's updates: stop the other one.",
        )
    if status in (401, 404):  # 404: the token has not even the form of one
        raise AuthError("Telegram does not know the bot's token", hint="Compare bot_token.")
    rest_s = (told.get("parameters") or {}).get("retry_after")
    if status == 429 and isinstance(rest_s, int):
        raise RetryableError("Telegram puts us off", retry_after_s=float(rest_s))
