"""What a connection to files is told: where they lie, and which of them are streams."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from hub.sdk import ConnectionConfig, Described, SitePath, Stream

Format = Literal["csv", "xlsx", "jsonl"]
SUFFIXES: dict[str, Format] = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".xlsx": "xlsx", ".xlsm": "xlsx",
    ".jsonl": "jsonl", ".ndjson": "jsonl",
}  # fmt: skip


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Columns = Annotated[tuple[str, ...], BeforeValidator(_as_list)]


class Files(BaseModel):
    """One stream: files of one sort."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    pattern: str = Field(
        description="Which files: a folder, and a name with * and ?; such as in/customers-*.csv"
    )
    key: Columns = Field(min_length=1, description="Column or columns that name a row")
    format: Format | None = Field(default=None, description="csv, xlsx or jsonl; else by suffix")
    encoding: str = Field(default="", description="Of CSV; else UTF-8 or GB18030, as it fits")
    delimiter: str = Field(default="", max_length=1, description="Of CSV; else what the header has")
    quote: str = Field(default='"', min_length=1, max_length=1, description="Of CSV")
    header: int = Field(default=1, ge=0, description="Row with the names of columns; 0 = none")
    columns: Columns = Field(
        default=(), description="Names of columns where no row has them; and those written"
    )
    sheet: str = Field(default="", description="Of a workbook; else its first")
    whole: bool = Field(
        default=False,
        description="The newest file holds every row there is: a row it lacks was deleted",
    )
    write: str = Field(
        default="",
        description="Where rows are written: a file for each with {key}, or one a day with {date}",
    )
    every_s: float = Field(default=300, gt=0, description="How often new files are looked for")
    fresh_s: float = Field(default=24 * 3600, ge=0, description="How old a certificate may be")

    @model_validator(mode="after")
    def _is_complete(self) -> Files:
        if not self.format and PurePosixPath(self.pattern).suffix.lower() not in SUFFIXES:
            raise ValueError("say the format: the pattern does not end in one that is known")
        if self.header == 0 and not self.columns:
            raise ValueError("without a header, columns must name them")
        if self.write and format_of(self.write, self.format) != "jsonl" and not self.columns:
            raise ValueError("columns must say what a written row has, in which order")
        if self.write and "{key}" not in self.write and "{date}" not in self.write:
            raise ValueError("write needs {key} or {date}")
        return self

    @field_validator("pattern", "write")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        parts = PurePosixPath(path).parts
        if path.startswith("/") or ".." in parts or "\\" in path:
            raise ValueError("write it relative to the folder, with /")
        if any(sign in part for part in parts[:-1] for sign in "*?["):
            raise ValueError("only the name may have * and ?, not the folders")
        return path

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            return codecs.lookup(name).name if name else ""
        except LookupError as exc:
            raise ValueError(f"{name!r} is no encoding") from exc


def format_of(name: str, told: Format | None) -> Format:
    """The format of a file."""
    return told or SUFFIXES.get(PurePosixPath(name).suffix.lower(), "csv")


class FileConfig(ConnectionConfig):
    folder: SitePath | None = Field(default=None, description="A folder of this machine")
    sftp: str = Field(
        default="",
        pattern=r"^(sftp://[^@:/]+@[^/]+(/.*)?)?$",
        description="A folder of an SFTP server: sftp://user@host:22/outgoing",
    )
    bucket: str = Field(
        default="",
        pattern=r"^(https?://[^/@]+(/[^?#]*)?)?$",
        description="A bucket of an S3-compatible store, in whichever style it is addressed",
        examples=["https://s3.example.org/exports"],
    )
    password: SecretStr | None = Field(default=None, description="Of the SFTP account")
    private_key: SecretStr | None = Field(default=None, description="Of the SFTP account, as PEM")
    host_key: str = Field(
        default="", description="Of the SFTP server: its fingerprint SHA256:…, or its public key"
    )
    access_key: SecretStr | None = Field(default=None, description="Of the S3 account")
    secret_key: SecretStr | None = Field(default=None, description="Of the S3 account")
    s3_region: str = Field(default="us-east-1", description="Region the bucket's store signs for")
    streams: dict[str, Files] = Field(default={}, description="Files to read, by stream")
    settle_s: float = Field(
        default=10, ge=0, description="A file is read when it was left alone for so long"
    )
    size_max_mb: float = Field(default=1024, gt=0, description="Larger files are not read")
    page_size: int = Field(default=500, ge=1, le=5000, description="Rows per page")

    @model_validator(mode="after")
    def _is_one_place(self) -> FileConfig:
        if sum(map(bool, (self.folder, self.sftp, self.bucket))) != 1:
            raise ValueError("give one of folder, sftp and bucket")
        if self.sftp and (":" in (urlsplit(self.sftp).username or "")):
            raise ValueError("write the password into password, not into the address")
        if not self.folder:
            daily = [
                n for n, told in self.streams.items() if told.write and "{key}" not in told.write
            ]
            if daily:
                raise ValueError(f"{daily[0]}: only in a folder can rows share a file; use {{key}}")
        return self

    def described(self) -> Sequence[Described]:
        return [
            Described(
                Stream(
                    name,
                    writable=bool(told.write),
                    every_s=told.every_s,
                    fresh_s=told.fresh_s,
                    whole=told.whole,
                ),
                without=() if told.whole else ("survey",),
            )
            for name, told in self.streams.items()
        ]
