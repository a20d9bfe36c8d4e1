"""Adapters by their manifests; code is loaded when it is used."""

from __future__ import annotations

import importlib
import tomllib
from datetime import date
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hub.errors import ConfigError
from hub.sdk import Adapter, ConnectionConfig, Desk, Panel, WebhookReceiver, config_class

ROOT = Path(__file__).resolve().parent.parent.parent


class Manifest(BaseModel):
    """What an adapter's ``manifest.toml`` says.

    Attributes:
        cursor: in a few words how a pull goes on, such as ``updated_at, id``.
        sdk: the vendor's own client for Python, by its import name; tests compare ours with it.
        exempt: rules of ``hub.sdk.vendor`` that do not fit it, each with the reason.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    title_zh: str
    owner: str
    docs: str
    api_version: str
    checked_on: date
    adapter: str | None = None
    webhook: str | None = None
    desk: str | None = None
    panel: str | None = None
    cursor: str = ""
    sdk: str = ""
    exempt: dict[str, str] = Field(default_factory=dict)
    folder: Path

    def adapter_class(self) -> type[Adapter[Any]]:
        """The class that pulls and pushes.

        Raises:
            ConfigError: this vendor has none, or it cannot be loaded.
        """
        return cast("type[Adapter[Any]]", _load(self, self.adapter, "adapter"))

    def receiver_class(self) -> type[WebhookReceiver[Any]]:
        """The class that opens webhooks.

        Raises:
            ConfigError: this vendor has none, or it cannot be loaded.
        """
        return cast("type[WebhookReceiver[Any]]", _load(self, self.webhook, "webhook"))

    def desk_class(self) -> type[Desk[Any]]:
        """The class that answers people in chats.

        Raises:
            ConfigError: this vendor has none, or it cannot be loaded.
        """
        return cast("type[Desk[Any]]", _load(self, self.desk, "desk"))

    def panel_class(self) -> type[Panel]:
        """The class behind the page that shows the card in the vendor's desk."""
        return cast("type[Panel]", _load(self, self.panel, "panel")) if self.panel else Panel

    def config_class(self) -> type[ConnectionConfig]:
        """What a connection of this vendor is configured with."""
        owner = self.adapter_class() if self.adapter else self.receiver_class()
        return config_class(owner)

    def mapping_files(self) -> dict[str, Path]:
        """The shipped mappings, by stream."""
        shipped = ROOT / "mappings" / self.name
        folder = shipped if shipped.is_dir() else self.folder / "mappings"
        return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


@cache
def manifests() -> dict[str, Manifest]:
    """Every adapter found, by name: the checkout's own, then those other packages register."""
    folders = sorted(path.parent for path in (ROOT / "adapters").glob("*/manifest.toml"))
    for entry in entry_points(group="hub.adapters"):
        module = importlib.import_module(entry.value)
        folders += [Path(path) for path in module.__path__]
    found = [_read(folder) for folder in folders]
    return {manifest.name: manifest for manifest in found}


def manifest(name: str) -> Manifest:
    """The manifest of one adapter.

    Raises:
        ConfigError: there is none of that name.
    """
    found = manifests().get(name)
    if found is None:
        known = ", ".join(manifests())
        raise ConfigError(f'there is no adapter "{name}"', hint=f"Known adapters: {known}")
    return found


def _read(folder: Path) -> Manifest:
    path = folder / "manifest.toml"
    try:
        return Manifest(folder=folder, **tomllib.loads(path.read_text("utf-8")))
    except (tomllib.TOMLDecodeError, ValidationError) as exc:
        raise ConfigError(f"{path} is not a valid manifest: {exc}") from exc


def _load(of: Manifest, target: str | None, what: str) -> object:
    if target is None:
        raise ConfigError(f'the adapter "{of.name}" has no {what}')
    module, _, name = target.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as exc:
        raise ConfigError(
            f"{of.folder.name}/manifest.toml names {target}, which cannot be loaded"
        ) from exc
