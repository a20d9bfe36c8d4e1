"""CSV, Excel and JSONL as rows, and rows as such files.

A row that cannot be read is given all the same, without a key, as ``_error``, ``_file``, ``_row``
and what of it is known: the hub lays it aside, and its neighbours go on.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, BinaryIO
from zipfile import BadZipFile

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from adapters.file.config import Files, Format
from hub.sdk import Raw, id_of, plain

FIELD_MAX = 16 * 1024 * 1024
SHOWN_MAX = 2000
BLOCK = 1024 * 1024
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
REPLACED = "\ufffd"
DELIMITERS = ",;\t|"

csv.field_size_limit(FIELD_MAX)


class UnreadableError(Exception):
    """Nothing in this file can be read."""


def rows(file: BinaryIO, format_: Format, told: Files, name: str) -> Generator[Raw, None, None]:
    """The rows of a file, each with ``_id``; the same rows in the same order every time."""
    read = {"csv": _csv, "xlsx": _xlsx, "jsonl": _jsonl}[format_]
    try:
        for number, row in read(file, told):
            if isinstance(row, str):
                yield {"_error": row[:SHOWN_MAX], "_file": name, "_row": number}
            elif not told.key:
                yield row
            elif id_ := id_of([row.get(column) for column in told.key]):
                yield {**row, "_id": id_}
            else:
                shown = json.dumps(row, ensure_ascii=False)[:SHOWN_MAX]
                yield {"_error": f"no key: {shown}", "_file": name, "_row": number}
    except (UnreadableError, BadZipFile, InvalidFileException, KeyError, UnicodeError) as exc:
        yield {"_error": f"the file cannot be read: {exc}"[:SHOWN_MAX], "_file": name, "_row": 0}


Numbered = Iterator[tuple[int, Raw | str]]
"""Rows by number, or in place of one why it is none."""


def _csv(file: BinaryIO, told: Files) -> Numbered:
    encoding, is_broken = (told.encoding, True) if told.encoding else _encoding(file)
    file.seek(0)
    text = io.TextIOWrapper(file, encoding, errors="replace", newline="")
    try:
        delimiter = told.delimiter or _delimiter(text, told.header)
        text.seek(0)
        reader = csv.reader(text, delimiter=delimiter, quotechar=told.quote, strict=True)
        yield from _tabled(_lines(reader), told, is_broken=is_broken)
    finally:
        text.detach()  # else it would close the file


def _lines(reader: Iterator[list[str]]) -> Iterator[Sequence[Any] | str]:
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            yield f"not CSV: {exc}"


def _tabled(
    lines: Iterable[Sequence[Any] | str], told: Files, *, is_broken: bool = False
) -> Numbered:
    """Rows under the names of their columns."""
    names: list[str] = list(told.columns) if told.header == 0 else []
    for number, cells in enumerate(lines, start=1):
        if number < told.header:
            continue
        if number == told.header:
            names = _header(cells, told)
        elif isinstance(cells, str):
            yield number, cells
        elif any(cell not in (None, "") for cell in cells):
            yield number, _row(names, cells, is_broken=is_broken)
    if not names:
        raise UnreadableError(f"there is no header in row {told.header}")


def _header(cells: Sequence[Any] | str, told: Files) -> list[str]:
    if isinstance(cells, str):
        raise UnreadableError(cells)
    names: list[str] = []
    for at, cell in enumerate(cells, start=1):
        name = str("" if cell is None else cell).strip() or f"column_{at}"
        names.append(name if name not in names else f"{name}_{at}")
    if missing := [name for name in told.key if name not in names]:
        shown = ", ".join(names)[:200]
        raise UnreadableError(f"its header has no {', '.join(missing)}, but {shown}")
    return names


def _row(names: Sequence[str], cells: Sequence[Any], *, is_broken: bool) -> Raw | str:
    cells = list(cells)
    while len(cells) > len(names) and cells[-1] in (None, ""):
        cells.pop()
    if len(cells) != len(names):
        return f"{len(cells)} values under {len(names)} names: {cells}"
    if is_broken and any(isinstance(cell, str) and REPLACED in cell for cell in cells):
        return f"bytes that are no text: {cells}"
    return {name: plain(cell) for name, cell in zip(names, cells, strict=True)}


def _encoding(file: BinaryIO) -> tuple[str, bool]:
    """The encoding of a file, and whether it has bytes that are no text in it.

    What is not UTF-8 is GB18030, unless nearly all of it is UTF-8: then some of it is broken.
    """
    file.seek(0)
    start = file.read(4)
    for sign, name in BOMS:
        if start.startswith(sign):
            return name, True
    good, bad = _counted(file, "utf-8")
    if bad == 0:
        return "utf-8", False
    return ("utf-8", True) if good > 4 * bad else ("gb18030", True)


def _counted(file: BinaryIO, encoding: str) -> tuple[int, int]:
    """Characters beyond ASCII, and those that are none."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    good = bad = 0
    while block := file.read(BLOCK):
        text = decoder.decode(block)
        if not text.isascii():
            wrong = text.count(REPLACED)
            bad += wrong
            good += sum(char > "\x7f" for char in text) - wrong
    return good, bad + decoder.decode(b"", final=True).count(REPLACED)


