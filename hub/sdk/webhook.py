"""The base of a webhook receiver: verify now, read later."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, ClassVar, Generic

from hub.errors import SignatureError, UnsupportedError
from hub.sdk.adapter import ConfigT
from hub.sdk.types import Deleted, Envelope, HookRequest, Item, News, RecordRef, Reply, Row

_UNREADABLE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    SignatureError,
)
"""What reading garbage raises."""


class WebhookReceiver(Generic[ConfigT]):
    """Turns a vendor's request into stored items, and a stored item into rows.

    ``open`` runs in the process that faces the internet and must be pure and quick; ``parse`` runs
    later in a worker, on bytes that are already safe.
    """

    asks_leave: ClassVar[bool] = False
    """Whether this vendor asks by OPTIONS before it sends; ``open`` answers, and others get 405."""

    learned: Mapping[str, str] = MappingProxyType({})
    """What earlier requests taught about the sender; the hub keeps it with the connection."""

    address: str = ""
    """Where our webhooks arrive, scheme and host included; for samples of vendors that sign it."""

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    def open(self, request: HookRequest) -> Envelope | Reply:
        """The verified items, or the answer to a handshake, which is not stored.

        Raises:
            SignatureError: the sender is not proven.
        """
        raise NotImplementedError

    def parse(self, body: bytes) -> Iterator[Row | RecordRef | Deleted | News]:
        """What one stored item says. Any error but RemoteError puts it into quarantine."""
        raise NotImplementedError

    def sample(self, at: datetime) -> HookRequest:
        """A harmless request as the vendor would send it at that instant, signed with our secret.

        Optional: ``hub hooks test`` and the contract suite send it through the front door.
        """
        raise UnsupportedError(f"{type(self).__name__} cannot sign a sample")

    def items(
        self,
        body: bytes,
        name: Callable[[Any], tuple[Any, Any, Any]],
        split: Callable[[Any], Iterable[Any]] | None = None,
        read: Callable[[bytes], Any] = json.loads,
    ) -> list[Item]:
        """The items of a verified body; what cannot be read stays as it came, for quarantine.

        Args:
            body: as it came; an item's own body unless it is split.
            name: an event's id, order key and type; None or "" where it has none.
            split: the events of a batch; each becomes an item, as JSON.
            read: makes of the body what ``name`` and ``split`` get.
        """
        try:
            found = read(body)
            events = list(split(found)) if split else []
            if not events:
                return [_named(body, name, found)]
            return [_named(json.dumps(event).encode(), name, event) for event in events]
        except _UNREADABLE:
            return [Item(body)]


def _named(body: bytes, name: Callable[[Any], tuple[Any, Any, Any]], event: Any) -> Item:
    try:
        event_id, order_key, type_ = (_word(word) for word in name(event))
    except _UNREADABLE:
        return Item(body)
    return Item(body, event_id or None, order_key or None, type_)


def _word(word: Any) -> str:
    if not isinstance(word, str | int | None):
        raise TypeError
    return "" if word is None else str(word)
