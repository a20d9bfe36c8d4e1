"""The base every adapter extends: a described config and four verbs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from hub.errors import UnsupportedError
from hub.sdk.auth import MemoryTokens, OAuth2, TokenStore
from hub.sdk.http import Http
from hub.sdk.pace import Pace
from hub.sdk.types import (
    Change,
    Deleted,
    Described,
    Emit,
    Found,
    News,
    Page,
    Raw,
    Receipt,
    RecordRef,
    Row,
    Stream,
    Survey,
    Tally,
    Window,
)

if TYPE_CHECKING:
    from hub.sdk.websocket import WebSocket


class ConnectionConfig(BaseModel):
    """What an administrator configures for one connection.

    Every field needs a description; secrets are ``SecretStr``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    allow_networks: tuple[str, ...] = Field(
        default=(),
        description='Private networks this connection may reach, such as "10.0.0.0/8"',
    )
    region: str = Field(
        default="CN",
        pattern=r"^[A-Z]{2}$",
        description="Country of phone numbers written without a country code (ISO 3166-1)",
    )

    def described(self) -> Sequence[Described]:
        """Streams that are described in the configuration, for adapters without any of their own.

        Raises:
            ConfigError: the description is wrong.
        """
        return ()

    def pace_per_s(self) -> float | None:
        """How often its vendor may be asked per second, where the configuration describes that.

        The connection's own ``requests_per_s`` counts before it.
        """
        return None


def _beside_settings(path: str, info: ValidationInfo) -> Path:
    return Path((info.context or {}).get("folder", ".")) / Path(path).expanduser()


SitePath = Annotated[Path, BeforeValidator(_beside_settings)]
"""A path of this installation; a relative one begins where ``settings.toml`` lies."""


ConfigT = TypeVar("ConfigT", bound=ConnectionConfig)


def config_class(owner: type[Any]) -> type[ConnectionConfig]:
    """The config an adapter or receiver class is written for: ``Adapter[ThisConfig]``."""
    for base in owner.__mro__:
        for origin in getattr(base, "__orig_bases__", ()):
            args = get_args(origin)
            if get_origin(origin) and args and isinstance(args[0], type):
                found: type[Any] = args[0]
                if issubclass(found, ConnectionConfig):
                    return found
    return ConnectionConfig


