"""Writes to 企业微信: remarks and tags of customers, 微信客服, messages and cards to members.

Source: https://developer.work.weixin.qq.com/document/path/92115, 94677, 90236, 94888
(checked 2026-11)
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

from adapters.wecom.corp import Corp, Tags
from hub.sdk import Change, Raw, Receipt, RejectedError, written

log = logging.getLogger(__name__)

REMARK = {"remark": "remark", "description": "description", "remark_company": "remark_corp_name"}
"""Names a remark is written by, and read by."""

FORMS = ("template_card", "textcard", "markdown", "text")
"""Forms of a message to members; of several the first is sent."""

NOT_REACHED = ("invaliduser", "invalidparty", "invalidtag", "unlicenseduser")


def note(corp: Corp, change: Change) -> Receipt:
    """What a member keeps about a customer: only what differs is written."""
    row = corp.relation(change.id) if change.id else None
    if row is None or change.id is None:
        raise RejectedError(
            "this member has no such customer", hint="Members add customers by themselves."
        )
    user, _, customer = change.id.partition("/")
    whom = {"userid": user, "external_userid": customer}
    if remark := _remark(row["follow_info"], change.values):
        corp.ask("remark", whom | remark)
    if "tags" in change.values:
        marks = _marks(row["follow_info"], change.values["tags"], corp.tags())
        if marks:
            corp.ask("mark_tag", whom | marks)
    return Receipt(change.id)


def answer(corp: Corp, change: Change, account: str) -> Receipt:
    """A message of 微信客服; sent once, for nobody could say afterwards whether it was."""
    values = dict(change.values)
    customer = values.pop("customer_id", None)
    customer = values.pop("touser", None) or customer
    account = values.pop("open_kfid", None) or account
    if change.id or not customer or not account:
        raise RejectedError(
            "a message of 微信客服 goes to one customer, from one account, and once",
            hint='Name whom: to = [{type = "external_userid", value = "wm…"}], and an account '
            "in open_kfids of the connection.",
        )
    said = {"open_kfid": account, "msgid": _short(change.key), "msgtype": "text", **values}
    known = _known(corp, customer)  # before it is sent, for this may fail
    told = corp.once("kf_send", {"touser": customer, **said})
    said |= {"msgid": told.get("msgid") or said["msgid"], "origin": 5, **known}
    return Receipt(said["msgid"], {**said, "send_time": _now(corp)})


def _known(corp: Corp, customer: str) -> Raw:
    """What a row says of its customer, so that ours tells no less of them than theirs."""
    try:
        (found,) = corp.with_customers([{"external_userid": customer}])
    except RejectedError:  # the message is worth more
        return {"external_userid": customer}
    return found


def tell(corp: Corp, change: Change, agent_id: int, repeat_s: int) -> Receipt:
    """A message of the app to members; WeCom drops one that it was given a moment ago."""
    values, id_ = dict(change.values), _short(change.key)
    form = next((name for name in FORMS if name in values), None)
    whom = {n: values[n] for n in ("touser", "toparty", "totag") if values.get(n)}
    if change.id or form is None or not whom:
        raise RejectedError(
            "a message to members needs somebody and something to say, and is sent once",
            hint='Name whom: to = [{type = "wecom_userid", value = "zhangsan"}].',
        )
    if form == "template_card":
        values[form] = {"task_id": id_, **values[form]}
        id_ = values[form]["task_id"]
    said = {**whom, "msgtype": form, "agentid": agent_id, form: values[form]}
    once = {"enable_duplicate_check": 1, "duplicate_check_interval": repeat_s}
    told = corp.ask("send", {**said, **once})
    if missed := "|".join(told[name] for name in NOT_REACHED if told.get(name)):
        log.warning("some receivers were not reached", extra={"count": missed.count("|") + 1})
    kept = {name: told[name] for name in ("msgid", "response_code") if told.get(name)}
    return Receipt(id_, {"id": id_, **said, **kept, "sent_at": _now(corp)})


def update_card(corp: Corp, change: Change, agent_id: int) -> Receipt:
    """A card shows what became of it; the code of a click is good for one update."""
    values = dict(change.values)
    user = values.pop("touser", None)
    whom = {"userids": user.split("|")} if user else {"atall": 1}
    values.pop("text", None)
    corp.once("update_card", {**whom, "agentid": agent_id, **values})
    return Receipt(change.id or _short(change.key))


def _remark(follow: Raw, values: Mapping[str, Any]) -> Raw:
    """Of the fields of a remark, those that would change; telephones are added to the others."""
    told = {
        name: (values[name], follow.get(read) or "")
        for name, read in REMARK.items()
        if name in values
    }
    changed: Raw = {name: new for name, (new, old) in told.items() if new != old}
    phones: list[str] = list(follow.get("remark_mobiles") or ())
    points = values.get("contact_points") or ()
    more = [p["value"] for p in points if p.get("type") == "phone" and p["value"] not in phones]
    return changed | ({"remark_mobiles": phones + more} if more else {})


def _marks(follow: Raw, wanted: Iterable[str], tags: Tags) -> Raw:
    """The tags to add and to remove, so that it has these.

    Raises:
        RejectedError: the corp has no tag of that name.
    """
    now = {*follow["tag_id"]}
    ids = {name: id_ for id_, name in tags.items()}
    ids |= {tags[id_]: id_ for id_ in now if id_ in tags}  # several groups may have the name
    if not ids.keys() >= {*wanted}:
        raise RejectedError(
            "the corp has no tag of that name", hint="Make it in WeCom first: 客户联系 → 客户标签."
        )
    then = {ids[name] for name in wanted}
    told = {"add_tag": sorted(then - now), "remove_tag": sorted(now - then)}
    return {name: listed for name, listed in told.items() if listed}


def _short(key: str) -> str:
    """The key of a write as an id WeCom takes: 32 letters of 0-9a-f."""
    return blake2b(key.encode(), digest_size=16).hexdigest()


def _now(corp: Corp) -> int:
    return int(written(corp.http.now(), "s"))
