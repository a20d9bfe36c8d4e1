"""Pages of what 企业微信 holds: customers by sweeping, 微信客服 by its cursors.

Source: https://developer.work.weixin.qq.com/document/path/92994, 94670 (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from adapters.wecom.corp import USERS_MAX, Corp, Tags, relation_of
from hub.sdk import CursorExpiredError, Page, Raw, RejectedError, Sighting, Survey

RECALLED = ("user_recall_msg", "servicer_recall_msg")


def contacts(corp: Corp, cursor: str | None, size: int) -> Iterator[Page]:
    """All customers of all members, a hundred members at a time: nothing tells what changed."""
    tags, users, place = corp.tags(), corp.followers(), _place(cursor)
    while True:
        # A vendor's cursor is of the very members it was asked for.
        group = place.get("users") or [u for u in users if u > place.get("after", "")][:USERS_MAX]
        if not group:
            return
        asked = {"userid_list": group, "cursor": place.get("at", ""), "limit": size}
        try:
            told = corp.ask("contacts", asked)
        except RejectedError as exc:
            if not asked["cursor"]:
                raise
            raise CursorExpiredError("WeCom does not know our place any more") from exc
        if told.get("next_cursor"):
            place = {"users": group, "at": told["next_cursor"]}
        else:
            place = {"after": group[-1]} if group[-1] < users[-1] else {}  # {}: begin anew
        yield Page(list(_relations(told, tags)), json.dumps(place))
        if not place:
            return


def contact_ids(corp: Corp, cursor: str | None) -> Iterator[Survey]:
    """Who is whose customer, a page for each member."""
    users = [user for user in corp.followers() if user > (cursor or "")]
    for user in users[:-1]:
        yield _seen(corp.relation_ids(user), user)
    yield _seen(corp.relation_ids(users[-1]) if users else [], None)


def messages(corp: Corp, accounts: Iterable[str], cursor: str | None, word: str) -> Iterator[Page]:
    """What was said to each account of 微信客服 behind the cursor; the vendor keeps three days."""
    place, failed = _place(cursor), list[RejectedError]()
    for account in accounts:
        more = True
        while more:
            before = place.get(account, "")
            try:
                told = corp.kf_page(account, before, word)
            except RejectedError as exc:
                if before:
                    said = "WeCom does not know our place any more"
                    raise CursorExpiredError(said, hint=exc.hint) from exc
                failed.append(exc)  # the other accounts go on: their messages are kept three days
                break
            rows, gone = _said(told)
            place = {**place, account: told.get("next_cursor") or before}
            if rows or gone or place[account] != before:
                yield Page(corp.with_customers(rows), json.dumps(place), gone)
            more = bool(told.get("has_more"))
    if failed:
        raise failed[0]


def _place(cursor: str | None) -> Raw:
    found: Raw = json.loads(cursor) if cursor else {}
    return found


def _seen(ids: Iterable[str], cursor: str | None) -> Survey:
    return Survey([Sighting(id_) for id_ in ids], cursor)


def _relations(told: Raw, tags: Tags) -> Iterator[Raw]:
    for one in told["external_contact_list"]:
        follow = one["follow_info"]
        ids = sorted(follow.get("tag_id") or ())
        names = sorted(tags[id_] for id_ in ids if id_ in tags)
        yield relation_of(one["external_contact"], {**follow, "tag_id": ids, "tags": names})


def _said(told: Raw) -> tuple[list[Raw], list[str]]:
    """Messages, and the ids of those that were taken back; other events are no words."""
    items: list[Raw] = told.get("msg_list") or []
    events = [item.get("event") or {} for item in items if item.get("msgtype") == "event"]
    recalled = [e.get("recall_msgid") for e in events if e.get("event_type") in RECALLED]
    gone = [str(id_) for id_ in recalled if id_]
    return [item for item in items if item.get("msgtype") != "event"], gone
