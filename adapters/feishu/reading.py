"""How each stream is read. Positions are JSON: what is still to be read, the place in the first.

A page_token is not promised to live for long: one that is refused expires the cursor.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from adapters.feishu.account import Account, is_gone
from adapters.feishu.config import FeishuConfig
from hub.sdk import Raw, RejectedError, Sighting, Survey, expiring, written

WINDOW_MS = 10 * 3600 * 1000
"""What one question for approvals may span."""

BACKFILL = timedelta(days=30)
DAY = timedelta(days=1)
WINDOWS_MAX = 24
"""So many empty windows are passed over before a place is kept."""

Found = tuple[list[Raw], str | None]
Reader = Callable[[datetime | None, str], tuple[Sequence[Raw], str | None]]


def readers(account: Account, now: Callable[[], datetime]) -> dict[str, Reader]:
    """The readers of what is configured to be read."""
    config, found = account.config, dict[str, Reader]()
    if config.address_book:
        found["users"] = lambda _, position: users(account, position)
    if config.bitable_table:
        found["records"] = lambda since, position: records(account, since, position)
    if config.approval_codes:
        found["instances"] = lambda since, position: instances(
            account, position or _window(config, since, now())
        )
    return {name: expiring(read, "飞书") for name, read in found.items()}


def users(account: Account, position: str) -> Found:
    """Colleagues, department by department; who is in several comes several times."""
    begin = json.dumps([account.config.departments, ""])
    left, token = json.loads(position or begin)
    rows, token = account.members(left[-1], token)
    if not token:
        left = [*left[:-1], *account.departments(left[-1])]
    return rows, json.dumps([left, token]) if left else None


def records(account: Account, since: datetime | None, position: str) -> Found:
    """Records of the table, changed last first.

    What is changed meanwhile moves to the front, so that others come twice and none is passed over.
    A condition on a time counts whole days: it asks from the day before on.
    """
    column, body = account.config.bitable_modified, dict[str, Any]()
    if column:
        body["sort"] = [{"field_name": column, "desc": True}]
    if column and since:
        day = ["ExactDate", written(since - DAY, "ms")]
        condition = {"field_name": column, "operator": "isGreater", "value": day}
        body["filter"] = {"conjunction": "and", "conditions": [condition]}
    rows, token = account.search(body, position)
    if column and since:
        begin = int(written(since, "ms"))
        rows = [row for row in rows if int(row.get("last_modified_time") or begin) >= begin]
    return rows, token or None


def instances(account: Account, position: str) -> Found:
    """Approvals with their forms, window by window."""
    codes, at, start, end = json.loads(position)
    rows: list[Raw] = []
    for _ in range(WINDOWS_MAX):
        if rows or not codes:
            break
        ids = account.instances(codes[0], (at, min(at + WINDOW_MS, end)))
        rows = [row for id_ in ids for row in _known(account, id_)]
        at += WINDOW_MS
        if at >= end:
            codes, at = codes[1:], start
    return rows, json.dumps([codes, at, start, end]) if codes else None


def survey_users(account: Account, cursor: str | None) -> Iterator[Survey]:
    """The ids of all colleagues."""
    place: str | None = cursor or ""
    while place is not None:
        rows, place = users(account, place)
        yield Survey([Sighting(str(row["open_id"])) for row in rows], place)


def survey_records(account: Account, cursor: str | None) -> Iterator[Survey]:
    """Ids and times of all records of the table, without their columns."""
    column, token = account.config.bitable_modified, cursor or ""
    while True:
        rows, token = account.search({"field_names": [column] if column else []}, token)
        yield Survey([Sighting(row["record_id"], version(row)) for row in rows], token or None)
        if not token:
            return


SURVEYS = {"users": survey_users, "records": survey_records}


def version(row: Raw) -> str:
    """The version of a record as its mapping reads it."""
    return str(row.get("last_modified_time") or "").zfill(20) if "last_modified_time" in row else ""


def approval(account: Account, id_: str) -> Raw:
    """One approval; its form, which is JSON in a text, stands beside it as ``widgets``."""
    told = account.instance(id_)
    try:
        widgets = json.loads(told.get("form") or "[]")
    except ValueError:
        widgets = []
    return {"instance_code": id_, **told, "widgets": widgets}


def _known(account: Account, id_: str) -> Iterator[Raw]:
    """The approval; nothing when it was deleted since it was listed."""
    try:
        yield approval(account, id_)
    except RejectedError as exc:
        if not is_gone(exc):
            raise


def _window(config: FeishuConfig, since: datetime | None, now: datetime) -> str:
    """A position at the beginning of all that is to be read."""
    floor = config.backfill_from or now - BACKFILL
    again = now - timedelta(days=config.approval_days)
    start = floor if since is None else max(floor, min(since, again))
    begin, end = int(written(start, "ms")), int(written(now, "ms"))
    return json.dumps([list(config.approval_codes) if begin < end else [], begin, begin, end])
