"""What a connection to a database is told: where it is, and which tables are streams."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from adapters.sql.kinds import KINDS
from hub.sdk import ConfigError, ConnectionConfig, Described, SitePath, Stream, zone_of

PROFILES = Path(__file__).parent / "profiles"

SCANNED_EVERY_S = 900.0
"""For a table that tells nobody what changed in it, and so is read as a whole each time."""


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Columns = Annotated[tuple[str, ...], BeforeValidator(_as_list)]
"""Names of columns; one may be written alone."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Children(_Part):
    """Rows of another table that belong to a row, such as the lines of an order."""

    table: str = Field(description="Their table")
    schema_: str = Field(default="", alias="schema", description="Its schema")
    column: str = Field(description="The column of theirs that names the row they belong to")
    parent: str = Field(description="The column of the row that is named by it")
    order: Columns = Field(default=(), description="Columns they are sorted by")
    columns: Columns = Field(default=(), description="Only these columns of them")


class Table(_Part):
    """One stream."""

    table: str = Field(default="", description="Table or view")
    schema_: str = Field(default="", alias="schema", description="Its schema")
    query: str = Field(default="", description="A SELECT of your own instead of a table")
    key: Columns = Field(min_length=1, description="Column or columns that name a row: unique")
    modified: Columns = Field(
        default=(),
        description="Column that says when a row was last changed; with several, the first that "
        "is not NULL. None: every row is read each time",
    )
    zone: str = Field(default="", description="Time zone of that column, if it is another one")
    columns: Columns = Field(default=(), description="Only these columns, besides those above")
    where: str = Field(default="", description="A condition in SQL: only these rows")
    children: dict[str, Children] = Field(default={}, description="Rows that come with each row")
    writable: bool = Field(default=False, description="The hub may insert and update rows")
    marker: str = Field(
        default="", description="A text column that is ours: by it a new row is found again"
    )
    every_s: float | None = Field(default=None, gt=0, description="How often it is read")
    fresh_s: float = Field(default=24 * 3600, ge=0, description="How old a certificate may be")
    overlap_s: float = Field(default=300, ge=0, description="How late a change may be visible")
    whole: bool = Field(default=True, description="A row that is missing was deleted")
    mapping: str = Field(default="", description="For profiles: the file of its mapping")

    @model_validator(mode="after")
    def _is_one_thing(self) -> Table:
        if bool(self.table) == bool(self.query):
            raise ValueError("give either a table or a query")
        if self.writable and self.query:
            raise ValueError("a query cannot be written to")
        return self

    @field_validator("zone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        return _zone(name)


def _zone(name: str) -> str:
    try:
        zone_of(name or "UTC")
    except (LookupError, ValueError, OSError) as exc:
        raise ValueError(f"{name!r} is no time zone, such as Asia/Shanghai") from exc
    return name


class SqlConfig(ConnectionConfig):
    url: str = Field(
        description="Address of the database, without the password",
        examples=["mysql://hub@db.example.org:3306/shop"],
    )
    password: SecretStr | None = Field(default=None, description="Password of that account")
    file: SitePath | None = Field(default=None, description='SQLite\'s file; then url = "sqlite:"')
    zone: str = Field(
        default="", description="Time zone of times that name none, such as Asia/Shanghai"
    )
    profile: str = Field(default="", description="Tables the hub knows already: yonyou_u8")
    streams: dict[str, Table] = Field(
        default={}, description="Tables to read, each under the name of its stream"
    )
    leave_out: tuple[str, ...] = Field(
        default=(), description="Streams of the profile that are not wanted"
    )
    page_size: int = Field(default=500, ge=1, le=2000, description="Rows per query")
    timeout_s: float = Field(default=120, gt=0, description="Longest time a query may take")

    @field_validator("zone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        return _zone(name)

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        if url.rstrip("/") == "sqlite:":
            return "sqlite://"
        try:
            found = make_url(url)
        except (ArgumentError, ValueError) as exc:
            raise ValueError("this is no address like mysql://user@host/database") from exc
        kind = KINDS.get(found.drivername)
        if kind is None or found.drivername == "sqlite":
            raise ValueError(f"known are: {', '.join(KINDS)}; for SQLite give file")
        if found.password is not None:
            raise ValueError("write the password into password, not into the address")
        if not found.host:
            raise ValueError("the address names no host")
        if unknown := found.query.keys() - kind.options:
            known = ", ".join(sorted(kind.options))
            raise ValueError(f"unknown option {', '.join(sorted(unknown))}; known: {known}")
        return url

    @model_validator(mode="after")
    def _has_a_file(self) -> SqlConfig:
        if (self.url == "sqlite://") != (self.file is not None):
            raise ValueError('a file goes with url = "sqlite:", and that needs one')
        return self

    def tables(self) -> Mapping[str, Table]:
        """Every stream with its table: those of the profile, and those of one's own."""
        return {name: table for name, (table, _) in self._known().items()}

    def described(self) -> Sequence[Described]:
        return [
            Described(_stream(name, table), mapping, () if table.writable else ("find",))
            for name, (table, mapping) in self._known().items()
        ]

    def _known(self) -> dict[str, tuple[Table, str]]:
        known = _profile(self.profile) if self.profile else {}
        wanted = {name: told for name, told in known.items() if name not in self.leave_out}
        return {**wanted, **{name: (table, "") for name, table in self.streams.items()}}


def _stream(name: str, table: Table) -> Stream:
    return Stream(
        name,
        writable=table.writable,
        every_s=table.every_s or (60.0 if table.modified else SCANNED_EVERY_S),
        fresh_s=table.fresh_s,
        overlap_s=table.overlap_s,
        whole=table.whole,
    )


def _profile(name: str) -> dict[str, tuple[Table, str]]:
    folder = PROFILES / name
    known = sorted(path.name for path in PROFILES.iterdir() if path.is_dir())
    if name not in known:
        raise ConfigError(f'there is no profile "{name}"', hint=f"Known: {', '.join(known)}")
    told = tomllib.loads((folder / "profile.toml").read_text("utf-8"))["streams"]
    try:
        tables = {stream: Table.model_validate(given) for stream, given in told.items()}
    except ValidationError as exc:
        raise ConfigError(f"the profile {name} is wrong: {exc}") from exc
    return {
        stream: (table, (folder / table.mapping).read_text("utf-8"))
        for stream, table in tables.items()
    }
