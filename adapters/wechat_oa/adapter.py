"""公众号: followers, and messages to them within 48 hours or by template.

A row of ``users`` is a follower as ``user/info`` gives it; who left is ``subscribe`` 0 and stays.
Messages come by callback alone. What the account sends is told by nobody, so that its receipts
make the rows; they have ``to_openid``.

Source: https://developers.weixin.qq.com/doc/service/api/ (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice

from pydantic import Field

from adapters.wechat_oa.answers import ANSWERS, BATCH, DONE, NOBODY, PATHS
from adapters.wechat_oa.sending import send
from adapters.wechat_oa.webhook import WechatConfig
from hub.sdk import (
    Adapter,
    Change,
    Http,
    Page,
    Raw,
    Receipt,
    RecordRef,
    RejectedError,
    Sighting,
    Stream,
    Survey,
    UnsupportedError,
    at,
)
from hub.sdk.auth import TokenAuth, Tokens


class WechatAccountConfig(WechatConfig):
    language: str = Field(default="zh_CN", description="Language of places in a follower's record")
    api_url: str = Field(
        default="https://api.weixin.qq.com",
        pattern=r"^https?://[^/]+$",
        description="Where WeChat's API is",
    )


class WechatAdapter(Adapter[WechatAccountConfig]):
    """One account. Without its secret nothing is asked, only received."""

    streams = (
        Stream("users", every_s=86400.0),
        Stream("messages", writable=True, every_s=86400.0, whole=False),
        Stream("notices", writable=True, every_s=86400.0, whole=False),
    )

    def connect(self) -> Http:
        auth = TokenAuth(
            self.tokens,
            self._token,
            carry=lambda tokens: {"params": {"access_token": tokens.access}},
            raise_for_body=ANSWERS,
        )
        return Http(self.config.api_url, auth=auth, raise_for_body=ANSWERS)

    def _token(self, http: Http, _: Tokens | None) -> Tokens:
        asked = {
            "grant_type": "client_credential",
            "appid": self.config.app_id,
            "secret": self.config.app_secret.get_secret_value(),
            "force_refresh": False,  # others may use the token, too: it stays the same for all
        }
        url = f"{self.config.api_url}{PATHS['token']}"
        told = http.json("POST", url, json=asked, repeatable=True)
        return Tokens.lasting(told["access_token"], told["expires_in"])

    def check(self) -> None:
        if self.config.may_ask:  # who takes callbacks only has nothing to try
            self._listed("")

    def reads(self, stream: Stream) -> bool:
        return stream.name == "users" and self.config.may_ask

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        if stream.name != "users" or not self.config.may_ask:
            return
        openids = self._openids(json.loads(cursor or DONE).get("after", ""))
        some = list(islice(openids, BATCH))
        while some:
            following = list(islice(openids, BATCH))
            place = json.dumps({"after": some[-1]}) if following else DONE
            yield Page(self._users(some), place)
            some = following

    def survey(self, stream: Stream, cursor: str | None) -> Iterator[Survey]:
        if stream.name != "users" or not self.config.may_ask:
            raise UnsupportedError(f"{stream.name} cannot be listed")
        while openids := self._listed(cursor or ""):
            cursor = openids[-1]
            yield Survey([Sighting(openid) for openid in openids], cursor)
        yield Survey([], None)

    def fetch(self, ref: RecordRef) -> Raw | None:
        if ref.stream != "users":
            raise UnsupportedError(f"WeChat shows no single record of {ref.stream}")
        asked = {"openid": ref.id, "lang": self.config.language}
        try:
            found: Raw = self.http.get(PATHS["user"], params=asked)
        except RejectedError as exc:
            if exc.code in NOBODY:
                return None
            raise
        return found

    def push(self, stream: Stream, change: Change) -> Receipt:
        return send(self.http, stream.name, change)

    def _listed(self, after: str) -> list[str]:
        told = self.http.get(PATHS["users"], params={"next_openid": after} if after else {})
        return [openid for openid in at("data.openid", told) or () if openid != after]

    def _openids(self, after: str) -> Iterator[str]:
        while openids := self._listed(after):
            yield from openids
            after = openids[-1]

    def _users(self, openids: list[str]) -> list[Raw]:
        asked = [{"openid": openid, "lang": self.config.language} for openid in openids]
        told = self.http.json("POST", PATHS["several"], json={"user_list": asked}, repeatable=True)
        found: list[Raw] = told["user_info_list"]
        return found
