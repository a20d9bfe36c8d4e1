"""Vendors the hub listens to, each with a server that keeps a ledger of what was acknowledged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from tests.contract import bot_server, journal_server, mailbox_server, stream_server

LOOPBACK = ["127.0.0.0/8"]


class Peer(ABC):
    """One account at one vendor. Events are numbered from 1 and told in that order."""

    name: ClassVar[str]
    wrong: ClassVar[dict[str, Any]]
    """What of the settings makes the vendor refuse us."""
    keeps_our_place: ClassVar[bool] = True
    """The vendor knows what was acknowledged; otherwise only our cursor does."""
    records: ClassVar[int]
    """How many records one event makes."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The connection."""

    @abstractmethod
    def tell(self, number: int) -> None:
        """Something happens at the vendor."""

    @abstractmethod
    def named(self, number: int) -> str:
        """What the inbox calls the event."""

    @abstractmethod
    def was_given(self, number: int) -> bool:
        """Whether it was sent to us, at least once."""

    @abstractmethod
    def was_acknowledged(self, number: int) -> bool:
        """Whether the vendor believes that we have it."""

    @abstractmethod
    def drop(self) -> None:
        """The line breaks."""

    def deafen(self, *, deaf: bool = True) -> None:
        """Acknowledgements are lost on their way."""
        raise NotImplementedError


class Dingtalk(Peer):
    name = "dingtalk"
    wrong: ClassVar[dict[str, Any]] = {"app_secrets": ["wrong"]}
    records = 1

    def __init__(self, gateway: stream_server.Gateway) -> None:
        self.server = gateway

    def settings(self) -> dict[str, Any]:
        return {
            "adapter": "dingtalk",
            "owner_keys": [stream_server.KEY],
            "app_secrets": [stream_server.SECRET],
            "api_url": self.server.url,
        }

    def tell(self, number: int) -> None:
        self.server.tell(number)

    def named(self, number: int) -> str:
        return f"event-{number}"

    def was_given(self, number: int) -> bool:
        return self.named(number) in self.server.given

    def was_acknowledged(self, number: int) -> bool:
        return self.named(number) in self.server.acknowledged

    def drop(self) -> None:
        self.server.drop()

    def deafen(self, *, deaf: bool = True) -> None:
        self.server.deaf = deaf


class Telegram(Peer):
    name = "telegram"
    wrong: ClassVar[dict[str, Any]] = {"bot_token": "1:wrong"}
    records = 2

    def __init__(self, bot: bot_server.Bot) -> None:
        self.server = bot

    def settings(self) -> dict[str, Any]:
        return {"adapter": "telegram", "bot_token": bot_server.TOKEN, "api_url": self.server.url}

    def tell(self, number: int) -> None:
        self.server.tell(number)

    def named(self, number: int) -> str:
        return str(number)

    def was_given(self, number: int) -> bool:
        return number in self.server.given

    def was_acknowledged(self, number: int) -> bool:
        return number in self.server.acknowledged

    def drop(self) -> None:
        self.server.drop()

    def deafen(self, *, deaf: bool = True) -> None:
        self.server.deaf = deaf


class Hubspot(Peer):
    name = "hubspot"
    wrong: ClassVar[dict[str, Any]] = {"client_secrets": ["wrong"]}
    keeps_our_place = False
    records = 0  # an event names its object only

    def __init__(self, journal: journal_server.Journal) -> None:
        self.server = journal

    def settings(self) -> dict[str, Any]:
        return {
            "adapter": "hubspot",
            "client_id": journal_server.CLIENT,
            "client_secrets": [journal_server.SECRET],
            "api_url": self.server.url,
        }

    def tell(self, number: int) -> None:
        self.server.tell(number)

    def named(self, number: int) -> str:
        return f"journal/offset-{number}/0"

    def was_given(self, number: int) -> bool:
        return f"offset-{number}" in self.server.read

    def was_acknowledged(self, number: int) -> bool:
        return f"/offset/offset-{number}/next" in self.server.asked

    def drop(self) -> None:
        self.server.down = 3  # as often as the client tries by itself


class Mail(Peer):
    name = "email"
    wrong: ClassVar[dict[str, Any]] = {"password": "wrong"}
    keeps_our_place = False
    records = 2

    def __init__(self, box: mailbox_server.Mailbox) -> None:
        self.server = box

    def settings(self) -> dict[str, Any]:
        return {
            "adapter": "email",
            "address": "us@example.org",
            "password": mailbox_server.PASSWORD,
            "imap_host": "127.0.0.1",
            "imap_port": self.server.imap_port,
            "imap_tls": "none",
        }

    def tell(self, number: int) -> None:
        self.server.arrive(
            f"From: c{number}@example.com\r\nTo: us@example.org\r\nSubject: Nr. {number}\r\n"
            f"Message-ID: <m{number}@example.com>\r\n\r\nhi\r\n".encode()
        )

    def named(self, number: int) -> str:
        return f"INBOX/1:{number}"

    def was_given(self, number: int) -> bool:
        return number in self.server.fetched

    def was_acknowledged(self, number: int) -> bool:
        """A mailbox is only read."""
        return False

    def drop(self) -> None:
        self.server.drop()


_SERVED: dict[str, tuple[Any, Callable[[Any], Peer]]] = {
    "dingtalk": (stream_server.serving, Dingtalk),
    "telegram": (bot_server.serving, Telegram),
    "hubspot": (journal_server.serving, Hubspot),
    "email": (mailbox_server.serving, Mail),
}
NAMES = tuple(_SERVED)


@contextmanager
def peer(name: str) -> Iterator[Peer]:
    """A vendor on local ports."""
    serving, made = _SERVED[name]
    with serving() as server:
        yield made(server)


def connection(vendor: Peer, **more: Any) -> dict[str, Any]:
    """A listening connection to it."""
    return {**vendor.settings(), "listen": True, "allow_networks": LOOPBACK, **more}
