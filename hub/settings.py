"""Typed settings from settings.toml, overridden by environment variables ``HUB_<NAME>``."""

from __future__ import annotations

import os
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from hub.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """What one installation is told.

    Attributes:
        state_dir: where embedded mode keeps its database and key.
        database_url: empty = SQLite in ``state_dir``.
        broker_url: ``memory://`` needs no service; else an AMQP or Redis address.
        queue_name: of the broker's queue; installations that share a broker must differ.
        secret_keys: base64 keys for secrets at rest, the one in use first; empty = a key file.
        public_url: the address people and vendors reach the web pages under.
        proxies: our own reverse proxies in front; their X-Forwarded-For is believed.
        card_frame_ancestors: who may frame a card opened by a signed link (CSP frame-ancestors).
        language, timezone: of people whose browser and account do not say.
        inbox_days, receipt_days: how long events keep headers and body once they are over, and how
            long they are still recognised after that; both may be said per connection.
        body_limit_bytes: how large a webhook may be; may be said per connection.
        disk_reserve_bytes: of the disk SQLite is on, but at most a twentieth of it: when less is
            free, webhooks are refused, so that the work on those taken can go on.
        event_days: how long subscribers may ask again for what they were told.
        api_requests_per_s: of one token, in each web process; ten seconds' worth at once; 0 = any.
        worker_threads: how many lanes and pulls one worker process runs at once.
        connections: by name; ``adapter`` plus that adapter's own fields.
        source_priority: connections whose values win on a profile, best first.
        rules: IF-THEN rules, in order.
        syncs: streams whose records are kept alike.
    """

    model_config = SettingsConfigDict(env_prefix="HUB_", extra="forbid")

    state_dir: Path = Path(".hub")
    database_url: str = Field(default="", repr=False)  # a password may be in it
    broker_url: str = Field(default="memory://", repr=False)
    queue_name: str = "hub"
    secret_keys: list[str] = Field(default_factory=list, repr=False)
    public_url: str = "http://127.0.0.1:8360"
    web_port: int = 8360
    hooks_port: int = 8361
    bind: str = "127.0.0.1"
    proxies: int = Field(default=0, ge=0)
    card_frame_ancestors: str = "'self'"
    language: str = Field(default="zh_CN", pattern=r"^(zh_CN|en)$")
    timezone: str = "Asia/Shanghai"
    worker_threads: int = Field(default=8, ge=1, le=64)
    body_limit_bytes: int = 1024 * 1024
    disk_reserve_bytes: int = Field(default=512 * 1024 * 1024, ge=0)
    history_days: int = Field(default=90, ge=1)
    inbox_days: int = Field(default=30, ge=1)
    receipt_days: int = Field(default=90, ge=1)
    event_days: int = Field(default=30, ge=1)
    api_requests_per_s: float = Field(default=100, ge=0)
    log_level: str = "INFO"
    log_format: str = Field(default="text", pattern=r"^(text|json)$")
    connections: dict[str, dict[str, Any]] = Field(default_factory=dict, repr=False)
    source_priority: list[str] = Field(default_factory=list)
    rules: list[dict[str, Any]] = Field(default_factory=list)
    syncs: list[dict[str, Any]] = Field(default_factory=list)

    @property
    def database(self) -> str:
        """The database's address, the embedded file by default."""
        return self.database_url or f"sqlite:///{self.state_dir.resolve()}/hub.db"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = TomlConfigSettingsSource(settings_cls, settings_path())
        return init_settings, env_settings, file


def settings_path() -> Path:
    """settings.toml of the folder we run in, or the file ``HUB_SETTINGS`` names."""
    return Path(os.environ.get("HUB_SETTINGS", "settings.toml"))


@cache
def settings() -> Settings:
    """This process's settings, read once.

    Raises:
        ConfigError: the file is not TOML, or says something we do not know.
    """
    path = settings_path()
    if "HUB_SETTINGS" in os.environ and not path.is_file():
        raise ConfigError(f"{path} does not exist", hint="HUB_SETTINGS names it.")
    try:
        return Settings()
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{path} is not valid TOML: {exc}", hint="Mend that line.") from exc
    except ValidationError as exc:
        raise ConfigError(
            _first_fault(exc, path), hint="See the comments in settings.toml."
        ) from exc


def _first_fault(exc: ValidationError, path: Path) -> str:
    faults = [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in exc.errors()]
    return f"{path}: " + "; ".join(faults)
