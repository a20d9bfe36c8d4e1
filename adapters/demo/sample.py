"""A small, always equal set of customers, orders, tickets and messages for a first run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from hub.sdk import Raw

_NAMES = (
    "王伟",
    "李娜",
    "张敏",
    "刘洋",
    "陈静",
    "Alice Brown",
    "赵磊",
    "黄丽",
    "周强",
    "Tom Smith",
)
_TIERS = ("VIP", "", "gold", "")
_STATUSES = ("open", "waiting", "solved", "new")
_EPOCH = datetime(2026, 1, 5, 9, tzinfo=UTC)


def rows(customers: int) -> Iterator[tuple[str, Raw]]:
    """(stream, row) for that many customers, each with one order, one ticket and one message."""
    for n in range(customers):
        at = _EPOCH + timedelta(hours=7 * n)
        yield "customers", _customer(n, at)
        yield "orders", _order(n, at + timedelta(days=1))
        yield "tickets", _ticket(n, at + timedelta(days=9))
        yield "messages", _message(n, at + timedelta(days=9))


def _customer(n: int, at: datetime) -> Raw:
    company = n % 3 == 2
    name = f"{_NAMES[n % 10]}{n:02d}"
    return {
        "id": f"C{n:04d}",
        "kind": "organization" if company else "person",
        "name": f"{name}科技有限公司" if company else name,
        "phone": f"+86 138 1234 {n:04d}",
        "email": f"customer{n:04d}@example.com",
        "tier": _TIERS[n % 4],
        "owner": "客服一号",
        "city": ("上海", "北京", "深圳")[n % 3],
        "street": f"南京路 {n + 1} 号",
        "created_at": at.isoformat(),
    }


def _order(n: int, at: datetime) -> Raw:
    quantity, price = 1 + n % 3, 399 + n % 5 * 100
    return {
        "id": f"O{n:04d}",
        "number": f"SO{2026000 + n}",
        "reference": f"WEB-{n:05d}",
        "customer_id": f"C{n:04d}",
        "status": ("confirmed", "shipped", "done")[n % 3],
        "ordered_on": at.date().isoformat(),
        "currency": "CNY",
        "total": f"{quantity * price}.00",
        "lines": [
            {
                "sku": f"P{n % 10:03d}",
                "description": f"空气净化器 A{n % 10}",
                "quantity": quantity,
                "unit_price": f"{price}.00",
                "amount": f"{quantity * price}.00",
            }
        ],
        "created_at": at.isoformat(),
    }


def _ticket(n: int, at: datetime) -> Raw:
    status = _STATUSES[n % 4]
    return {
        "id": f"T{n:04d}",
        "subject": f"订单 WEB-{n:05d} 的空气净化器不工作",
        "description": "开机后没有反应，请尽快处理。",
        "status": status,
        "priority": ("normal", "high", "low", "urgent")[n % 4],
        "customer_id": f"C{n:04d}",
        "assignee": "客服一号",
        "opened_at": at.isoformat(),
        "solved_at": (at + timedelta(hours=5)).isoformat() if status == "solved" else None,
    }


def _message(n: int, at: datetime) -> Raw:
    return {
        "id": f"M{n:04d}",
        "channel": "chat",
        "direction": "in",
        "customer_id": f"C{n:04d}",
        "ticket_id": f"T{n:04d}",
        "text": f"你好，订单 WEB-{n:05d} 的净化器坏了。",
        "sent_at": at.isoformat(),
    }
