"""How each stream is written: 飞书 takes our key as ``uuid`` or ``client_token``, and does it once.

For a message it remembers the key for an hour. The custom bot of a group takes none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any
from urllib.parse import quote
from uuid import UUID

from adapters.feishu import messages
from adapters.feishu.account import UUID_TAKEN, Account
from adapters.feishu.config import FeishuConfig
from adapters.feishu.reading import version
from adapters.feishu.signing import bot_sign
from hub.sdk import (
    Change,
    ConfigError,
    ConflictError,
    Http,
    Raw,
    Receipt,
    RejectedError,
    written,
)

RECEIVERS = {
    "feishu_open_id": "open_id",
    "feishu_user_id": "user_id",
    "feishu_union_id": "union_id",
    "feishu_chat": "chat_id",
    "email": "email",
}
"""Types of contact points, and what 飞书 calls them."""

PATH = "/im/v1/messages"


def takes(c: FeishuConfig, stream: str) -> bool:
    """Whether the stream can be written to, as the connection is configured."""
    needed = {
        "records": c.bitable_table,
        "instances": c.approval_open_id and c.approval_codes,
        "messages": c.app_secret.get_secret_value(),
        "group_messages": c.bot_hook.get_secret_value(),
    }
    return bool(needed.get(stream))


def send(account: Account, change: Change) -> Receipt:
    """Write to somebody or into a chat, answer a message, or change one of ours."""
    kind, told = messages.content(change.values)
    body: Raw = {"content": json.dumps(told, ensure_ascii=False)}
    if change.id is not None:
        card = kind == "interactive"
        shown = body if card else {"msg_type": kind, **body}
        account.ask("PATCH" if card else "PUT", f"{PATH}/{_safe(change.id)}", json=shown)
        return Receipt(change.id)
    body |= {"msg_type": kind, "uuid": change.key[:50]}
    if answered := change.values.get("reply_to"):
        sent = account.ask("POST", f"{PATH}/{_safe(answered)}/reply", json=body)
        return Receipt(str(sent["message_id"]))
    type_, receiver = _receiver(change.values)
    body["receive_id"] = receiver
    sent = account.ask("POST", PATH, params={"receive_id_type": type_}, json=body)
    return Receipt(str(sent["message_id"]))


def _receiver(values: Mapping[str, Any]) -> tuple[str, str]:
    known = [point for point in values.get("to") or () if point.get("type") in RECEIVERS]
    if len(known) != 1:
        raise RejectedError(
            "a message goes to one person or chat",
            hint='Name it: to = [{type = "feishu_open_id", value = "ou_…"}] or "feishu_chat".',
        )
    return RECEIVERS[known[0]["type"]], str(known[0]["value"])


def send_into_group(bot: Http, account: Account, change: Change) -> Receipt:
    """Write into a group as its custom bot."""
    _set(account.config.bot_hook.get_secret_value(), "bot_hook")
    if change.id is not None:
        raise RejectedError("what a custom bot said cannot be changed")
    kind, told = messages.content(change.values)
    body: Raw = {"msg_type": kind, "card" if kind == "interactive" else "content": told}
    if secret := account.config.bot_secret.get_secret_value():
        instant = written(bot.now(), "s")
        body |= {"timestamp": instant, "sign": bot_sign(secret, instant)}
    bot.json("POST", "", json=body)
    return Receipt(change.key)


def save_record(account: Account, change: Change) -> Receipt:
    """Add a record to the table, or change one; only the columns that are named."""
    _set(account.config.bitable_table, "bitable_table")
    body, asked = {"fields": change.values.get("fields") or {}}, {"user_id_type": "open_id"}
    if change.id is None:
        params = {**asked, "client_token": _uuid4(change.key)}
        made = account.ask("POST", account.table, params=params, json=body)
        return Receipt(str(made["record"]["record_id"]))
    found = account.record(change.id)
    if found is None:
        raise RejectedError(f"there is no record {change.id}")
    if change.version and version(found) > change.version:
        raise ConflictError(f"record {change.id} was changed meanwhile")
    account.ask("PUT", f"{account.table}/{_safe(change.id)}", params=asked, json=body)
    return Receipt(change.id)


def find_records(account: Account, values: Raw) -> list[Raw]:
    """Records with one of these texts in its column."""
    told = [(n, v) for n, v in (values.get("fields") or {}).items() if v and isinstance(v, str)]
    conditions = [{"field_name": n, "operator": "is", "value": [v]} for n, v in told]
    if not conditions:
        return []
    rows, _ = account.search({"filter": {"conjunction": "or", "conditions": conditions}}, "")
    return rows


def begin_approval(account: Account, change: Change) -> Receipt:
    """Begin an approval; with a uuid that was taken already it is the one begun then."""
    if change.id is not None:
        raise RejectedError("an approval cannot be changed once it has begun")
    code = change.values.get("approval_code") or next(iter(account.config.approval_codes), "")
    widgets = change.values.get("widgets") or {}
    body = {
        "approval_code": _set(code, "approval_codes"),
        "open_id": _set(account.config.approval_open_id, "approval_open_id"),
        "form": json.dumps([_widget(*one) for one in widgets.items()], ensure_ascii=False),
        "uuid": change.key[:64],
    }
    try:
        made = account.ask("POST", "/approval/v4/instances", json=body)
    except RejectedError as exc:
        if exc.code != UUID_TAKEN:
            raise
        made = account.instance(body["uuid"])
    return Receipt(str(made["instance_code"]))


def _widget(name: str, value: Any) -> Raw:
    """A field of the form; written ``id:type`` where it is no line of text."""
    id_, _, type_ = name.partition(":")
    return {"id": id_, "type": type_ or "input", "value": value}


def _uuid4(key: str) -> str:
    """The key in the only form 飞书 takes, a UUID of version 4."""
    return str(UUID(bytes=blake2b(key.encode(), digest_size=16).digest(), version=4))


def _safe(name: str) -> str:
    return quote(str(name), safe="")


def _set(value: Any, name: str) -> Any:
    if not value:
        raise ConfigError(f"this needs {name}", hint=f"Set {name} of this connection.")
    return value
