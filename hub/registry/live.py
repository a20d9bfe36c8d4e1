"""Connections ready to use, as the database has them now."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
)

from hub import mapping
from hub.errors import ConfigError, StoreError
from hub.mapping import Mapping as Spec
from hub.registry.manifests import Manifest, manifest, manifests
from hub.sdk import (
    Adapter,
    ConnectionConfig,
    Described,
    Desk,
    Panel,
    Stream,
    WebhookReceiver,
    capabilities,
)
from hub.sdk.auth import TokenStore
from hub.settings import settings_path
from hub.store import connections, mappings
from hub.store.accounts import ROLES
from hub.store.budget import Budget, Limits
from hub.store.credentials import Credentials
from hub.store.crypto import Vault
from hub.store.db import Database

Origin = Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.-]+(:\d{1,5})?$")]

_loaded = lru_cache(maxsize=256)(mapping.load)
"""Many connections share a mapping, and the same text gives the same mapping."""


class Own(BaseModel):
    """Keys of a connection that are the hub's own, not the adapter's.

    Attributes:
        every_s, fresh_s, overlap_s: instead of what its streams declare; ``fresh_s`` 0 = never
            compared with its source unless asked to.
        requests_per_s, requests_per_day: how often its vendor may be asked.
        hooks_per_s: how many webhooks each process of the receiver takes from it.
        body_limit_bytes: how large a webhook of it may be, instead of the setting for all.
        keep_days, receipt_days: how long its events keep headers and body once they are over, and
            how long they are recognised when they come again: longer than its vendor retries.
        listen: events are received over a line of our own, where the vendor cannot reach us.
        frame_origins: web pages of this desk that may frame a card, such as https://desk.example.
        desk_role: as whom customers are seen by who asks in this chat desk, or has no account here
            and opens its page.
        desk_sign_in: who says who opens the page of this desk: the hub, or the desk itself.
        desk_people: members of the desk, by their id there, who have an account here.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    every_s: float | None = Field(default=None, gt=0)
    fresh_s: float | None = Field(default=None, ge=0)
    overlap_s: float | None = Field(default=None, ge=0)
    requests_per_s: float | None = Field(default=None, gt=0)
    requests_per_day: int | None = Field(default=None, ge=1)
    hooks_per_s: float | None = Field(default=None, gt=0)
    body_limit_bytes: int | None = Field(default=None, ge=1)
    keep_days: int | None = Field(default=None, ge=1)
    receipt_days: int | None = Field(default=None, ge=1)
    listen: bool = False
    frame_origins: tuple[Origin, ...] = ()
    desk_role: str = Field(default="auditor", pattern=f"^({'|'.join(ROLES)})$")
    desk_sign_in: Literal["hub", "desk"] = "hub"
    desk_people: dict[str, str] = Field(default_factory=dict)


RESERVED = frozenset({"adapter", *Own.model_fields})


