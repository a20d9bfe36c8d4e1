"""The calls to 企业微信 that are made: their paths, what the codes in their answers mean.

Source: https://developer.work.weixin.qq.com/document/path/92114 (customers), 94670 (微信客服),
90313 (codes) (checked 2026-11)
"""

from __future__ import annotations

from typing import Any

from hub.sdk import Answers, Http, Raw, RejectedError, RetryableError

PATHS = {
    "token": "/gettoken",
    "followers": "/externalcontact/get_follow_user_list",
    "contacts": "/externalcontact/batch/get_by_user",
    "contact": "/externalcontact/get",
    "contact_ids": "/externalcontact/list",
    "tags": "/externalcontact/get_corp_tag_list",
    "remark": "/externalcontact/remark",
    "mark_tag": "/externalcontact/mark_tag",
    "members": "/user/list",
    "member": "/user/get",
    "kf_accounts": "/kf/account/list",
    "kf_sync": "/kf/sync_msg",
    "kf_customers": "/kf/customer/batchget",
    "kf_send": "/kf/send_msg",
    "send": "/message/send",
    "update_card": "/message/update_template_card",
    "corp_ticket": "/get_jsapi_ticket",
    "app_ticket": "/ticket/get",
    "asker": "/auth/getuserinfo",
}

ANSWERS = Answers(
    code="errcode",
    auth=(40001, 40013, 40014, 41001, 41004, 42001, 60020),
    busy=(-1, 45009, 45033, 45035),
    words="errmsg",
    hints={
        "40001": "The secret is not taken: compare it with the app's page. Several wrong tries "
        "close the hub's address out for an hour.",
        "40013": "The corp id is not known: it is the first of receive_ids.",
        "60020": "WeCom does not know the address the hub calls from: add the public address of "
        "the hub's machine to 企业可信IP on the page of the app, then run hub check.",
        "48002": "The app may not call this: for customers add it to 客户联系 → 可调用接口的应用, "
        "for 微信客服 to 微信客服 → 可调用接口的应用; or take the part out of reads.",
        "60011": "The member, department or tag is outside the 可见范围 of the app: widen it.",
        "84061": "Member and customer are not connected any more.",
        "81013": "None of the receivers exists, or all are outside the app's 可见范围.",
        "95001": "Five messages were sent since the customer wrote last: wait until they write.",
        "95002": "The customer wrote last more than 48 hours ago: use another channel.",
        "95016": "The conversation does not allow it in the state it is in.",
        "95018": "The conversation is with somebody else or over: messages may be sent while a "
        "bot or the queue has it.",
        "701008": "None of these members holds the licence (互通账号) this call needs.",
    },
)

APART = ("84061", "40096")
"""No such customer of this member."""

NO_MEMBER = ("60111", "40003")
USERS_MAX = 100
KF_PAGE = 1000

Tags = dict[str, str]
"""Id → name of the corp's tags."""


class Corp:
    """The calls, each by its name in ``PATHS``."""

    def __init__(self, http: Http) -> None:
        self.http = http

    def get(self, name: str, **params: Any) -> Raw:
        found: Raw = self.http.get(PATHS[name], params=params)
        return found

    def ask(self, name: str, asked: Raw) -> Raw:
        """A POST that only reads, or may be repeated."""
        found: Raw = self.http.json("POST", PATHS[name], json=asked, repeatable=True)
        return found

    def once(self, name: str, asked: Raw) -> Raw:
        found: Raw = self.http.json("POST", PATHS[name], json=asked)
        return found

    # Customers

    def followers(self) -> list[str]:
        return sorted(self.get("followers")["follow_user"])

    def tags(self) -> Tags:
        groups = self.ask("tags", {})["tag_group"]
        return {tag["id"]: tag["name"] for group in groups for tag in group["tag"]}

    def relation(self, id_: str) -> Raw | None:
        """What a member and a customer are to each other, with what is known of the customer."""
        user, _, customer = id_.partition("/")
        cursor, before = "", None
        while cursor != before:
            asked = {"external_userid": customer} | ({"cursor": cursor} if cursor else {})
            try:
                told = self.get("contact", **asked)
            except RejectedError as exc:
                if exc.code in APART:
                    return None
                raise
            for follow in told["follow_user"]:
                if follow["userid"] == user:
                    return relation_of(told["external_contact"], as_in_batches(follow))
            cursor, before = told.get("next_cursor") or cursor, cursor
        return None

    def relation_ids(self, user: str) -> list[str]:
        try:
            found = self.get("contact_ids", userid=user)["external_userid"]
        except RejectedError as exc:
            if exc.code in APART:  # a member without customers
                return []
            raise
        return [f"{user}/{customer}" for customer in found]

    def members(self, department: int) -> list[Raw]:
        found: list[Raw] = self.get("members", department_id=department, fetch_child=1)["userlist"]
        return found

    def member(self, user: str) -> Raw | None:
        try:
            return self.get("member", userid=user)
        except RejectedError as exc:
            if exc.code in NO_MEMBER:
                return None
            raise

    # 微信客服

    def kf_accounts(self, size: int = 100) -> list[str]:
        found: list[str] = []
        while True:
            told = self.ask("kf_accounts", {"offset": len(found), "limit": size})["account_list"]
            found += [account["open_kfid"] for account in told]
            if len(told) < size:
                return found

    def kf_page(self, account: str, cursor: str, word: str) -> Raw:
        """Messages behind the cursor; with the word of an event it may be asked oftener."""
        asked = {"open_kfid": account, "limit": KF_PAGE} | ({"cursor": cursor} if cursor else {})
        try:
            told = self.ask("kf_sync", asked | ({"token": word} if word else {}))
        except RejectedError:
            if not word:
                raise
            told = self.ask("kf_sync", asked)  # the word holds for ten minutes
        if told.get("has_more") and (told.get("next_cursor") or cursor) == cursor:
            raise RetryableError("the cursor of kf/sync_msg does not advance")
        return told

    def with_customers(self, messages: list[Raw]) -> list[Raw]:
        """The messages, each with what is known of its customer."""
        wanted = sorted({m["external_userid"] for m in messages if m.get("external_userid")})
        known: dict[str, Raw] = {}
        for start in range(0, len(wanted), USERS_MAX):
            some = wanted[start : start + USERS_MAX]
            told = self.ask("kf_customers", {"external_userid_list": some})
            known |= {c["external_userid"]: c for c in told.get("customer_list", ())}
        return [{**m, "customer": known.get(m.get("external_userid", ""))} for m in messages]


def as_in_batches(follow: Raw) -> Raw:
    """One of ``follow_user`` in the form of ``follow_info``, so that both give the same row."""
    theirs = [tag for tag in follow.get("tags") or () if tag.get("type", 1) == 1]  # 1: the corp's
    names, ids = sorted(t["tag_name"] for t in theirs), sorted(t["tag_id"] for t in theirs)
    return {**follow, "tag_id": ids, "tags": names}


def relation_of(customer: Raw, follow: Raw) -> Raw:
    id_ = f"{follow['userid']}/{customer['external_userid']}"
    return {"id": id_, "external_contact": customer, "follow_info": follow}
