"""A customer in a few words, for chats and for a field in another system.

It works on stored documents, masked or not, and says no phone and no address but in ``lines``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hub.profiles.build import SHOWN

Document = Mapping[str, Any]

_WORDS = {
    "en": {
        "nameless": "Nameless",
        "requests": "open requests: {}",
        "settled": "no open requests",
        "orders": "orders: {}",
        "newest": "newest {}",
        "contact": "last contact {}",
    },
    "zh_CN": {
        "nameless": "未知姓名",
        "requests": "未结请求 {}",
        "settled": "没有未结请求",
        "orders": "订单 {}",
        "newest": "最近 {}",
        "contact": "上次联系 {}",
    },
}
CONTACTS, REQUESTS = 3, 3
"""How many are told."""


def title(p: Document, language: str) -> str:
    """What to call the customer."""
    return _value(p, "name") or _WORDS[language]["nameless"]


def summary(p: Document, language: str) -> str:
    """One line without names and addresses: how valued, what is open, what was bought."""
    parts = [_value(p, "tier"), _requests(p, language), _orders(p, language), _talk(p, language)]
    return " · ".join(part for part in parts if part)


def lines(p: Document, language: str) -> list[str]:
    """Who it is, how to reach them, what is open."""
    who = " · ".join(
        filter(None, (_value(p, field) for field in ("organization", "title", "owner")))
    )
    reach = " · ".join(c["value"] for c in p.get("contacts", ())[:CONTACTS])
    matters = (f"• {fact['summary']}" for fact in p.get("open_requests", ())[:REQUESTS])
    return [line for line in (who, reach, summary(p, language), *matters) if line]


def _value(p: Document, field: str) -> str:
    return str((p.get(field) or {}).get("value", ""))


def _requests(p: Document, language: str) -> str:
    count = len(p.get("open_requests", ()))
    words = _WORDS[language]
    return words["requests"].format(_counted(count)) if count else words["settled"]


def _orders(p: Document, language: str) -> str:
    orders, words = p.get("orders", ()), _WORDS[language]
    if not orders:
        return ""
    told = words["orders"].format(_counted(len(orders)))
    day = orders[0].get("fields", {}).get("ordered_on") or _day(orders[0])
    return f"{told} ({words['newest'].format(day)})" if day else told


def _talk(p: Document, language: str) -> str:
    day = next(_days_of_talks(p), "")
    return _WORDS[language]["contact"].format(day) if day else ""


def _days_of_talks(p: Document) -> Iterator[str]:
    for fact in p.get("timeline", ()):
        if fact["kind"] in ("Message", "Call") and (day := _day(fact)):
            yield day


def _day(fact: Document) -> str:
    return str(fact.get("occurred_at") or "")[:10]


def _counted(count: int) -> str:
    return f"{count}+" if count >= SHOWN else str(count)