@dataclass(frozen=True)
class Live:
    """One connection, ready to use; its parts are made when first asked for.

    Attributes:
        chosen: texts of mappings that a person chose over the files, by stream.
        learned: what its webhooks taught about their sender.
    """

    name: str
    manifest: Manifest
    settings: Mapping[str, Any] = field(repr=False)  # secrets are among them
    tokens: TokenStore | None = field(default=None, repr=False, compare=False)
    chosen: Mapping[str, str] = field(default_factory=dict, repr=False)
    learned: Mapping[str, str] = field(default_factory=dict)
    database: Database | None = field(default=None, repr=False, compare=False)

    @cached_property
    def config(self) -> ConnectionConfig:
        """The validated config, ``env:NAME`` looked up now.

        Raises:
            ConfigError: it is incomplete or wrong.
        """
        given = {key: value for key, value in self.settings.items() if key not in RESERVED}
        try:
            return self.manifest.config_class().model_validate(
                _from_env(given, self.name), context={"folder": settings_path().parent}
            )
        except ValidationError as exc:
            raise ConfigError(
                f"connection {self.name}: {_faults(exc)}",
                hint=f"See docs/adapters/{self.manifest.name}.md for its fields.",
            ) from exc

    @cached_property
    def secrets(self) -> frozenset[str]:
        """The texts of every secret of its config, to keep them out of what is stored and shown.

        Raises:
            ConfigError: it is incomplete or wrong.
        """
        return frozenset(_secrets_in(dict(self.config)))

    @cached_property
    def own(self) -> Own:
        """What the hub itself is told about this connection.

        Raises:
            ConfigError: a value is wrong.
        """
        try:
            return Own.model_validate(self.settings)
        except ValidationError as exc:
            hint = "See the comments in settings.toml."
            raise ConfigError(f"connection {self.name}: {_faults(exc)}", hint=hint) from exc

    @cached_property
    def adapter(self) -> Adapter[Any]:
        """The adapter, made once per process and configuration."""
        return self.new_adapter()

    def new_adapter(self) -> Adapter[Any]:
        """An adapter of the caller's own, to be closed by it."""
        made = self.manifest.adapter_class()(self.config)
        made.tokens = self.tokens or made.tokens
        if self.database:
            made.pace = Budget(self.database, self.name, self.limits)
        return made

    @cached_property
    def receiver(self) -> WebhookReceiver[Any]:
        """The webhook receiver."""
        made = self.manifest.receiver_class()(self.config)
        made.learned = self.learned
        return made

    @cached_property
    def desk(self) -> Desk[Any] | None:
        """Who answers people that ask for a customer in its chats."""
        return self.manifest.desk_class()(self.config) if self.manifest.desk else None

    @cached_property
    def panel(self) -> Panel | None:
        """The page that shows the card in its desk; None without a desk."""
        if not self.manifest.panel and not self.own.frame_origins:
            return None
        return self.manifest.panel_class()(lambda: self.adapter)

    @property
    def parser(self) -> WebhookReceiver[Any] | Adapter[Any]:
        """Who reads stored events: the receiver, or the adapter of a vendor that only listens."""
        return self.receiver if self.manifest.webhook else self.adapter

    @property
    def listens(self) -> bool:
        """Whether a line of our own receives its events.

        Raises:
            ConfigError: it is told to, and its vendor offers none.
        """
        if not self.own.listen:
            return False
        if self.manifest.adapter and "listen" in capabilities(self.manifest.adapter_class()):
            return True
        raise ConfigError(
            f"connection {self.name}: {self.manifest.name} offers no line of its own",
            hint="Take out `listen`; see docs/adapters/README.md for those that do.",
        )

    @cached_property
    def mappings(self) -> dict[str, Spec]:
        """The mappings by stream: the one a person chose, else the file with its overlay.

        Raises:
            MappingSpecError: one of them is wrong; says where.
        """
        overlays = settings_path().parent / "overlays" / self.name
        files = {s: p for s, p in self.manifest.mapping_files().items() if s not in self.chosen}
        found = {stream: _load_mapping(path, overlays) for stream, path in files.items()}
        for one in self._described:
            if one.stream.name not in self.chosen:
                found |= _described_mapping(one, self.manifest.name, overlays)
        for stream, text in self.chosen.items():
            found[stream] = _loaded(text, name=f"{self.name}/{stream} as chosen")
        return found

    def mapping(self, stream: str) -> Spec:
        """The mapping of one stream.

        Raises:
            ConfigError: there is none.
        """
        found = self.mappings.get(stream)
        if found is None:
            raise ConfigError(
                f"there is no mapping for {self.name}/{stream}",
                hint=f"{self.name} has: {', '.join(self.mappings)}",
            )
        return found

    @cached_property
    def streams(self) -> dict[str, Stream]:
        """What can be pulled or written, by name."""
        if self.manifest.adapter is None:
            return {}
        declared = (
            *self.manifest.adapter_class().streams,
            *(one.stream for one in self._described),
        )
        if self.own.overlap_s is not None:
            declared = tuple(replace(s, overlap_s=self.own.overlap_s) for s in declared)
        return {stream.name: stream for stream in declared}

    @cached_property
    def _described(self) -> tuple[Described, ...]:
        if self.manifest.config_class().described is ConnectionConfig.described:
            return ()  # so that its streams are known although its config may be incomplete
        return tuple(self.config.described())

    def can(self, verb: str, stream: str) -> bool:
        """Whether its adapter offers a verb for a stream."""
        if self.manifest.adapter is None:
            return False
        without = {v for d in self._described if d.stream.name == stream for v in d.without}
        return verb in {*capabilities(type(self.adapter))} - without

    def takes(self, stream: Stream) -> bool:
        """Whether this connection was given what it takes to write to the stream.

        Asked by processes that need not have its credentials, so only of adapters that tell.
        """
        if self.manifest.adapter_class().takes is Adapter.takes:
            return stream.writable
        return self.adapter.takes(stream)

    @property
    def region(self) -> str:
        """Country of phone numbers written without a country code."""
        return self.config.region

    @property
    def pulled(self) -> list[str]:
        """The streams that are pulled.

        Raises:
            ConfigError: its configuration is wrong.
        """
        found = [stream for stream in self.streams.values() if stream.name in self.mappings]
        return [stream.name for stream in found if self.adapter.reads(stream)]

    def every_s(self, stream: str) -> float:
        """How often a stream is pulled, in seconds."""
        return self.own.every_s or self.streams[stream].every_s

    def fresh_s(self, stream: str) -> float:
        """How old a certificate of a stream may be, in seconds."""
        own = self.own.fresh_s
        return self.streams[stream].fresh_s if own is None else own

    @property
    def limits(self) -> Limits:
        """How often the vendor may be asked."""
        return Limits(self.own.requests_per_s or self._described_pace, self.own.requests_per_day)

    @property
    def _described_pace(self) -> float | None:
        if self.manifest.config_class().pace_per_s is ConnectionConfig.pace_per_s:
            return None
        with suppress(ConfigError):  # told by whoever needs the config
            return self.config.pace_per_s()
        return None


