"""Paths of the 公众号 interface, and what the codes in its answers mean.

Source: https://developers.weixin.qq.com/doc/oplatform/developers/errCode/errCode.html (checked
2026-11)
"""

from __future__ import annotations

from hub.sdk import Answers

PATHS = {
    "token": "/cgi-bin/stable_token",
    "users": "/cgi-bin/user/get",
    "user": "/cgi-bin/user/info",
    "several": "/cgi-bin/user/info/batchget",
    "custom": "/cgi-bin/message/custom/send",
}

SENDS = {
    "template": "/cgi-bin/message/template/send",
    "subscription": "/cgi-bin/message/subscribe/bizsend",
}
"""Where a notice goes, by its kind."""

ANSWERS = Answers(
    code="errcode",
    auth=(40001, 40013, 40014, 40125, 40164, 41001, 41002, 41004, 42001, 48004, 50002, 61004),
    busy=(-1, 45009, 45011),
    words="errmsg",
    hints={
        "40013": "The AppID is not known: compare app_id.",
        "40125": "The secret is not taken: compare app_secret with 设置与开发 → 基本配置.",
        "40164": "WeChat does not know the address the hub calls from: add the public address of "
        "the hub's machine to IP白名单 (设置与开发 → 基本配置), then run hub check.",
        "43004": "They do not follow the account, or no more: use another channel.",
        "43101": "They did not agree to this notice: ask for it on a page or in a menu first.",
        "45009": "The calls of this day are used up.",
        "45015": "They wrote or clicked last more than 48 hours ago: use a template or another "
        "channel.",
        "45047": "Too many messages since they wrote last: wait until they write.",
        "47003": "A parameter does not fit the template: compare names and lengths with it.",
        "48001": "The account has no permission for this; unverified accounts lack most.",
        "48004": "WeChat has closed this interface for the account: see its messages.",
        "50002": "The account is frozen.",
    },
)

NOBODY = ("40003",)
BATCH = 100
DONE = "{}"
"""The cursor behind a whole sweep: the next one begins anew."""
