"""What every command needs: an open hub, tables for people, JSON for machines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from io import TextIOBase
from typing import Any, NoReturn, TextIO, TypeVar
from zoneinfo import ZoneInfo

import click
import orjson
from rich.console import Console
from rich.table import Table

from hub import log
from hub.errors import ConfigError, HubError
from hub.profiles.mask import mask_text, masked
from hub.registry import Hub, open_hub
from hub.settings import settings
from hub.store.migrate import is_current

F = TypeVar("F", bound=Callable[..., Any])

PIPED_WIDTH = 200
"""A pipe has no width of its own, and lines that are cut help no program behind it."""

out = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True)


class Masked(TextIOBase):
    """Standard output without phones and mail addresses; JSON is masked before it is written."""

    encoding = "utf-8"

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.buffer = stream.buffer

    def write(self, text: str) -> int:
        return self._stream.write(mask_text(text))

    def flush(self) -> None:
        self._stream.flush()


def hides() -> bool:
    """Whether phones and mail addresses are hidden in what is printed."""
    return isinstance(sys.stdout, Masked)


class Instant(click.ParamType[datetime]):
    """A day or an instant in ISO 8601; without an offset, in the time zone of the settings."""

    name = "instant"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f'"{value}" is no day and no instant, such as 2026-03-01', param, ctx)
        return at if at.tzinfo else at.replace(tzinfo=ZoneInfo(settings().timezone))


def fail(exc: HubError) -> NoReturn:
    """Say what is wrong and what to do, and exit 1."""
    err.print(f"[red]✗[/red] {plain(str(exc))}", highlight=False, soft_wrap=True)
    if exc.hint:
        err.print(f"  → {plain(exc.hint)}", highlight=False, soft_wrap=True)
    sys.exit(1)


def plain(text: str) -> str:
    """The text, with nothing in it taken for a style."""
    return text.replace("[", "\\[")


@contextmanager
def opened(*, current: bool = True) -> Iterator[Hub]:
    """This installation; its schema must be current unless the command is what brings it there."""
    chosen = settings()
    log.configure("WARNING", chosen.log_format)
    hub = open_hub(chosen)
    try:
        if current:
            with hub.database.read() as conn:
                if not is_current(conn):
                    raise ConfigError("the database has no current schema", hint="Run: hub apply")
        yield hub
    finally:
        hub.close()


def json_option(command: F) -> F:
    """Adds ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def show(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """A list, as a table or as JSON."""
    if as_json:
        show_json(list(rows))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    out.print(table if rows else "[dim]nothing here[/dim]")


def show_json(value: Any) -> None:
    """The value as JSON on standard output."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS  # SQLAlchemy's names extend str
    told = orjson.dumps(value, default=_default, option=options)
    if hides():
        told = orjson.dumps(masked(orjson.loads(told)), option=options)
    sys.stdout.buffer.write(told + b"\n")
    sys.stdout.flush()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return plain(str(value))


def _default(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)
