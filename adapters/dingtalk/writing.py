"""How each stream is written.

None of 钉钉's calls takes an idempotency key but that of a group's robot. A to-do is found by its
sourceId, an approval by the hub's mark in its form; a work notice is dropped by 钉钉 when somebody
was told the same today; for a message of the app's robot there is nothing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from adapters.dingtalk import messages
from adapters.dingtalk.account import Account
from adapters.dingtalk.config import DingtalkConfig
from hub.sdk import (
    Change,
    ConfigError,
    ConflictError,
    Http,
    Raw,
    Receipt,
    RejectedError,
    RetryableError,
    written,
)

log = logging.getLogger(__name__)

USERS_MAX, DEPARTMENTS_MAX, CHATTED_MAX = 100, 20, 20
TODO_CHANGED = ("subject", "description", "dueTime", "executorIds")
"""What of a to-do can be changed, beside closing it; its priority cannot."""

TRIED_FOR = timedelta(days=3)
"""A write is given up earlier than that."""


def takes(c: DingtalkConfig, stream: str) -> bool:
    """Whether the stream can be written to, as the connection is configured."""
    needed = {
        "process_instances": c.approval_originator and c.approval_mark and c.process_codes,
        "todos": c.todo_operator,
        "notices": c.agent_id,
        "robot_messages": c.app_secrets,
        "group_messages": c.group_robot_token.get_secret_value(),
    }
    return bool(needed.get(stream))


def save_todo(account: Account, config: DingtalkConfig, change: Change) -> Receipt:
    """Make a to-do, change or close one."""
    operator = _set(config.todo_operator, "todo_operator")
    values = dict(change.values)
    done = values.pop("done", None)
    if executor := values.pop("executor_userid", None):
        values["executorIds"] = [account.user(executor)["unionid"]]
    path, query = f"/v1.0/todo/users/{operator}/tasks", {"operatorId": operator}
    id_ = change.id
    if id_ is None:
        source = change.marker or change.key
        found = account.todo(operator, f"sources/{source}")
        if found is None:
            first = {"executorIds": [operator], "creatorId": operator, "sourceId": source}
            found = account.new.json("POST", path, params=query, json={**first, **values})
        id_, values = str(found["id"]), {}
    else:
        _refuse_newer(account.todo(operator, id_), change)
        values = {name: told for name, told in values.items() if name in TODO_CHANGED}
    if done is not None and (done or change.id):
        values["done"] = done
    if values:
        account.new.json("PUT", f"{path}/{id_}", params=query, json=values)
    return Receipt(id_)


def _refuse_newer(found: Raw | None, change: Change) -> None:
    if found is None:
        raise RejectedError(f"there is no to-do {change.id}")
    modified = found.get("modifiedTime")
    if change.version and modified and str(modified).zfill(20) > change.version:
        raise ConflictError(f"to-do {change.id} was changed meanwhile")


def begin_approval(
    account: Account, config: DingtalkConfig, change: Change, now: datetime
) -> Receipt:
    """Begin an approval, unless one with our mark was begun already."""
    if change.id is not None:
        raise RejectedError("an approval cannot be changed once it has begun")
    originator = _set(config.approval_originator, "approval_originator")
    label = _set(config.approval_mark, "approval_mark")
    mark = change.marker or change.key
    code = change.values.get("process_code") or next(iter(config.process_codes), "")
    asked = {"processCode": _set(code, "process_codes"), "userIds": [originator]}
    if found := _begun(account, asked, {"name": label, "value": mark}, now):
        return Receipt(found)
    form = {**(change.values.get("form") or {}), label: mark}
    body = {
        "originatorUserId": originator,
        "processCode": code,
        "deptId": config.approval_dept,
        "formComponentValues": [{"name": n, "value": _text(v)} for n, v in form.items()],
    }
    told = account.new.json("POST", "/v1.0/workflow/processInstances", json=body)
    return Receipt(str(told["instanceId"]))


def _begun(account: Account, asked: Raw, field: Raw, now: datetime) -> str | None:
    """The approval of our originator whose form holds the mark."""
    begin, end = written(now - TRIED_FOR, "ms"), written(now, "ms")
    token = "0"  # noqa: S105 - a place in a list
    while token:
        window = {"startTime": int(begin), "endTime": int(end), "nextToken": int(token)}
        ids, token = account.approvals(**asked, **window)
        for id_ in ids:
            form = account.approval(id_).get("formComponentValues") or ()
            if any(field.items() <= one.items() for one in form):
                return id_
    return None


def send_notice(account: Account, config: DingtalkConfig, change: Change) -> Receipt:
    """Tell colleagues or whole departments in the app's own conversation (工作通知)."""
    users = _sent_once(change, messages.USER)
    departments = messages.receivers(change.values, messages.DEPARTMENT)
    _not_too_many(users, USERS_MAX)
    _not_too_many(departments, DEPARTMENTS_MAX)
    if not users and not departments:
        raise RejectedError(
            "a work notice needs somebody to tell",
            hint=f'Name them: to = [{{type = "{messages.USER}", value = "userid"}}].',
        )
    body: Raw = {
        "agent_id": _set(config.agent_id, "agent_id"),
        "msg": messages.notice(change.values, f"#{change.key[:8]}"),
        "userid_list": ",".join(users),
        "dept_id_list": ",".join(departments),
    }
    path = "/message/corpconversation/asyncsend_v2"
    told = account.call(path, repeatable=None, **{k: v for k, v in body.items() if v})
    return Receipt(str(told["task_id"]))


