"""One e-mail as a plain row: decoded headers, text, clean HTML, what is attached, which thread.

Mail is written by strangers and broken programs: whatever cannot be read becomes empty or is
replaced, and no mail is ever refused for how it is written.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.parser import HeaderParser
from email.utils import getaddresses, parsedate_to_datetime
from typing import Any

import nh3

from hub.sdk import Raw
from hub.sdk.signing import body_hash

_ID = re.compile(r"<[^<>\s]+>")
_ID_LENGTH_MAX = 250
_NARROW = re.compile(rb"(?<==\?)(gb2312|gbk|gb_2312-80)(?=\?)", re.IGNORECASE)
_BROKEN = Exception
"""What the standard library raises on malformed mail: many kinds, documented nowhere."""


def to_row(content: bytes, received_at: datetime, own: Collection[str]) -> Raw:
    """The row of one message. ``own`` = our addresses in lower case; they are never a party."""
    body = message_from_bytes(content, policy=policy.default)
    head = _headers(content)
    from_ = next(iter(_addresses(head, "From")), {"name": "", "address": ""})
    ours = from_["address"].lower() in own
    bounce = body.get_content_type() == "multipart/report"
    text, markup = _text(body, "plain"), _text(body, "html")
    message_id = _message_id(head, content)
    answered, earlier = _ids(head, "In-Reply-To"), _ids(head, "References")
    return {
        "message_id": message_id,
        "from": from_,
        "sender": None if ours or bounce or not from_["address"] else from_,
        "direction": "out" if ours else "in",
        "to": _addresses(head, "To"),
        "cc": _addresses(head, "Cc"),
        "subject": _header(head, "Subject"),
        "date": _sent_at(head, received_at).isoformat(),
        "in_reply_to": next(iter([*answered[:1], *earlier[-1:]]), None),
        "references": earlier,
        "thread": next(iter([*earlier, *answered, message_id])),
        "text": text or _without_tags(markup),
        "html": nh3.clean(markup, tags=nh3.ALLOWED_TAGS - {"img"}),  # images tell who reads when
        "attachments": list(_attachments(body)),
        "auto_submitted": _header(head, "Auto-Submitted"),
        "automatic": bounce or _is_automatic(head),
    }


def _headers(content: bytes) -> EmailMessage:
    """The headers decoded: raw 8-bit ones, too, and GB2312 that is really the larger GB18030."""
    head = re.split(rb"\r?\n\r?\n", content, maxsplit=1)[0]
    text = _decoded(_NARROW.sub(b"gb18030", head), None)
    return HeaderParser(_class=EmailMessage, policy=policy.default).parsestr(text)


def _decoded(content: bytes, charset: str | None) -> str:
    """Text by its declared character set, else UTF-8, else GB18030, else with replacements."""
    declared = re.sub(r"^(gb2312|gbk|gb_2312-80)$", "gb18030", (charset or "").lower())
    for name in (declared, "utf-8", "gb18030"):
        try:
            return _clean(content.decode(name)) if name else _clean(content.decode("ascii"))
        except (LookupError, ValueError):
            continue
    return _clean(content.decode("utf-8", "replace"))


def _clean(text: str) -> str:
    """Without what JSON and databases cannot hold: NUL and half characters."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _header(head: EmailMessage, name: str) -> str:
    try:
        return " ".join(_clean(str(head[name] or "")).split())
    except _BROKEN:
        return ""


def _addresses(head: EmailMessage, name: str) -> list[dict[str, str]]:
    """Taken apart before decoding, so that an encoded name cannot pose as an address."""
    try:
        found: list[Address] = [a for h in head.get_all(name, []) for a in h.addresses]
        pairs = [(a.display_name, a.addr_spec) for a in found]
    except _BROKEN:
        pairs = getaddresses(
            [value for key, value in head.raw_items() if key.lower() == name.lower()]
        )
    return [
        {"name": _clean(shown).strip(), "address": _clean(address).strip()}
        for shown, address in pairs
        if "@" in address.strip("<>@ ")
    ]


def _ids(head: EmailMessage, name: str) -> list[str]:
    found = _ID.findall(_header(head, name))
    return [id_ for id_ in found if len(id_) <= _ID_LENGTH_MAX]


def _message_id(head: EmailMessage, content: bytes) -> str:
    return next(iter(_ids(head, "Message-ID")), f"sha256:{body_hash(content)}")


def _sent_at(head: EmailMessage, received_at: datetime) -> datetime:
    """The Date header, unless it is missing, unreadable or in the future."""
    try:
        sent = parsedate_to_datetime(_header(head, "Date"))
        sent = sent.astimezone(UTC) if sent.tzinfo else sent.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError):
        return received_at
    return sent if sent < received_at + timedelta(days=1) else received_at


def _is_automatic(head: EmailMessage) -> bool:
    """Written by a machine or to a list (RFC 3834), so that answering could make a loop."""
    submitted = _header(head, "Auto-Submitted").partition(";")[0].strip().lower()
    bulk = _header(head, "Precedence").lower() in ("bulk", "list", "junk", "auto_reply")
    return submitted not in ("", "no") or bulk or _header(head, "Return-Path") == "<>"


def _text(body: EmailMessage, subtype: str) -> str:
    try:
        part = body.get_body(preferencelist=(subtype,))
        payload: Any = part.get_payload(decode=True) if part else b""
        charset = part.get_content_charset() if part else None
    except _BROKEN:
        return ""
    return _decoded(payload or b"", charset).replace("\r\n", "\n").strip()


def _without_tags(markup: str) -> str:
    """The words of an HTML text; blocks end lines."""
    spaced = re.sub(r"(?i)<(br|/p|/div|/tr|/li|/h[1-6])\b[^>]*>", "\\g<0>\n", markup)
    return html.unescape(nh3.clean(spaced, tags=set())).strip()


def _attachments(body: EmailMessage) -> Iterator[Raw]:
    try:
        parts = list(body.iter_attachments())
    except _BROKEN:
        return
    for part in parts:
        payload: Any = None if part.is_multipart() else part.get_payload(decode=True)
        size = len(payload if payload is not None else bytes(part))
        name = _clean(part.get_filename() or "")
        yield {"name": name, "content_type": part.get_content_type(), "size_bytes": size}
