"""Hides phones and mail addresses from roles that need not see them.

Structured values are hidden whole. In free text, whatever could be a phone number goes: hiding an
order number too many is better than showing one telephone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

# At most as long as RFC 5321 lets it be: without an end, a long text without @ takes its square.
_EMAIL = re.compile(r"([\w.+-])[\w.+-]{0,63}@([\w-]+(?:\.[\w-]+)+)")
_GAP = r"[\s\-().–—－·/]{0,2}"
# In text: 7 to 24 digits in a row or in groups, unless they are a date.
_NUMBER = re.compile(
    rf"(?<!\d)(?!\d{{4}}[-/]\d\d?[-/]\d\d?(?!\d))[+＋]?\(?\d(?:{_GAP}\d){{6,23}}(?!\d)"
)
# In an id: only what is surely a phone, or the id would lose its sense.
_SURE_NUMBER = re.compile(
    r"(?<![A-Za-z0-9])(?:\+\d{8,15}|(?:\+?(?:0086|86)[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}|0\d{9,11}"
    r"|[1-9]\d{5}(?:19|20)\d\d[01]\d[0-3]\d{4}[\dXx])(?![A-Za-z0-9])"  # the last: 身份证号
)
_CALLED = re.compile(r"phone|mobile|fax|(?<![a-z])(?:tel|cell)(?![a-z])|电话|手机", re.IGNORECASE)

_SECRET_TYPES = frozenset({"phone", "fax", "mobile"})
_IDS = frozenset(
    {"id", "customer_id", "other_id", "ref", "a", "b"}
    | {"row", "party", "about", "cause_ref", "copy_ref", "external_id", "event_id"}
    | {"order_key", "merged_into", "answers"}
)
_NUMBERS = frozenset({"number", "reference", "serial_number", "product_sn"})
_NUMBERED = frozenset({"Order", "Invoice", "Contract"})  # their summary is their number
_PLAIN = frozenset({"connection", "mapping_version", "hash", "body_sha256", "next"})


def masked(value: Any) -> Any:
    """A JSON document with its phones and mail addresses hidden."""
    return _masked(value, "", "")


def mask_text(text: str) -> str:
    """Free text without phones and mail addresses."""
    return _NUMBER.sub(lambda m: mask_phone(m.group()), _hide_mail(text))


def mask_phone(phone: str) -> str:
    """``+8613800138000`` as ``+86138******00``: enough to tell two apart, not to call."""
    kept = 6 if phone.startswith("+") else 3
    if len(phone) <= kept + 2:
        return "*" * len(phone)
    return f"{phone[:kept]}{'*' * (len(phone) - kept - 2)}{phone[-2:]}"


def _masked(value: Any, key: str, kind: str) -> Any:
    if isinstance(value, dict):
        kind = str(value.get("kind", kind))
        if isinstance(value.get("type"), str) and isinstance(value.get("value"), str):
            value = {**value, "value": _mask_typed(value["type"], value["value"])}
        return {_mask_id(k): _masked(v, k, kind) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(item, key, kind) for item in value]
    if isinstance(value, str):
        return _rule(key, kind)(value)
    if isinstance(value, int) and not isinstance(value, bool) and _CALLED.search(key):
        return mask_text(str(value))
    return value


def _rule(key: str, kind: str) -> Callable[[str], str]:
    """How a string is hidden, by its field and the kind of record it stands in."""
    if key in _PLAIN or key.endswith(("_at", "_on")):
        return str
    is_number = key in _NUMBERS or (key == "summary" and kind in _NUMBERED)
    return _mask_id if key in _IDS or (is_number and kind != "Call") else mask_text


def _mask_typed(type_: str, value: str) -> str:
    return mask_phone(value) if type_ in _SECRET_TYPES else mask_text(value)


def _mask_id(text: str) -> str:
    return _SURE_NUMBER.sub(lambda m: mask_phone(m.group()), _hide_mail(text))


def _hide_mail(text: str) -> str:
    return _EMAIL.sub(r"\1***@\2", text)