class Adapter(Generic[ConfigT]):
    """One account at one vendor. It moves raw rows and knows nothing of the hub.

    ``check`` and ``pull`` must be written; the other verbs are optional: what is not overridden is
    not offered.
    """

    streams: ClassVar[tuple[Stream, ...]] = ()
    looks_up: ClassVar[bool] = False
    """``push`` looks its own earlier write up before it creates, so that an unknown outcome may
    simply be tried again; otherwise it waits for a person. A stream may say otherwise."""

    pace: Pace | None = None
    """What the connection's budget allows; the hub sets it, ``http`` keeps it."""

    _line: WebSocket | None = None

    def __init__(self, config: ConfigT) -> None:
        self.config = config
        self._clients: list[Http] = []
        self.tokens: TokenStore = MemoryTokens()
        """Where tokens of this connection are kept, for ``TokenAuth``; the hub sets its own."""
        self.heard: dict[str, str] = {}
        """The word of the newest ``News``, by stream, for the pull it leads to; the hub sets it."""

    @cached_property
    def http(self) -> Http:
        """The one client this adapter talks through, made on first use.

        It reaches the private networks this connection allows, and no others.
        """
        return self.beside(self.connect())

    def beside(self, client: Http) -> Http:
        """The client, held to this connection's networks and budget, and closed with it.

        For a vendor with a second address: keep what it gives in a ``cached_property``.
        """
        client.allow(self.config.allow_networks)
        client.pace = self.pace
        self._clients.append(client)
        return client

    def connect(self) -> Http:
        """A client with base URL and authentication set.

        Raises:
            UnsupportedError: this adapter does not speak HTTP.
        """
        raise UnsupportedError(f"{type(self).__name__} does not speak HTTP")

    @contextmanager
    def dial(self, url: str) -> Iterator[WebSocket]:
        """A WebSocket to ``url`` while the block runs; ``close`` closes it, too.

        It reaches the private networks this connection allows, and no others.

        Raises:
            AuthError: 401 or 403.
            ConfigError: it leads to a network this connection may not reach.
            RetryableError: it cannot be reached now.
        """
        from hub.sdk.websocket import dial  # most processes never need it

        with dial(url, self.config.allow_networks) as self._line:
            yield self._line

    def oauth(self) -> OAuth2:
        """The vendor's authorisation server, for an account a person lets us into.

        Raises:
            UnsupportedError: nobody needs to sign in.
        """
        raise UnsupportedError(f"{type(self).__name__} needs nobody to sign in")

    def close(self) -> None:
        """Give back sockets and sessions; the adapter is not used afterwards."""
        if self._line is not None:
            self._line.close()
        for client in self._clients:
            client.close()

    def discover(self) -> Iterator[Found]:
        """The streams this account has over there, for a person who then writes their mappings."""
        raise UnsupportedError(f"{type(self).__name__} has the same streams everywhere")

    def check(self) -> None:
        """Return when credentials and permissions are fine.

        Raises:
            AuthError: credentials refused.
            RetryableError: the vendor cannot be reached now.
        """
        raise UnsupportedError(f"{type(self).__name__} has no check")

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        """Pages after ``cursor``, oldest change first; None starts from the beginning.

        Every page's cursor must be good to resume from, also weeks later. Rows may come twice.

        Raises:
            CursorExpiredError: the vendor forgot what changed since; everything is read anew.
        """
        raise UnsupportedError(f"{type(self).__name__} cannot be pulled")

    def reads(self, stream: Stream) -> bool:
        """Whether this connection pulls the stream.

        Not where it only writes it or hears of it by events, nor where it was given no credentials.
        """
        return "pull" in capabilities(type(self))

    def history(self, stream: Stream, window: Window, cursor: str | None) -> Iterator[Page]:
        """Pages of a part of the stream; the same promises as ``pull``, with cursors of its own."""
        raise UnsupportedError(f"{type(self).__name__} cannot read a part of a stream")

    def survey(self, stream: Stream, cursor: str | None) -> Iterator[Survey]:
        """Everything that exists now, cheaply: ids and versions, no contents."""
        raise UnsupportedError(f"{type(self).__name__} cannot list what exists")

    def tally(self, stream: Stream) -> Iterator[Tally]:
        """Counts by day, for a vendor that can count but not list."""
        raise UnsupportedError(f"{type(self).__name__} cannot count")

    def find(self, stream: Stream, values: Raw) -> Sequence[Raw]:
        """Rows that have any of these vendor values, to adopt one before another is created."""
        raise UnsupportedError(f"{type(self).__name__} cannot look records up by value")

    def fetch(self, ref: RecordRef) -> Raw | None:
        """The record now, or None when the vendor says it is gone."""
        raise UnsupportedError(f"{type(self).__name__} cannot fetch single records")

    def push(self, stream: Stream, change: Change) -> Receipt:
        """Write once; the same ``change.key`` again must not write twice.

        Raises:
            RejectedError: refused for good.
            ConflictError: the vendor holds a newer copy.
            UnknownOutcomeError: sent, no answer; look it up before trying again.
        """
        raise UnsupportedError(f"{type(self).__name__} cannot be written to")

    def takes(self, stream: Stream) -> bool:
        """Whether ``push`` has what it needs for this stream, as the connection is configured.

        What it does not take is not offered to people.
        """
        return stream.writable

    def listen(self, emit: Emit) -> None:
        """Receive until the line ends, then return; the hub calls again, after a rest if need be.

        ``emit`` first, acknowledge then: whatever was not acknowledged must come again. The same
        event must have the same ``Item.event_id`` then, and the one a webhook would give it.
        ``close`` is called from another thread and must end a wait that has no end of its own.

        Raises:
            ConfigError: a person must change something before it can work.
            CursorExpiredError: the vendor forgot our cursor; it is called with none next.
            RetryableError: the line broke or could not be had.
        """
        raise UnsupportedError(f"{type(self).__name__} does not listen")

    def parse(self, body: bytes) -> Iterator[Row | RecordRef | Deleted | News]:
        """What one emitted item says; only for vendors without a webhook receiver, who has its own.

        Any error but RemoteError puts the item into quarantine.
        """
        raise UnsupportedError(f"{type(self).__name__} reads no events")


def capabilities(adapter: type[Adapter[Any]]) -> tuple[str, ...]:
    """The verbs this class overrides, in the order of the base."""
    verbs = (
        "check", "discover", "pull", "history", "survey", "tally", "find", "fetch", "push",
        "listen",
    )  # fmt: skip
    return tuple(v for v in verbs if getattr(adapter, v) is not getattr(Adapter, v))
