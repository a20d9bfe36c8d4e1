"""The calls of one 钉钉 app: two generations of the API, with one token for both.

The older one (oapi) answers every request with status 200 and says in ``errcode``, or better in
``sub_code``, how it went; its token stands in the address. The newer one uses statuses and words,
and its token stands in a header.

Source: https://open.dingtalk.com/document/orgapp/obtain-the-access_token-of-an-internal-app and
https://open.dingtalk.com/document/orgapp/server-api-error-codes-1 (checked 2026-11)
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

from adapters.dingtalk.config import DingtalkConfig
from adapters.dingtalk.signing import robot_sign
from hub.sdk import (
    Answers,
    AuthError,
    ConfigError,
    Http,
    Outgoing,
    Raw,
    RejectedError,
    RetryableError,
    written,
)
from hub.sdk.auth import Carry, TokenAuth, Tokens, TokenStore
from hub.sdk.signing import revealed

HEADER = "x-acs-dingtalk-access-token"

OLD = Answers(
    code="sub_code || errcode || punish",
    auth=("40001", "40014", "42001", "41001"),
    busy=(
        *("-1", "90001", "90002", "90003", "90004", "90005", "90006", "90007", "90008", "90009"),
        *("90010", "90011", "90012", "90013", "90014", "410100", "660026", "130101", "deny"),
    ),
    words="sub_msg || errmsg",
    hints={
        "60011": "Give the app the permission it lacks (权限管理), and publish it.",
        "50002": "Add the department or colleague to the app's scope of the address book.",
        "60020": "Add the hub's address to the app's list of servers (IP 白名单).",
        "310000": "The group's robot refuses it: compare its secret, keywords and addresses.",
        "300005": "The group's robot is gone: compare group_robot_token.",
    },
)

GONE = frozenset({"60121", "33012", "60103"})
"""Nobody of that id; of the newer API's words any that says so."""

_GONE_WORDS = ("notfound", "not_found", "notexist", "not.exist")
_PACE = ("qps", "qpm", "limit")
_TOKEN = ("invalidauthentication", "accesstoken.expired", "accesstokeninvalid")


def refused(status: int, body: Any) -> None:
    """What an answer of 400 and more of the newer API means, where its words say it better.

    Some limits come as 403, and so does a missing permission, which is no fault of the token.
    """
    code = str(body.get("code", ""))[:100] if isinstance(body, dict) else ""
    word = code.lower()
    if any(part in word for part in _PACE):
        raise RetryableError(f"钉钉 puts us off: {code}", maybe_done=False)
    if status == 401 or any(part in word for part in _TOKEN):
        raise AuthError(f"钉钉 does not take the token: {status} {code}".rstrip())
    if code and status < 500 and status != 409:
        hint = str(body.get("message", ""))[:300]
        error = RejectedError(f"钉钉 answered {status} {code}", hint=hint)
        error.code = code
        raise error


def is_gone(exc: RejectedError) -> bool:
    """Whether a refusal says that there is no such record."""
    word = exc.code.lower()
    return exc.code in GONE or any(part in word for part in _GONE_WORDS)


def _auth(config: DingtalkConfig, store: TokenStore, carry: Carry) -> TokenAuth:
    """Lets a client in; both APIs take the same token."""

    def fetch(http: Http, _: Tokens | None) -> Tokens:
        if not config.app_secrets:
            raise ConfigError("calls need the app's secret", hint="Set app_secrets.")
        app = {"appKey": config.owner_keys[0], "appSecret": revealed(config.app_secrets)[0]}
        url = f"{config.api_url.rstrip('/')}/v1.0/oauth2/accessToken"
        told: Any = None
        with suppress(RejectedError):
            told = http.json("POST", url, json=app, repeatable=True)
        if not isinstance(told, dict) or not told.get("accessToken"):
            raise AuthError(
                "钉钉 gives the app no token",
                hint="Compare owner_keys (the first is the app key) and app_secrets with the app.",
            )
        return Tokens.lasting(str(told["accessToken"]), told.get("expireIn"))

    return TokenAuth(store, fetch, carry=carry)


def newer(config: DingtalkConfig, store: TokenStore) -> Http:
    """A client for the newer API."""
    auth = _auth(config, store, lambda told: {"headers": {HEADER: told.access}})
    return Http(config.api_url, auth=auth, raise_for_refusal=refused)


