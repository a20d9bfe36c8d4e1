"""The base of a chat desk: somebody asks for a customer in a chat, and is answered there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic

from hub.sdk.adapter import ConfigT


@dataclass(frozen=True, slots=True)
class Query:
    """What somebody asked.

    Attributes:
        text: a phone in any writing, a mail address, part of a name, or the address of a card.
        asker: who asks, as the vendor names them.
        place: where they asked and are answered, as the vendor names it.
        message: the id of their message, to which the answer refers.
        private: whether nobody reads the answer who might not have asked.
        refused: why they get none: ``asker`` for a stranger, who is told nothing; ``place`` where
            this desk does not answer.
        language: of the asker, such as ``zh-CN``; "" = that of the installation, "*" = the vendor
            does not tell: they are answered in every language there is.
    """

    text: str
    asker: str
    place: str
    message: str
    private: bool = False
    refused: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """One customer as told in a chat: a title, a few lines, and where the whole card is."""

    title: str
    lines: Sequence[str]
    link: str
    link_text: str


@dataclass(frozen=True, slots=True)
class View:
    """The answer, masked already.

    Attributes:
        note: a sentence in place of customers, or above them.
        elsewhere: all there is to say if others read along by the time it arrives.
    """

    note: str = ""
    customers: Sequence[Shown] = ()
    elsewhere: str = ""


class Desk(Generic[ConfigT]):
    """The vendor's half of a chat desk: pure, between stored bytes and canonical fields."""

    answers: ClassVar[str] = "messages"
    """The stream an answer is written to."""

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    def ask(self, body: bytes) -> Query | None:
        """What a stored item asks for; None when it is no question to the desk."""
        raise NotImplementedError

    def show(self, query: Query, view: View) -> Mapping[str, Any]:
        """The canonical Message that answers it."""
        raise NotImplementedError
