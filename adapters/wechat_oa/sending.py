"""Messages and notices to followers of a 公众号.

Source: https://developers.weixin.qq.com/doc/service/api/customer/message/ (checked 2026-11)
"""

from __future__ import annotations

from hashlib import blake2b

from adapters.wechat_oa.answers import PATHS, SENDS
from hub.sdk import Change, Http, Raw, Receipt, RejectedError, written


def send(http: Http, stream: str, change: Change) -> Receipt:
    """Sent once: nobody could say afterwards whether it was."""
    values = dict(change.values)
    openid = values.pop("customer_id", None)
    openid = values.pop("touser", None) or openid
    if change.id or not openid:
        raise RejectedError(
            "a message goes to one follower, and once",
            hint='Name whom: to = [{type = "openid", value = "o…"}].',
        )
    id_ = blake2b(change.key.encode(), digest_size=16).hexdigest()
    if stream == "messages":
        said = {"msgtype": "text", **values}
        http.json("POST", PATHS["custom"], json={"touser": openid, **said})
    else:
        kind = values.pop("kind", "template")
        if kind not in SENDS:
            raise RejectedError("no such kind of notice", hint=f"One of: {', '.join(SENDS)}.")
        said = {**values, "data": _data(values.get("data") or {})}
        own = {"client_msg_id": id_} if kind == "template" else {}
        told = http.json("POST", SENDS[kind], json={"touser": openid, **said, **own})
        id_ = str(told.get("msgid") or id_)
    sent = {"MsgId": id_, "to_openid": openid, **said}
    return Receipt(id_, {**sent, "CreateTime": written(http.now(), "s")})


def _data(told: Raw) -> Raw:
    return {name: v if isinstance(v, dict) else {"value": v} for name, v in told.items()}
