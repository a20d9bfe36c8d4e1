"""What somebody sent: read from a form or JSON, and held against what was asked."""

from __future__ import annotations

import base64
import mimetypes
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import PurePath
from typing import Any

import orjson
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from adapters.form.design import Form, Question
from hub.sdk import HookRequest

PARTS_MAX = 200
MEMORY_MAX_BYTES = 1024 * 1024
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PHONE = re.compile(r"\+?[\d\s().-]{5,25}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Sent:
    """One file."""

    name: str
    content: bytes

    @property
    def ending(self) -> str:
        """Such as ``.png``."""
        return PurePath(self.name).suffix.lower()

    def row(self) -> dict[str, Any]:
        """As it is stored; what it is tells its ending, not who sent it."""
        return {
            "name": self.name,
            "content_type": mimetypes.guess_type(self.name)[0] or "application/octet-stream",
            "size_bytes": len(self.content),
            "content": base64.b64encode(self.content).decode(),
        }


@dataclass(frozen=True, slots=True)
class Entry:
    """What was typed, by question; ``more`` is what the page adds by itself."""

    values: Mapping[str, str]
    files: Mapping[str, Sequence[Sent]] = field(default_factory=dict)
    more: Mapping[str, str] = field(default_factory=dict)


def read_entry(request: HookRequest, form: Form) -> Entry:
    """What a request brings.

    Raises:
        ValueError: it cannot be read.
    """
    mimetype, options = parse_options_header(request.headers.get("content-type", ""))
    asked = {question.name for question in form.questions}
    if mimetype == "application/json" or "authorization" in request.headers:  # an app
        return _from_json(orjson.loads(request.body), asked)
    parser = FormDataParser(
        stream_factory=lambda *_, **__: BytesIO(),  # the whole body is in memory already
        max_form_memory_size=MEMORY_MAX_BYTES,
        max_form_parts=PARTS_MAX,
        silent=False,
    )
    try:
        _, fields, files = parser.parse(BytesIO(request.body), mimetype, len(request.body), options)
    except RequestEntityTooLarge as exc:
        raise ValueError("more than a form holds") from exc
    found: dict[str, list[Sent]] = {}
    for name, upload in files.items(multi=True):
        content = upload.read()
        if upload.filename and content and name in asked:
            found.setdefault(name, []).append(Sent(_plain(upload.filename), content))
    values = {name: value.strip() for name, value in fields.items()}
    return Entry(_only(values, asked), found, _without(values, asked))


def faults_of(entry: Entry, form: Form) -> dict[str, str]:
    """What is wrong, by question: a word of ``page.FAULTS``."""
    found = {}
    for question in form.questions:
        value = entry.values.get(question.name, "")
        files = entry.files.get(question.name, ())
        if fault := next(_faults(question, value, files), None):
            found[question.name] = fault
    return found


def _faults(question: Question, value: str, files: Sequence[Sent]) -> Iterator[str]:
    if question.required and not (files if question.kind == "file" else value):
        yield "tick" if question.kind == "checkbox" else "required"
    if len(value) > question.max_length:
        yield "long"
    if value and not _FITS.get(question.kind, lambda *_: True)(value, question):
        yield question.kind
    if len(files) > question.max_files:
        yield "files"
    if any(file.ending not in question.accept for file in files):
        yield "ending"
    if any(len(file.content) > question.max_bytes for file in files):
        yield "large"


_FITS: Mapping[str, Any] = {
    "email": lambda value, _: bool(_EMAIL.fullmatch(value)),
    "phone": lambda value, _: bool(_PHONE.fullmatch(value)),
    "date": lambda value, _: bool(_DAY.fullmatch(value)),
    "select": lambda value, question: value in question.options,
    "file": lambda *_: False,  # text where a file belongs
}


def _from_json(told: Any, asked: set[str]) -> Entry:
    if not isinstance(told, dict) or not isinstance(told.get("values"), dict):
        raise TypeError('the body is {"values": {…}}')
    values = {str(k): _word(v) for k, v in told["values"].items()}
    if unknown := values.keys() - asked:
        raise ValueError(f"not asked for: {', '.join(sorted(unknown))[:200]}")
    sent_files = told.get("files") or {}
    if not isinstance(sent_files, dict):
        raise TypeError("files go by question")
    files = {
        str(name): [Sent(_plain(str(f["name"])), base64.b64decode(f["content"])) for f in sent]
        for name, sent in sent_files.items()
        if name in asked
    }
    more = {str(k): str(v) for k, v in told.items() if k not in ("values", "files")}
    return Entry(values, files, more)


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    return "" if value is None else str(value).strip()


def _plain(name: str) -> str:
    """The name without a path, however the sender writes one, nor what hides a part of it."""
    seen = filter(str.isprintable, re.split(r"[\\/]", name)[-1])
    return "".join(seen)[:120] or "file"


def _only(values: Mapping[str, str], asked: set[str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name in asked}


def _without(values: Mapping[str, str], asked: set[str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name not in asked}