def send_by_robot(account: Account, config: DingtalkConfig, change: Change) -> Receipt:
    """Write to colleagues, or into a group, as the app's robot."""
    users = _sent_once(change, messages.USER)
    chats = messages.receivers(change.values, messages.CHAT)
    body: Raw = {"robotCode": config.robot_code or config.owner_keys[0]}
    body |= messages.robot(change.values)
    if len(chats) == 1 and not users:
        sent = {**body, "openConversationId": chats[0]}
        told = account.new.json("POST", "/v1.0/robot/groupMessages/send", json=sent)
        return Receipt(str(told["processQueryKey"]))
    if chats or not users:
        raise RejectedError(
            "the robot writes to colleagues, or into one group",
            hint=f'Name them: to = [{{type = "{messages.USER}", value = "userid"}}], or one '
            f'"{messages.CHAT}".',
        )
    _not_too_many(users, CHATTED_MAX)
    sent = {**body, "userIds": users}
    told = account.new.json("POST", "/v1.0/robot/oToMessages/batchSend", json=sent)
    _check_told(told, users)
    return Receipt(str(told["processQueryKey"]))


def _check_told(told: Raw, users: Sequence[str]) -> None:
    """The call goes well even if the message reached nobody."""
    unknown = told.get("invalidStaffIdList") or []
    put_off = told.get("flowControlledStaffIdList") or []
    if len(unknown) == len(users):
        raise RejectedError("钉钉 knows none of those the robot wrote to")
    if len(unknown) + len(put_off) >= len(users):
        raise RetryableError("钉钉 puts the robot off", maybe_done=False)
    if unknown or put_off:
        counts = {"unknown": len(unknown), "put_off": len(put_off)}
        log.warning("the robot did not reach everybody", extra=counts)


def send_into_group(robot: Http, config: DingtalkConfig, change: Change) -> Receipt:
    """Write into a group as its custom robot, once by the ``msgUuid``."""
    _set(config.group_robot_token.get_secret_value(), "group_robot_token")
    if change.id is not None:
        raise RejectedError("a message that was sent cannot be changed")
    body = {**messages.group(change.values), "msgUuid": change.key}
    robot.json("POST", "/robot/send", json=body, repeatable=True)
    return Receipt(change.key)


def _sent_once(change: Change, type_: str) -> list[str]:
    if change.id is not None:
        raise RejectedError("a message that was sent cannot be changed")
    return messages.receivers(change.values, type_)


def _not_too_many(found: Sequence[str], most: int) -> None:
    if len(found) > most:
        raise RejectedError(f"at most {most} receivers in one message", hint="Split them up.")


def _set(value: Any, name: str) -> Any:
    if not value:
        raise ConfigError(f"this needs {name}", hint=f"Set {name} of this connection.")
    return value


def _text(value: Any) -> str:
    """All of a form is text; lists and objects are JSON in it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
