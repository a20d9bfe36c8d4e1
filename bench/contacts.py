"""The contacts of a CRM of any size: row ``n`` is the same in every run, on every machine."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

TWIN_EVERY = 50
"""One row in so many is a second record of somebody who was told of long before it."""

CHANGED_EVERY, CHANGED = 100, 7
"""Rows 7, 107, 207 … differ in each edition."""

_EPOCH = datetime(2024, 1, 1, 8, tzinfo=UTC)
_FAMILY = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡"
_GIVEN = (
    "伟芳娜敏静丽强磊洋艳勇军杰涛超明霞秀英华慧巧美玉萍红娥玲芬燕彩春菊兰凤洁梅琳素云莲真环雪荣"
    "爱妹香月莺媛瑞凡佳嘉琼勤珍贞莉桂娣叶璧璐娅琦晶妍茜秋珊莎锦黛青倩婷姣婉娴瑾颖露瑶怡婵雁蓓纨"
)
_FIRST = [
    "Alice",
    "Brian",
    "Clara",
    "David",
    "Emma",
    "Frank",
    "Grace",
    "Henry",
    "Irene",
    "James",
    "Karen",
    "Lucas",
    "Maria",
    "Nora",
]
_LAST = [
    "Adams",
    "Baker",
    "Clark",
    "Davis",
    "Evans",
    "Fisher",
    "Green",
    "Harris",
    "Irving",
    "Jones",
    "King",
    "Lewis",
    "Moore",
]
_CITIES = ("上海", "北京", "深圳", "杭州", "成都", "武汉", "西安")
_TRADES = ("科技", "机电", "医疗器械", "物流", "环保设备", "仪器仪表")
_TITLES = ("采购经理", "设备主管", "总经理", "运维工程师", "财务", "")


def contact(n: int, edition: int = 0) -> dict[str, Any]:
    """Row ``n`` as the CRM's API gives it; every ``CHANGED_EVERY``-th is new in each edition."""
    changes = edition if n % CHANGED_EVERY == CHANGED else 0
    first = _first_of(n)
    digits = _phone(first)
    company = n // 7
    return {
        "id": f"C{n:08d}",
        "name": _name(first),
        "phone": f"+86 {digits[:3]} {digits[3:7]} {digits[7:]}" if n % 2 else digits,
        "email": f"contact{n:07d}@company{company:06d}.example.com",
        "company": f"{_CITIES[company % 7]}{company:06d}号{_TRADES[company % 6]}有限公司",
        "title": _TITLES[n % 6],
        "owner": f"销售{n % 40:02d}",
        "tier": ("", "", "gold", "VIP")[n % 4],
        "city": _CITIES[n % 7],
        "street": f"南京路 {n % 900 + 1} 号",
        "tags": [_TRADES[n % 6], f"批次{n % 12}"],
        "lead_source": ("展会", "官网", "转介绍")[n % 3],
        "visits": n % 17 + changes,
        "created_at": (_EPOCH + timedelta(minutes=n)).isoformat(),
        "updated_at": (_updated_from(changes) + timedelta(seconds=n)).isoformat(),
    }


def changed_since(since: str, rows: int, edition: int = 0) -> Iterator[int]:
    """The rows updated after that instant, "" being the beginning, in the order they were."""
    for changes in (0, edition) if edition else (0,):
        wanted = range(CHANGED, rows, CHANGED_EVERY) if changes else range(rows)
        first = _first_after(since, changes)
        for n in wanted[bisect_left(wanted, first) :]:
            if changes or not edition or n % CHANGED_EVERY != CHANGED:
                yield n


def customers(rows: int) -> int:
    """How many people stand behind that many rows."""
    return rows - rows // TWIN_EVERY


def _updated_from(changes: int) -> datetime:
    return _EPOCH + timedelta(days=900 + 1000 * changes)


def _first_after(since: str, changes: int) -> int:
    if not since:
        return 0
    passed_s = (datetime.fromisoformat(since) - _updated_from(changes)).total_seconds()
    return max(0, int(passed_s) + 1)


def _first_of(n: int) -> int:
    """The row that first told of this person, mostly itself."""
    is_twin = n % TWIN_EVERY == TWIN_EVERY - 1
    return n // 2 // TWIN_EVERY * TWIN_EVERY if is_twin else n


def _phone(n: int) -> str:
    """A mobile number, another one for every row below 10⁸."""
    return f"1{('39', '58', '76', '86')[n % 4]}{(n * 7_654_321 + 10_203_040) % 100_000_000:08d}"


def _name(n: int) -> str:
    if n % 5 == 4:
        return f"{_FIRST[n // 5 % 14]} {_LAST[n // 70 % 13]} {n % 9973}"
    mixed = n * 2_654_435_761 % 2**32
    family, mixed = _FAMILY[mixed % 40], mixed // 40
    return family + _GIVEN[mixed % 80] + _GIVEN[mixed // 80 % 80]
