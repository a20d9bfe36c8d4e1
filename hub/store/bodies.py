"""What was sent to us, made readable, with what looks like a secret hidden.

Stored bytes stay as they came; this is what people are shown of them, and what is kept of a
request that was refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl
from xml.dom.minidom import Node
from xml.parsers.expat import ExpatError

from defusedxml import DefusedXmlException, minidom

HIDDEN = "***"
SHOWN_MAX = 200_000
"""Characters of a body that are shown; the rest is there for whoever asks for the bytes."""

HEX_MAX = 1024
HEADERS_MAX = 50
VALUE_MAX = 500

_WORDS = (
    r"passw(?:or)?d|passphrase|secret(?!ar)|token|signature|credential|authorization|cookie"
    r"|(?:api|access|private|encoding_?aes|account)[_-]?key|密码|口令|令牌|签名|密钥"
)
_NAME = re.compile(rf"{_WORDS}|(?:^|_)(?:sign|sig|pwd|otp|cvv|cvc)(?:_|$)")
_HUMPS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^0-9A-Za-z\u4e00-\u9fff]+")

# In text that is not understood: name=value, "name": "value", <name>value.
_IN_TEXT = re.compile(
    rf"((?:{_WORDS}|(?<![a-z])(?:sign|sig|pwd|otp|cvv|cvc)(?![a-z]))[\w-]{{0,20}}"
    r"(?:\\?[\"'])?\s{0,4}(?:[:=>]|%3D)\s{0,4})"
    r"""(?:(\\")[^"\\]*|(")(?:[^"\\]|\\.)*|(')[^']*|(<!\[CDATA\[)[^\]]*"""
    r"""|(?:bearer\s+|basic\s+)?[^\s"'&,;<>\\{}\[\]]+)""",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}|\bwhsec_[\w+/=]+", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Body(NamedTuple):
    """A body as people read it.

    Attributes:
        cut: there is more than is shown.
    """

    format: Literal["json", "xml", "form", "text", "binary", "empty"]
    text: str
    cut: bool = False


@lru_cache(maxsize=4096)
def is_secret(name: str) -> bool:
    """Whether a header, key, element or field of this name holds what nobody should read."""
    return _NAME.search(_HUMPS.sub("_", name).lower()) is not None


def scrubbed(headers: Mapping[str, str], secrets: Collection[str] = ()) -> dict[str, str]:
    """The headers with secrets hidden: by their name, or because one of ours is in the value."""
    return {name: _header(name, value, secrets) for name, value in headers.items()}


def _header(name: str, value: str, secrets: Collection[str]) -> str:
    if is_secret(name) or any(secret in value for secret in secrets):
        return HIDDEN
    return hide(value) if "=" in value else value  # every request comes by here


def outlined(headers: Mapping[str, str], secrets: Collection[str] = ()) -> dict[str, str]:
    """Like ``scrubbed``, bounded, and telling how long what is hidden was."""
    some = dict(list(headers.items())[:HEADERS_MAX])
    safe = scrubbed(some, secrets)
    return {
        name[:100]: f"{HIDDEN} ({len(some[name])})" if kept == HIDDEN else kept[:VALUE_MAX]
        for name, kept in safe.items()
    }


def hide(text: str) -> str:
    """The text without what looks like a secret in it."""
    text = _SCHEME.sub(HIDDEN, text)
    return _IN_TEXT.sub(lambda m: "".join(filter(None, m.groups())) + HIDDEN, text)


def readable(body: bytes, content_type: str = "") -> Body:
    """The body as people read it, secrets hidden; whatever it is, never an error."""
    if not body.strip():
        return Body("empty", "")
    text = _decoded(body, content_type)
    if text is None:
        return Body("binary", _hex(body), cut=len(body) > HEX_MAX)
    for name, read in (("json", _json), ("xml", _xml), ("form", _form)):
        shown = read(text, content_type)
        if shown is not None:
            return _bounded(name, shown)
    return _bounded("text", hide(text))


def start(some: bytes, content_type: str, secrets: Collection[str] = ()) -> str:
    """The beginning of a body nobody vouches for, secrets hidden; it may end anywhere."""
    for cut in range(min(4, len(some) + 1)):  # a character may be cut in two
        text = _decoded(some[: len(some) - cut], content_type)
        if text is not None:
            for secret in secrets:
                text = text.replace(secret, HIDDEN)
            return hide(text)
    return _hex(some)


def _bounded(name: Any, text: str) -> Body:
    return Body(name, text[:SHOWN_MAX], cut=len(text) > SHOWN_MAX)


def _decoded(body: bytes, content_type: str) -> str | None:
    """The text, None when it is none; Chinese systems of old say that they send GBK."""
    named = re.search(r"charset=\"?([\w-]+)", content_type, re.IGNORECASE)
    for charset in ("utf-8-sig", "gb18030" if named and "gb" in named[1].lower() else "utf-8"):
        try:
            text = body.decode(charset)
        except UnicodeDecodeError:
            continue
        return None if _CONTROL.search(text) else text
    return None


def _json(text: str, _content_type: str) -> str | None:
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.dumps(_hidden(json.loads(text)), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return None


def _hidden(value: Any, *, secret: bool = False) -> Any:
    """A JSON value with what stands under a secret's name hidden, at any depth."""
    if isinstance(value, dict):
        return {k: _hidden(v, secret=secret or is_secret(k)) for k, v in value.items()}
    if isinstance(value, list):
        return [_hidden(item, secret=secret) for item in value]
    if secret and value is not None and not isinstance(value, bool):
        return HIDDEN if value != "" else value
    return hide(value) if isinstance(value, str) else value


def _form(text: str, content_type: str) -> str | None:
    if "urlencoded" not in content_type and not re.fullmatch(r"[\w.%+-]+=\S*", text.strip()):
        return None
    try:
        fields = parse_qsl(text.strip(), keep_blank_values=True, max_num_fields=1000)
    except ValueError:
        return None
    shown = (f"{name} = {_field(name, value)}" for name, value in fields)
    return "\n".join(shown) if fields else None


def _field(name: str, value: str) -> str:
    if is_secret(name):
        return HIDDEN if value else ""
    return _json(value, "") or hide(value)


def _xml(text: str, _content_type: str) -> str | None:
    if not text.lstrip().startswith("<"):
        return None
    try:
        document = minidom.parseString(text.strip())
        for node in list(_nodes(document)):
            _tidy(node)
        root = document.documentElement
        return root.toprettyxml(indent="  ").rstrip() if root else None
    except (ExpatError, DefusedXmlException, ValueError, RecursionError):
        return None


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    for below in node.childNodes:
        yield from _nodes(below)


def _tidy(node: Any) -> None:
    """Hide what is secret in an element, and drop the white space between elements."""
    if node.nodeType in (Node.TEXT_NODE, Node.CDATA_SECTION_NODE):
        above = node.parentNode
        if not node.data.strip() and len(above.childNodes) > 1:
            above.removeChild(node)
        elif any(is_secret(name) for name in _names_above(node)):
            node.data = HIDDEN
        else:
            node.data = hide(node.data)
    for attribute in (node.attributes or {}).values() if node.nodeType == Node.ELEMENT_NODE else ():
        attribute.value = HIDDEN if is_secret(attribute.name) else hide(attribute.value)


def _names_above(node: Any) -> Iterator[str]:
    while (node := node.parentNode) is not None and node.nodeType == Node.ELEMENT_NODE:
        yield node.localName or node.tagName


def _hex(body: bytes) -> str:
    """Sixteen bytes a line: where, in hexadecimal, as letters."""
    lines = []
    for at in range(0, min(len(body), HEX_MAX), 16):
        row = body[at : at + 16]
        letters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{at:06x}  {row.hex(' '):<47}  {letters}")
    return "\n".join(lines)
