"""CloudEvents 1.0 over HTTP: binary, structured and batched messages, read and written.

Source: https://github.com/cloudevents/spec, http-protocol-binding.md and json-format.md (1.0.2,
checked 2026-11)
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NoReturn
from urllib.parse import quote, unquote_to_bytes

REQUIRED = ("id", "source", "specversion", "type")
STRUCTURED = "application/cloudevents+json"
BATCHED = "application/cloudevents-batch+json"

Mode = Literal["binary", "structured", "batched", ""]

_NAME = re.compile(r"[a-z0-9]+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ENCODED = re.compile(r"(?:[\x20-\x24\x26-\x7e]|%[0-9A-Fa-f]{2})*")
_UNCHANGED = "".join(map(chr, range(0x21, 0x7F))).translate({ord('"'): None, ord("%"): None})


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """One event.

    Attributes:
        attributes: by name, ``specversion`` included; texts, and in structured messages also whole
            numbers and truth values.
        data: any JSON value, bytes when it is something else, None when there is none.
    """

    attributes: Mapping[str, str | int | bool]
    data: Any = None

    def text(self, name: str) -> str:
        """An attribute as text; "" when it is not there."""
        value = self.attributes.get(name, "")
        return str(value).lower() if isinstance(value, bool) else str(value)


def mode(headers: Mapping[str, str]) -> Mode:
    """How a message with these headers (names in lower case) carries its events; "" = not at all.

    Event formats other than JSON are not understood, so they are none either.
    """
    media = _media(headers.get("content-type", ""))
    if media.startswith("application/cloudevents"):
        return "structured" if media == STRUCTURED else "batched" if media == BATCHED else ""
    return "binary" if all(f"ce-{name}" in headers for name in REQUIRED) else ""


def from_binary(headers: Mapping[str, str], body: bytes) -> CloudEvent:
    """The event whose attributes stand in the headers (names in lower case).

    A body that should be JSON and is not stays bytes.

    Raises:
        ValueError: an attribute is missing, or something in a header is malformed.
    """
    if "ce-datacontenttype" in headers:
        raise ValueError("ce-datacontenttype must not be given beside Content-Type")
    told = ((name, value) for name, value in headers.items() if name.startswith("ce-"))
    attributes = {name.removeprefix("ce-"): _decoded(name, value) for name, value in told}
    if content_type := headers.get("content-type"):
        attributes["datacontenttype"] = content_type
    _check(attributes)
    if body and is_json(content_type or ""):
        try:
            return CloudEvent(attributes, loads(body))
        except ValueError:
            pass
    return CloudEvent(attributes, body or None)


def from_structured(body: bytes) -> CloudEvent:
    """The event in a JSON object.

    Raises:
        ValueError: it is no JSON object, an attribute is missing, or something is malformed.
    """
    value = loads(body)
    if not isinstance(value, dict):
        raise ValueError("the event is not a JSON object")  # noqa: TRY004 - one error for all
    told = {name: part for name, part in value.items() if part is not None}
    data, encoded = told.pop("data", None), told.pop("data_base64", None)
    _check(told)
    if encoded is None:
        return CloudEvent(told, data)
    if data is not None or not isinstance(encoded, str):
        raise ValueError("data_base64 is not text, or stands beside data")
    return CloudEvent(told, base64.b64decode(encoded, validate=True))


def split(body: bytes) -> list[bytes]:
    """The events of a batch, each as the body of a structured message.

    Raises:
        ValueError: the batch is no JSON array.
    """
    values = loads(body)
    if not isinstance(values, list):
        raise ValueError("the batch is not a JSON array")  # noqa: TRY004 - one error for all
    return [json.dumps(value).encode() for value in values]


def to_binary(event: CloudEvent) -> tuple[dict[str, str], bytes]:
    """Headers and body of a binary message."""
    names = [name for name in event.attributes if name != "datacontenttype"]
    headers = {f"ce-{name}": quote(event.text(name), safe=_UNCHANGED) for name in names}
    content_type, body = event.text("datacontenttype"), event.data
    if not isinstance(body, bytes):
        content_type = content_type or "application/json"
        as_text = isinstance(body, str) and not is_json(content_type)
        body = b"" if body is None else body.encode() if as_text else _dumps(body)
    return ({**headers, "content-type": content_type} if content_type else headers), body


def to_structured(event: CloudEvent) -> tuple[dict[str, str], bytes]:
    """Headers and body of a structured message."""
    document = dict[str, Any](event.attributes)
    if isinstance(event.data, bytes):
        document["data_base64"] = base64.b64encode(event.data).decode()
    elif event.data is not None:
        document["data"] = event.data
    return {"content-type": f"{STRUCTURED}; charset=utf-8"}, _dumps(document)


def is_json(content_type: str) -> bool:
    """Whether data of this type is JSON; data of no type is."""
    return not content_type or _media(content_type).endswith(("/json", "+json"))


def loads(body: bytes) -> Any:
    """The JSON value, numbers of any size exact.

    Raises:
        ValueError: it is no JSON, or too deep.
    """
    try:
        return json.loads(body, parse_constant=_refuse)
    except RecursionError as exc:
        raise ValueError("the JSON is too deep") from exc


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _dumps(value: object) -> bytes:
    # ASCII: half of a surrogate pair, which JSON can say, has no other bytes.
    return json.dumps(value).encode()


def _media(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _decoded(name: str, value: str) -> str:
    """A header's value: quotes of older senders undone, then one round of percent-decoding."""
    if value.startswith('"'):
        quoted = _QUOTED.fullmatch(value)
        if quoted is None:
            raise ValueError(f"the quoted value of {name} does not end")
        value = re.sub(r"\\(.)", r"\1", quoted[1])
    if not _ENCODED.fullmatch(value):
        raise ValueError(f"the value of {name} is not percent-encoded")
    return unquote_to_bytes(value).decode()


def _check(attributes: Mapping[str, Any]) -> None:
    for name in REQUIRED:
        if not isinstance(attributes.get(name), str) or not attributes[name]:
            raise ValueError(f"the attribute {name} is missing")
    if attributes["specversion"] != "1.0":
        raise ValueError("the specversion is not 1.0")
    for name, value in attributes.items():
        if not _NAME.fullmatch(name) or name == "data" or not isinstance(value, str | int):
            raise ValueError("an attribute's name or value is not allowed")