def _delimiter(text: io.TextIOWrapper, header: int) -> str:
    """What separates the names of the header, outside quotes."""
    line = next(islice(text, max(header, 1) - 1, None), "")
    bare = "".join(line.split('"')[::2])
    return max(DELIMITERS, key=bare.count)


def _xlsx(file: BinaryIO, told: Files) -> Numbered:
    book = openpyxl.load_workbook(file, read_only=True, data_only=True)
    try:
        if told.sheet and told.sheet not in book.sheetnames:
            raise UnreadableError(f"it has no sheet {told.sheet}, but {', '.join(book.sheetnames)}")
        sheet = book[told.sheet or book.sheetnames[0]]
        sheet.reset_dimensions()  # what programs write there is often wrong
        width = 0
        lines: list[Any] = []

        def padded() -> Iterator[Sequence[Any]]:
            nonlocal width
            for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
                if number == told.header:
                    lines[:] = _trimmed(cells)
                    width = len(lines)
                    yield lines
                else:
                    yield [*cells, *[None] * (max(width, len(told.columns)) - len(cells))]

        yield from _tabled(padded(), told)
    finally:
        book.close()


def _trimmed(cells: Sequence[Any]) -> list[Any]:
    kept = list(cells)
    while kept and kept[-1] in (None, ""):
        kept.pop()
    return kept


def _jsonl(file: BinaryIO, _: Files) -> Numbered:
    file.seek(0)
    for number, line in enumerate(file, start=1):
        text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        if not text.strip():
            continue
        try:
            found = json.loads(text, parse_float=str)  # 0.10 stays 0.10
        except ValueError:
            shown = text[:SHOWN_MAX].decode("utf-8", "replace").strip()
            yield number, f"not JSON: {shown}"
            continue
        row = plain(found)
        yield number, row if isinstance(row, dict) else f"no object: {row!r}"


# Writing


def rendered(
    format_: Format, told: Files, columns: Sequence[str], found: Sequence[Mapping[str, Any]]
) -> bytes:
    """A file of these rows."""
    if format_ == "jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found).encode()
    if format_ == "xlsx":
        return _workbook(columns, found)
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=told.delimiter or ",", quotechar=told.quote)
    writer.writerow(columns)
    writer.writerows([row.get(name, "") for name in columns] for row in found)
    # With its mark Excel reads UTF-8 as such.
    return text.getvalue().encode(told.encoding or "utf-8-sig", "strict")


def _workbook(columns: Sequence[str], found: Sequence[Mapping[str, Any]]) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for at, row in enumerate([dict(zip(columns, columns, strict=True)), *found], start=1):
        for column, name in enumerate(columns, start=1):
            cell = sheet.cell(at, column, row.get(name))
            if isinstance(cell.value, str):
                cell.data_type = "s"  # "=1+1" is a text, never a formula
    body = io.BytesIO()
    book.save(body)
    book.close()
    return body.getvalue()
