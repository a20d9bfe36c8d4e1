"""The calls of one 飞书 app. Every answer holds a ``code``; 0 is success, whatever the status.

Source: https://open.feishu.cn/document/server-docs/api-call-guide/generic-error-code and
https://open.feishu.cn/document/server-docs/authentication-management/ (checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from adapters.feishu.config import FeishuConfig
from hub.sdk import Answers, AuthError, ConfigError, Http, Raw, RejectedError, at
from hub.sdk.auth import TokenAuth, Tokens, TokenStore

ANSWERS = Answers(
    code="code",
    auth=("99991661", "99991663", "99991664", "99991665", "99991668", "99991671", "20005"),
    busy=(
        *("99991400", "230020", "11232", "11233", "11247", "1500", "1663", "1668", "2200", "5000"),
        *("55001", "65001", "10101", "1254002", "1254036", "1395001"),
    ),
    words="msg",
    hints={
        "99991672": "Give the app the scope it lacks (权限管理), and publish a version.",
        "99991401": "Add the hub's address to the app's IP 白名单.",
        "99991403": "The calls of this month are used up: ask 飞书 for more.",
        "40004": "Widen the app's scope of the address book, and publish a version.",
        "41050": "Widen the app's scope of the address book, and publish a version.",
        "230002": "Add the app's bot to the chat.",
        "230006": "Switch the app's bot on, and publish a version.",
        "230013": "Make the app available to this colleague, and publish a version.",
        "1254040": "Compare bitable_app: it is in the address behind /base/, not behind /wiki/.",
        "1254302": "Add the app to the base as a collaborator.",
        "1254045": "A column of the mapping is not in the table: compare their names.",
        "19001": "The group's bot is gone: compare bot_hook.",
        "19021": "The group's bot refuses the signature: compare bot_secret.",
    },
)

GONE = frozenset({"60003", "41012", "40007", "99992351", "1254006", "1254043"})
"""Nobody and nothing of that id."""

UUID_TAKEN = "60012"

DEPARTMENTS = {"department_id_type": "open_department_id", "user_id_type": "open_id"}


def refused(status: int, body: Any) -> None:
    """What an answer of 400 and more says; where it says nothing better, the status counts."""
    code = str(at("code", body))
    if code in (*ANSWERS.auth, *ANSWERS.busy) or (status < 500 and status not in (401, 403, 429)):
        ANSWERS(body)


def client(config: FeishuConfig, store: TokenStore) -> Http:
    """A client with the app's own token (tenant_access_token)."""
    base = f"{config.api_url.rstrip('/')}/open-apis"

    def fetch(http: Http, _: Tokens | None) -> Tokens:
        secret = config.app_secret.get_secret_value()
        if not secret:
            raise ConfigError("calls need the app", hint="Set app_id and app_secret.")
        app = {"app_id": config.app_id, "app_secret": secret}
        url, told = f"{base}/auth/v3/tenant_access_token/internal", None
        with suppress(RejectedError):
            told = http.json("POST", url, json=app, repeatable=True)
        if not isinstance(told, dict) or not told.get("tenant_access_token"):
            raise AuthError(
                "飞书 gives the app no token", hint="Compare app_id and app_secret with the app's."
            )
        return Tokens.lasting(str(told["tenant_access_token"]), told.get("expire"))

    auth = TokenAuth(store, fetch, raise_for_body=ANSWERS)
    return Http(base, auth=auth, raise_for_body=ANSWERS, raise_for_refusal=refused)


def group_bot(config: FeishuConfig) -> Http:
    """A client for the custom bot of a group, whose address is its secret."""
    key = config.bot_hook.get_secret_value()
    base = f"{config.api_url.rstrip('/')}/open-apis/bot/v2/hook/{quote(key, safe='')}"
    return Http(base, raise_for_body=ANSWERS, raise_for_refusal=refused, hidden=[key])


def is_gone(exc: RejectedError) -> bool:
    """Whether a refusal says that there is no such record."""
    return exc.code in GONE


class Account:
    """What the hub asks of one tenant."""

    def __init__(self, http: Http, config: FeishuConfig) -> None:
        self.http, self.config = http, config
        base, table = quote(config.bitable_app, safe=""), quote(config.bitable_table, safe="")
        self.table = f"/bitable/v1/apps/{base}/tables/{table}/records"

    def ask(self, method: str, path: str, *, token: str = "", **kwargs: Any) -> Any:
        """What the answer holds; ``token`` is a place in a list."""
        params = {**kwargs.pop("params", {}), **({"page_token": token} if token else {})}
        return self.http.json(method, path, params=params, repeatable=True, **kwargs)["data"]

    def members(self, department: str, token: str) -> tuple[list[Raw], str]:
        """Colleagues right in a department, and where the next ones are, or ""."""
        asked = {**DEPARTMENTS, "department_id": department, "page_size": self.config.page_size}
        path = "/contact/v3/users/find_by_department"
        return _page(self.ask("GET", path, params=asked, token=token))

    def departments(self, parent: str) -> list[str]:
        """The departments right below one."""
        path = f"/contact/v3/departments/{quote(parent, safe='')}/children"
        asked = {**DEPARTMENTS, "page_size": self.config.page_size}
        found, token = _page(self.ask("GET", path, params=asked))
        while token:
            more, token = _page(self.ask("GET", path, params=asked, token=token))
            found += more
        return [str(one["open_department_id"]) for one in found]

    def user(self, open_id: str) -> Raw:
        """One colleague."""
        path = f"/contact/v3/users/{quote(open_id, safe='')}"
        found: Raw = self.ask("GET", path, params=DEPARTMENTS)["user"]
        return found

    def search(self, body: Raw, token: str) -> tuple[list[Raw], str]:
        """Records of the table, and where the next ones are, or ""."""
        asked = {"user_id_type": "open_id", "page_size": self.config.bitable_page_size}
        body = {**body, "automatic_fields": True}
        return _page(self.ask("POST", f"{self.table}/search", params=asked, json=body, token=token))

    def record(self, id_: str) -> Raw | None:
        """One record of the table."""
        asked = {"record_ids": [id_], "user_id_type": "open_id", "automatic_fields": True}
        told = self.ask("POST", f"{self.table}/batch_get", json=asked)
        return next(iter(told.get("records") or ()), None)

    def instances(self, code: str, window: Sequence[int]) -> list[str]:
        """Ids of approvals begun in a window of ten hours at most."""
        asked = {
            "approval_code": code,
            "start_time": window[0],
            "end_time": window[1],
            "page_size": self.config.page_size,
        }
        found: list[str] = []
        token = ""
        while True:
            told = self.ask("GET", "/approval/v4/instances", params=asked, token=token)
            found += told.get("instance_code_list") or []
            token = _next(told)
            if not token:
                return found

    def instance(self, id_: str) -> Raw:
        """One approval, by its code or by the uuid it was made with."""
        path = f"/approval/v4/instances/{quote(id_, safe='')}"
        found: Raw = self.ask("GET", path, params={"user_id_type": "open_id"})
        return found


def _page(told: Any) -> tuple[list[Raw], str]:
    return told.get("items") or [], _next(told)


def _next(told: Any) -> str:
    return str(told.get("page_token") or "") if told.get("has_more") else ""
