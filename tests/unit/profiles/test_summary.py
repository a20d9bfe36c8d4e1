from __future__ import annotations

from typing import Any

import pytest

from hub.profiles.build import SHOWN
from hub.profiles.summary import lines, summary, title

WHOLE: dict[str, Any] = {
    "name": {"value": "李娜"},
    "organization": {"value": "宏达"},
    "tier": {"value": "VIP"},
    "contacts": [{"type": "phone", "value": "+8613900001234"}],
    "open_requests": [{"kind": "Ticket", "summary": "净化器异响"}],
    "orders": [{"kind": "Order", "fields": {"ordered_on": "2026-11-02"}}] * SHOWN,
    "timeline": [
        {"kind": "Order", "occurred_at": "2026-11-21T00:00:00Z"},
        {"kind": "Call", "occurred_at": "2026-11-20T09:00:00Z"},
    ],
}


@pytest.mark.parametrize(
    ("language", "told"),
    [
        (
            "en",
            "VIP · open requests: 1 · orders: 20+ (newest 2026-11-02) · last contact 2026-11-20",
        ),
        ("zh_CN", "VIP · 未结请求 1 · 订单 20+ (最近 2026-11-02) · 上次联系 2026-11-20"),
    ],
)
def test_a_summary_names_nobody(language: str, told: str) -> None:
    assert summary(WHOLE, language) == told
    assert lines(WHOLE, language) == ["宏达", "+8613900001234", told, "• 净化器异响"]
    assert title(WHOLE, language) == "李娜"


def test_of_somebody_unknown_there_is_little_to_say() -> None:
    assert title({}, "en") == "Nameless"
    assert lines({}, "en") == ["no open requests"]