def older(config: DingtalkConfig, store: TokenStore) -> Http:
    """A client for the older API."""
    auth = _auth(config, store, lambda told: {"params": {"access_token": told.access}})
    return Http(config.oapi_url, auth=auth, raise_for_body=OLD)


def group_robot(config: DingtalkConfig) -> Http:
    """A client for the custom robot of a group, which has a token and a secret of its own."""

    def sign(request: Outgoing, at: datetime) -> None:
        told = {"access_token": config.group_robot_token.get_secret_value()}
        if secret := config.group_robot_secret.get_secret_value():
            told["timestamp"] = written(at, "ms")
            told["sign"] = robot_sign(secret, told["timestamp"])
        request.prepare_url(f"{config.oapi_url.rstrip('/')}/robot/send", told)

    return Http(config.oapi_url, sign=sign, raise_for_body=OLD)


class Account:
    """What the hub asks of one company, by the two clients it is given."""

    def __init__(self, new: Http, old: Http, size: int) -> None:
        self.new, self._old, self._size = new, old, size

    def call(self, path: str, *, repeatable: bool | None = True, **body: Any) -> Any:
        """The answer of the older API; what is asked there is a POST, too."""
        return self._old.json("POST", f"/topapi{path}", json=body, repeatable=repeatable)

    def departments(self, parent: int) -> list[int]:
        """The departments right below one."""
        below = self.call("/v2/department/listsub", dept_id=parent).get("result") or []
        return [int(dept["dept_id"]) for dept in below]

    def members(self, dept: int, cursor: int) -> tuple[list[Raw], int | None]:
        """Colleagues right in a department, and where the next ones are."""
        told = self.call("/v2/user/list", dept_id=dept, cursor=cursor, size=self._size)["result"]
        more = str(told.get("has_more")).lower() == "true"
        return told.get("list") or [], int(told["next_cursor"]) if more else None

    def member_ids(self, dept: int) -> list[str]:
        """The ids of all colleagues right in a department."""
        told = self.call("/user/listid", dept_id=dept)["result"]
        return [str(id_) for id_ in told.get("userid_list") or []]

    def user(self, userid: str) -> Raw:
        """One colleague."""
        found: Raw = self.call("/v2/user/get", userid=userid)["result"]
        return found

    def contacts(self, offset: int) -> tuple[list[Raw], int | None]:
        """External contacts, and where the next ones are."""
        rows = self.call("/extcontact/list", offset=offset, size=self._size).get("results") or []
        return rows, offset + len(rows) if len(rows) == self._size else None

    def contact(self, user_id: str) -> Raw:
        """One external contact."""
        found: Raw = self.call("/extcontact/get", user_id=user_id)["result"]
        return found

    def approvals(self, **asked: Any) -> tuple[list[str], str]:
        """Ids of approvals begun in a window, at most 20, and where the next ones are, or ""."""
        body = {"maxResults": min(self._size, 20), **asked}
        path = "/v1.0/workflow/processes/instanceIds/query"
        told = self.new.json("POST", path, json=body, repeatable=True)["result"]
        return told.get("list") or [], str(told.get("nextToken") or "")

    def approval(self, id_: str) -> Raw:
        """One approval with its form; its id stands beside what 钉钉 tells."""
        params = {"processInstanceId": id_}
        told = self.new.get("/v1.0/workflow/processInstances", params=params)["result"]
        return {"processInstanceId": id_, **told}

    def todos(self, owner: str, token: str, *, done: bool) -> tuple[list[Raw], str]:
        """To-dos of a colleague, and where the next ones are, or ""."""
        asked = {"isDone": done, **({"nextToken": token} if token else {})}
        path = f"/v1.0/todo/users/{owner}/org/tasks/query"
        told = self.new.json("POST", path, json=asked, repeatable=True)
        return told.get("todoCards") or [], str(told.get("nextToken") or "")

    def todo(self, operator: str, name: str) -> Raw | None:
        """One to-do by its id, or by ``sources/`` and the id it was given by us."""
        try:
            found = self.new.get(f"/v1.0/todo/users/{operator}/tasks/{name}")
        except RejectedError as exc:
            if not is_gone(exc):
                raise
            return None
        return found if found and found.get("id") else None
