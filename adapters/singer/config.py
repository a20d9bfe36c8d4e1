"""What a connection to a tap is told: the program, its own config, and which streams of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from hub.sdk import ConnectionConfig, Described, SitePath, Stream


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class Tapped(BaseModel):
    """One stream of a tap."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    tap_stream: str = Field(default="", description="Its name in the tap's catalog, if another")
    key: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = Field(
        default=(), description="Properties that name a row; else what the tap says"
    )
    replication: Literal["", "FULL_TABLE", "INCREMENTAL", "LOG_BASED"] = Field(
        default="", description="How the tap reads it; else what the tap thinks best"
    )
    replication_key: str = Field(default="", description="Property that grows with each change")
    leave_out: tuple[str, ...] = Field(default=(), description="Properties that are not read")
    whole: bool = Field(
        default=True, description="A read from the beginning gives all: what it lacks was deleted"
    )
    every_s: float = Field(default=900, gt=0, description="How often the tap is run")
    fresh_s: float = Field(default=24 * 3600, ge=0, description="How old a certificate may be")


class SingerConfig(ConnectionConfig):
    command: tuple[str, ...] = Field(
        min_length=1,
        description="The program and its arguments",
        examples=[["/opt/taps/tap-github/bin/tap-github"]],
    )
    tap_config: dict[str, Any] = Field(default={}, description="The tap's own config, no secrets")
    secrets: dict[str, SecretStr] = Field(
        default={},
        description="Secrets of its config by name; a dot leads into a table: auth.token",
        examples=[{"password": "canary-tap-secret"}],
    )
    environment: dict[str, str] = Field(
        default={}, description="Variables for it; those of the hub it does not get"
    )
    catalog: SitePath | None = Field(
        default=None, description="Its catalog as a file, if it cannot discover one"
    )
    catalog_option: str = Field(
        default="--catalog",
        pattern=r"^--[a-z-]+$",
        description="How it is handed the catalog; older taps want --properties",
    )
    streams: dict[str, Tapped] = Field(default={}, description="Streams to read, by name")
    page_size: int = Field(default=500, ge=1, le=5000, description="Rows per page")
    quiet_s: float = Field(default=600, gt=0, description="It is ended when silent for so long")

    def described(self) -> Sequence[Described]:
        return [
            Described(Stream(name, every_s=told.every_s, fresh_s=told.fresh_s, whole=told.whole))
            for name, told in self.streams.items()
        ]
