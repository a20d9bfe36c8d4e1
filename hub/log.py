"""Structured logs: constant message, facts beside it, personal data and secrets kept out."""

from __future__ import annotations

import contextvars
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson

_bound: contextvars.ContextVar[dict[str, Any]] = contextvars.ContextVar("bound", default={})  # noqa: B039 - never changed in place

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SECRETS = re.compile(
    r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}|whsec_[\w+/=]+"
    r"|(authorization[\"']?\s*[=:]\s*[\"']?)[^\"',;&]+"
    r"|((?:password|secret|token|key|verifier|[?&]code|[?&]state)[\"']?\s*[=:]\s*[\"']?)"
    r"[^\s\"',;&]+"
)
_MAIL = re.compile(r"[\w.+-]{1,64}@[\w-]+\.[\w.-]+")
_PHONE = re.compile(
    r"(?<![\w.:-])\+?\d[\d -]{8,15}\d(?![\w.:-])"
    # What is surely one, or a 身份证号, wherever it stands: phone:13800138000, users/1101….
    r"|(?<![\w.])(?:\+\d{8,15}|(?:86)?1[3-9]\d{9}|[1-9]\d{5}(?:19|20)\d\d[01]\d[0-3]\d{4}[\dXx])(?!\w)"
    r"|\(0\d{2,3}\) ?\d{3,4}[ -]?\d{4}(?!\d)"
)


def redact(text: str) -> str:
    """The text without what looks like a secret, a mail address or a phone number."""
    text = _SECRETS.sub(lambda m: f"{m.group(2) or m.group(3) or ''}***", text)
    return _PHONE.sub("***", _MAIL.sub("***@***", text))


@contextmanager
def bind(**facts: Any) -> Iterator[None]:
    """Put these facts beside every line logged in the block."""
    token = _bound.set({**_bound.get(), **facts})
    try:
        yield
    finally:
        _bound.reset(token)


class Formatter(logging.Formatter):
    """One line per event: text for people, JSON for machines."""

    def __init__(self, *, json: bool) -> None:
        super().__init__()
        self._json = json

    def format(self, record: logging.LogRecord) -> str:
        extra = {k: v for k, v in vars(record).items() if k not in _STANDARD}
        facts = {k: _clean(v) for k, v in {**_bound.get(), **extra}.items()}
        message = redact(record.getMessage())
        trace = redact(self.formatException(record.exc_info)) if record.exc_info else ""
        at = self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}"
        if self._json:
            line = {"at": at, "level": record.levelname, "logger": record.name, "message": message}
            return orjson.dumps(
                {**line, **facts, "trace": trace} if trace else {**line, **facts}
            ).decode()
        shown = " ".join(f"{key}={value}" for key, value in facts.items())
        line_ = f"{at} {record.levelname:<7} {record.name}: {message} {shown}".rstrip()
        return f"{line_}\n{trace}" if trace else line_


def _clean(value: Any) -> Any:
    return value if isinstance(value, int | float | bool | None) else redact(str(value))


def configure(level: str = "INFO", fmt: str = "text") -> None:
    """Send the logs of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(json=fmt == "json"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("urllib3", "kombu", "amqp", "celery"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
