"""The base of a chat desk: somebody asks for a customer in a chat, and is answered there."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from html import escape
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


def asked_for(text: str, commands: Collection[str]) -> str:
    """What a text that is said to the desk asks for; "" when it is no question.

    Behind one of the commands anything; by itself only a telephone or a mail address. Without
    commands there is no desk.
    """
    words = text.split(maxsplit=1)
    if words and words[0].casefold() in {command.casefold() for command in commands}:
        return words[1].strip() if len(words) > 1 else ""
    return text.strip() if commands and _CONTACT.fullmatch(text.strip()) else ""


_CONTACT = re.compile(r"(\+|00)?\(?\d[\d\s().·-]{5,24}|[^\s@]+@[^\s@]+\.[^\s@]+")


def as_card(view: View) -> dict[str, Any]:
    """The answer as a Message for a vendor that makes buttons of the links in ``html``.

    One customer's name is the title and the link one button; of several each has a button.
    """
    parts = [*filter(None, [view.note])]
    title = ""
    if len(view.customers) == 1:
        (one,) = view.customers
        title, parts = one.title, [*parts, *one.lines]
    else:
        parts += ["\n".join(filter(None, [one.title, *one.lines])) for one in view.customers]
    told = {"text": "\n".join(filter(None, parts)), "html": _buttons(view), "automatic": True}
    return {**({"subject": title} if title else {}), **told}


def _buttons(view: View) -> str:
    """The links, told apart by names, or by numbers where no names are told."""
    several = len(view.customers) > 1
    labels = [
        (one.title or f"{one.link_text} ({number})") if several else one.link_text
        for number, one in enumerate(view.customers, 1)
    ]
    links = zip(labels, view.customers, strict=True)
    return "".join(f'<a href="{escape(one.link)}">{escape(label)}</a>' for label, one in links)
