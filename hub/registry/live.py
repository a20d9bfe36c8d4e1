"""Connections ready to use, as the database has them now."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hub import mapping
from hub.errors import ConfigError
from hub.mapping import Mapping as Spec
from hub.registry.manifests import Manifest, manifest, manifests
from hub.sdk import Adapter, ConnectionConfig, Stream, WebhookReceiver
from hub.settings import settings_path
from hub.store import connections
from hub.store.crypto import Vault
from hub.store.db import Database

_loaded = lru_cache(maxsize=256)(mapping.load)
"""Many connections share a mapping, and the same text gives the same mapping."""

RESERVED = frozenset({"adapter", "every_s"})
"""Keys of a connection that are the hub's own, not the adapter's."""


@dataclass(frozen=True)
class Live:
    """One connection, ready to use; its parts are made when first asked for."""

    name: str
    manifest: Manifest
    settings: Mapping[str, Any]

    @cached_property
    def config(self) -> ConnectionConfig:
        """The validated config, ``env:NAME`` looked up now.

        Raises:
            ConfigError: it is incomplete or wrong.
        """
        given = {key: value for key, value in self.settings.items() if key not in RESERVED}
        try:
            return self.manifest.config_class().model_validate(_from_env(given, self.name))
        except ValidationError as exc:
            raise ConfigError(
                f"connection {self.name}: {_faults(exc)}",
                hint=f"See docs/adapters/{self.manifest.name}.md for its fields.",
            ) from exc

    @cached_property
    def adapter(self) -> Adapter[Any]:
        """The adapter, made once per process and configuration."""
        return self.manifest.adapter_class()(self.config)

    @cached_property
    def receiver(self) -> WebhookReceiver[Any]:
        """The webhook receiver."""
        return self.manifest.receiver_class()(self.config)

    @cached_property
    def mappings(self) -> dict[str, Spec]:
        """The mappings by stream, overlays of this connection laid over them.

        Raises:
            MappingSpecError: one of them is wrong; says where.
        """
        overlays = settings_path().parent / "overlays" / self.name
        files = self.manifest.mapping_files()
        return {stream: _load_mapping(path, overlays) for stream, path in files.items()}

    @cached_property
    def streams(self) -> dict[str, Stream]:
        """What can be pulled or written, by name."""
        if self.manifest.adapter is None:
            return {}
        return {stream.name: stream for stream in self.manifest.adapter_class().streams}

    @property
    def region(self) -> str:
        """Country of phone numbers written without a country code."""
        return self.config.region

    def every_s(self, stream: str) -> float:
        """How often a stream is pulled, in seconds."""
        return float(self.settings.get("every_s", self.streams[stream].every_s))


class Registry:
    """The connections of one installation, as the database has them now.

    What was read is kept for ``FRESH_S``; a connection whose configuration did not change stays the
    same object, with its sockets and sessions.
    """

    FRESH_S = 1.0

    def __init__(self, database: Database, vault: Vault) -> None:
        self.database, self.vault = database, vault
        self._lock = threading.Lock()
        self._live: dict[str, Live] = {}
        self._read_at = float("-inf")
        self._change: object = None

    def all(self) -> dict[str, Live]:
        """Every connection by name."""
        with self._lock:
            if time.monotonic() - self._read_at > self.FRESH_S:
                self._refresh()
            return self._live

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
                self._live = {
                    name: self._same(Live(name, manifest(row.adapter), row.config))
                    for name, row in stored.items()
                    if row.adapter in manifests()
                }
                self._change = change
        self._read_at = time.monotonic()

    def _same(self, live: Live) -> Live:
        had = self._live.get(live.name)
        return had if had == live else live


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


def _faults(exc: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, e['loc'])) or 'config'}: {e['msg']}" for e in exc.errors()
    )


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
