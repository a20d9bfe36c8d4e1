"""How each stream is read: none of them can be asked what changed since.

A reader gets (changed since, position) as ``scan`` wants it. Positions are JSON: what is still to
be read, the place in the first of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from adapters.dingtalk.account import Account, is_gone
from adapters.dingtalk.config import DingtalkConfig
from hub.sdk import Raw, RejectedError, Sighting, Survey, expiring, written

ROOT = 1
"""The department above all others."""

WINDOW = timedelta(days=120)
"""What one question for approvals may span."""

KEPT = timedelta(days=364)
"""How far back 钉钉 lets anybody look."""

Found = tuple[list[Raw], str | None]
Reader = Callable[[datetime | None, str], tuple[Sequence[Raw], str | None]]


def readers(
    account: Account, config: DingtalkConfig, now: Callable[[], datetime]
) -> dict[str, Reader]:
    """The readers of what is configured to be read."""
    found: dict[str, Reader] = {}
    if "users" in config.address_book:
        found["users"] = lambda _, position: users(account, position)
    if "extcontacts" in config.address_book:
        found["extcontacts"] = lambda _, position: contacts(account, position)
    if config.process_codes:
        found["process_instances"] = lambda since, position: approvals(
            account, position or _windows(config, since, now())
        )
    if config.todo_owners:
        found["todos"] = lambda _, position: todos(account, position or _lists(config.todo_owners))
    return {name: expiring(read, "钉钉") for name, read in found.items()}


def users(account: Account, position: str) -> Found:
    """Colleagues, department by department; who is in several comes several times."""
    left, cursor = json.loads(position or f"[[{ROOT}], 0]")
    rows, after = account.members(left[-1], cursor)
    if after is not None:
        return rows, json.dumps([left, after])
    left = [*left[:-1], *account.departments(left[-1])]
    return rows, json.dumps([left, 0]) if left else None


def contacts(account: Account, position: str) -> Found:
    """External contacts; who slips over the edge of a page is found by the next reading."""
    rows, after = account.contacts(int(position or 0))
    return rows, None if after is None else str(after)


def approvals(account: Account, position: str) -> Found:
    """Approvals with their forms, window by window."""
    left, token = json.loads(position)
    if not left:
        return [], None
    code, start, end = left[0]
    asked = {"processCode": code, "startTime": start, "endTime": end, "nextToken": int(token or 0)}
    ids, after = account.approvals(**asked)
    rows = [row for id_ in ids for row in _known(account, id_)]
    left = left if after else left[1:]
    return rows, json.dumps([left, after]) if left else None


def todos(account: Account, position: str) -> Found:
    """Open and finished to-dos, colleague by colleague."""
    left, token = json.loads(position)
    owner, done = left[0]
    rows, after = account.todos(owner, token, done=done)
    left = left if after else left[1:]
    return rows, json.dumps([left, after]) if left else None


def survey_users(account: Account, cursor: str | None) -> Iterator[Survey]:
    """The ids of all colleagues."""
    left = json.loads(cursor) if cursor else [ROOT]
    while True:
        ids = account.member_ids(left[-1])
        left = [*left[:-1], *account.departments(left[-1])]
        yield Survey([Sighting(id_) for id_ in ids], json.dumps(left) if left else None)
        if not left:
            return


def survey_contacts(account: Account, cursor: str | None) -> Iterator[Survey]:
    """The ids of all external contacts."""
    place: str | None = cursor or ""
    while place is not None:
        rows, place = contacts(account, place)
        yield Survey([Sighting(str(row["user_id"])) for row in rows], place)


SURVEYS = {"users": survey_users, "extcontacts": survey_contacts}


def _known(account: Account, id_: str) -> Iterator[Raw]:
    """The approval; nothing when it was deleted since it was listed."""
    try:
        yield account.approval(id_)
    except RejectedError as exc:
        if not is_gone(exc):
            raise


def _windows(config: DingtalkConfig, since: datetime | None, now: datetime) -> str:
    """A position at the beginning of all that is to be read."""
    floor = max(config.backfill_from or now - WINDOW, now - KEPT)
    again = now - timedelta(days=config.approval_days)
    start = floor if since is None else max(floor, min(since, again))
    windows: list[Any] = []
    while start < now:
        end = min(start + WINDOW, now)
        windows.append([int(written(start, "ms")), int(written(end, "ms"))])
        start = end
    return json.dumps(
        [[[code, *window] for code in config.process_codes for window in windows], ""]
    )


def _lists(owners: tuple[str, ...]) -> str:
    return json.dumps([[[owner, done] for owner in owners for done in (False, True)], ""])
