"""The base of a webhook receiver: verify now, read later."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Generic

from hub.errors import UnsupportedError
from hub.sdk.adapter import ConfigT
from hub.sdk.types import Deleted, Envelope, HookRequest, RecordRef, Reply, Row


class WebhookReceiver(Generic[ConfigT]):
    """Turns a vendor's request into stored items, and a stored item into rows.

    ``open`` runs in the process that faces the internet and must be pure and quick; ``parse`` runs
    later in a worker, on bytes that are already safe.
    """

    def __init__(self, config: ConfigT) -> None:
        self.config = config

    def open(self, request: HookRequest) -> Envelope | Reply:
        """The verified items, or the answer to a handshake, which is not stored.

        Raises:
            SignatureError: the sender is not proven.
        """
        raise NotImplementedError

    def parse(self, body: bytes) -> Iterator[Row | RecordRef | Deleted]:
        """What one stored item says. Any error but RemoteError puts it into quarantine."""
        raise NotImplementedError

    def sample(self, at: datetime) -> HookRequest:
        """A harmless request as the vendor would send it at that instant, signed with our secret.

        Optional: ``hub hooks test`` and the contract suite send it through the front door.
        """
        raise UnsupportedError(f"{type(self).__name__} cannot sign a sample")
