"""Telegram's Bot API as far as getUpdates goes, with a ledger of what was acknowledged."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

from tests.contract.json_server import Handler, at_a_port

TOKEN = "123456:bot-secret"


class Bot:
    """One bot: its updates, what was acknowledged of them, and how the server misbehaves."""

    def __init__(self) -> None:
        self.updates: dict[int, dict[str, Any]] = {}
        self.acknowledged: set[int] = set()
        self.given: set[int] = set()
        self.deaf = False
        self.webhook = False
        self.polls = 0
        self.asking = 0
        self.url = ""
        self._changed = threading.Condition()
        self._dropped = 0

    def tell(self, number: int, text: str = "你好") -> dict[str, Any]:
        """A person writes to the bot."""
        sender = {"id": 700 + number, "is_bot": False, "first_name": "Wei"}
        message = {
            "message_id": number,
            "date": 1_767_225_600 + number,
            "chat": {"id": sender["id"], "type": "private"},
            "from": sender,
            "text": text,
        }
        with self._changed:
            self.updates[number] = {"update_id": number, "message": message}
            self._changed.notify_all()
            return self.updates[number]

    def drop(self) -> None:
        """Hang up on whoever waits for an answer."""
        with self._changed:
            self._dropped += 1
            self._changed.notify_all()

    def wait_for(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Look at every change until it holds."""
        with self._changed:
            return self._changed.wait_for(holds, timeout_s)

    def ask(self, offset: int, timeout_s: float) -> tuple[int, dict[str, Any]] | None:
        """Status and answer of getUpdates; None = hang up."""
        with self._changed:
            if self.webhook:
                words = "Conflict: can't use getUpdates method while webhook is active"
                return 409, {"ok": False, "error_code": 409, "description": words}
            self.polls += 1
            mine, dropped = self.polls, self._dropped
            if not self.deaf:
                self.acknowledged |= {n for n in self.updates if n < offset}
            self.asking += 1
            self._changed.notify_all()
            over = lambda: self.polls > mine or self._dropped > dropped  # noqa: E731
            self._changed.wait_for(lambda: over() or bool(self._open(offset)), timeout_s)
            self.asking -= 1
            if self._dropped > dropped:
                return None
            if self.polls > mine:
                words = "Conflict: terminated by other getUpdates request"
                return 409, {"ok": False, "error_code": 409, "description": words}
            found = self._open(offset)[:100]
            self.given |= {update["update_id"] for update in found}
            self._changed.notify_all()
            return 200, {"ok": True, "result": found}

    def _open(self, offset: int) -> list[dict[str, Any]]:
        left = self.updates.keys() - self.acknowledged
        return [self.updates[n] for n in sorted(left) if n >= offset]


class _Handler(Handler):
    bot: ClassVar[Bot]

    def get(self) -> None:
        parts = urlsplit(self.path)
        _, token, method = parts.path.split("/")
        if token != f"bot{TOKEN}":
            self.answer(401, {"ok": False, "error_code": 401, "description": "Unauthorized"})
        elif method == "getMe":
            self.answer(200, {"ok": True, "result": {"id": 123456, "is_bot": True}})
        else:
            asked = dict(parse_qsl(parts.query))
            told = self.bot.ask(int(asked.get("offset", 0)), float(asked["timeout"]))
            if told is None:
                self.close_connection = True
            else:
                self.answer(*told)


@contextmanager
def serving() -> Iterator[Bot]:
    """A bot on a local port."""
    bot = Bot()
    with at_a_port(_Handler, bot=bot) as bot.url:
        try:
            yield bot
        finally:
            bot.drop()