class Registry:
    """The connections of one installation, as the database has them now.

    What was read is kept for ``FRESH_S``, and while it is read anew for ``STALE_S``. A connection
    whose configuration did not change stays the same object, with its sockets and sessions.
    """

    FRESH_S = 1.0
    STALE_S = WAIT_S = 5.0

    def __init__(self, database: Database, vault: Vault) -> None:
        self.database, self.vault = database, vault
        self._lock = threading.Lock()
        self._live: dict[str, Live] = {}
        self._read_at = float("-inf")
        self._change: object = None

    def all(self) -> dict[str, Live]:
        """Every connection by name.

        One caller reads them anew; meanwhile the others go on with what is known.

        Raises:
            StoreError: they cannot be read.
        """
        if self._age_s > self.FRESH_S:
            known = self._age_s < self.STALE_S
            if self._lock.acquire(timeout=0 if known else self.WAIT_S):
                try:
                    if self._age_s > self.FRESH_S:
                        self._refresh()
                finally:
                    self._lock.release()
            elif not known:
                raise StoreError("the connections cannot be read now")
        return self._live

    @property
    def _age_s(self) -> float:
        return time.monotonic() - self._read_at

    def get(self, name: str) -> Live:
        """One connection.

        Raises:
            ConfigError: there is none of that name.
        """
        found = self.all().get(name)
        if found is None:
            known = ", ".join(self._live) or "none yet"
            raise ConfigError(f'there is no connection "{name}"', hint=f"Known: {known}")
        return found

    def forget(self) -> None:
        """Read the connections again at the next question."""
        with self._lock:
            self._read_at, self._change = float("-inf"), None

    def _refresh(self) -> None:
        with self.database.read() as conn:
            change = connections.newest_change(conn)
            if change != self._change:
                stored = connections.every(conn, self.vault)
                texts = mappings.texts_in_use(conn)
                self._live = {
                    name: self._same(
                        Live(
                            name,
                            manifest(row.adapter),
                            row.config,
                            self._tokens(name),
                            _of(name, texts),
                            row.learned,
                            self.database,
                        )
                    )
                    for name, row in stored.items()
                    if row.adapter in manifests()
                }
                self._change = change
        self._read_at = time.monotonic()

    def _tokens(self, name: str) -> Credentials:
        return Credentials(self.database, self.vault, name)

    def _same(self, live: Live) -> Live:
        had = self._live.get(live.name)
        return had if had == live else live


def _of(connection: str, texts: Mapping[mappings.Place, str]) -> dict[str, str]:
    return {stream: text for (owner, stream), text in texts.items() if owner == connection}


def _from_env(value: Any, connection: str) -> Any:
    if isinstance(value, str) and value.startswith("env:"):
        name = value.removeprefix("env:")
        if name not in os.environ:
            raise ConfigError(
                f"connection {connection}: the environment variable {name} is not set",
                hint=f"Set {name}, or write the value into settings.toml.",
            )
        return os.environ[name]
    if isinstance(value, Mapping):
        return {key: _from_env(item, connection) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_from_env(item, connection) for item in value]
    return value


def _secrets_in(value: Any) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield from filter(None, [value.get_secret_value()])
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _secrets_in(item)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for item in value:
            yield from _secrets_in(item)


def _faults(exc: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, e['loc'])) or 'config'}: {e['msg']}" for e in exc.errors()
    )


def _described_mapping(one: Described, vendor: str, overlays: Path) -> dict[str, Spec]:
    """The mapping of a described stream by its name; none when nobody has written it yet."""
    overlay = overlays / f"{one.stream.name}.yaml"
    text, name = one.mapping, one.place or f"{vendor}/{one.stream.name} as described"
    own = overlay.read_text("utf-8") if overlay.is_file() else None
    if not text and own is None:
        return {}
    whole = {"overlay": own, "overlay_name": f"overlays/{overlays.name}/{overlay.name}"}
    if not text:
        return {one.stream.name: _loaded(own or "", name=whole["overlay_name"])}
    return {one.stream.name: _loaded(text, name=name, **(whole if own is not None else {}))}


def _load_mapping(path: Path, overlays: Path) -> Spec:
    overlay = overlays / path.name
    name = f"mappings/{path.parent.name}/{path.name}"
    if not overlay.is_file():
        return _loaded(path.read_text("utf-8"), name=name)
    return _loaded(
        path.read_text("utf-8"),
        name=name,
        overlay=overlay.read_text("utf-8"),
        overlay_name=f"overlays/{overlays.name}/{overlay.name}",
    )
