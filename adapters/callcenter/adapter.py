"""Calls listed by the API of a call centre that has one: 腾讯云联络中心 and 阿里云云联络中心.

A call is listed by when it began, and its recording, its survey and its text come hours later: each
scan begins some hours before the last one began. Within one scan a page may only grow by calls that
come late, which moves others to a later page, so that none is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field, SecretStr

from adapters.callcenter.preset import Api
from adapters.callcenter.webhook import CallCenterHookConfig
from hub.sdk import (
    Adapter,
    ConfigError,
    Http,
    Page,
    Raw,
    Stream,
    UnsupportedError,
    at,
    scan,
    written,
)
from hub.sdk.clouds import acs3, tc3

SPAN_S = 7 * 24 * 3600
"""Of one query; the vendors allow no more than some weeks."""


class CallCenterConfig(CallCenterHookConfig):
    instance: str = Field(
        default="", description="腾讯云: SdkAppId of the application; 阿里云: id of the instance"
    )
    access_key_id: str = Field(default="", description="Id of the API key that lists calls")
    access_key_secret: SecretStr = Field(
        default=SecretStr(""), description="Its secret; without it calls come by webhook alone"
    )
    api_url: str = Field(
        default="",
        pattern=r"^(https?://[^/]+)?$",
        description="Endpoint, where it is not the preset's (阿里云: the instance's region)",
        examples=["https://ccc.cn-hangzhou.aliyuncs.com"],
    )
    backfill_days: int = Field(
        default=30, ge=0, le=180, description="Days before the first pull of which calls are read"
    )


class CallCenterAdapter(Adapter[CallCenterConfig]):
    """One call centre; where it has no API, or no key was given, nothing is pulled."""

    streams = (Stream("calls", every_s=300, overlap_s=3 * 3600, whole=False),)

    def connect(self) -> Http:
        c, api = self.config, self._api()
        secret = c.access_key_secret.get_secret_value()
        by_tc3 = api.auth == "tc3"
        sign = (
            tc3(c.access_key_id, secret, api.service) if by_tc3 else acs3(c.access_key_id, secret)
        )
        return Http(
            c.api_url or api.url,
            sign=sign,
            raise_for_body=api.answers,
            raise_for_refusal=lambda _, body: api.answers(body),
        )

    def check(self) -> None:
        if self._has_key:
            now = self.http.now()
            self._list(_second(now) - 60, _second(now), self._api().first, size=1)
        elif not (self.config.asks or self.config.whole().recipe):
            raise ConfigError(
                "nothing is configured that would prove the sender",
                hint="Configure path_tokens or another proof, or the key of the API.",
            )

    def reads(self, stream: Stream) -> bool:
        return self._has_key

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        if not self._has_key:
            return
        api, preset = self._api(), self.config.whole()

        def read(since: datetime | None, position: str) -> tuple[list[Raw], str | None]:
            now = self.http.now()
            first = since or now - timedelta(days=self.config.backfill_days)
            begin, end, page = _place(position) or (_second(first), _second(now), api.first)
            part = min(end, begin + SPAN_S)
            found = self._list(begin, part, page, size=api.most)
            onward = None
            if len(found) >= api.most:
                onward = f"{begin}/{end}/{page + 1}"
            elif part < end:
                onward = f"{part}/{end}/{api.first}"
            return list(preset.calls(found)), onward

        yield from scan(read, cursor, now=self.http.now, overlap_s=stream.overlap_s)

    def _list(self, begin: int, end: int, page: int, *, size: int) -> list[Raw]:
        api, instance = self._api(), self.config.instance
        scale = 1000 if api.unit == "ms" else 1
        told: dict[str, Any] = {
            api.since: begin * scale,
            api.until: end * scale,
            api.page: page,
            api.size: size,
        }
        if api.auth == "acs3":
            params = {**told, api.instance: instance}
            headers = {"x-acs-action": api.action, "x-acs-version": api.version}
            body = self.http.json("POST", "/", params=params, headers=headers, repeatable=True)
        else:
            told[api.instance] = int(instance or 0)
            headers = {"X-TC-Action": api.action, "X-TC-Version": api.version}
            body = self.http.json("POST", "/", json=told, headers=headers, repeatable=True)
        return at(api.items, body) or []

    @property
    def _has_key(self) -> bool:
        secret = self.config.access_key_secret.get_secret_value()
        return bool(secret) and self.config.whole().api is not None

    def _api(self) -> Api:
        api = self.config.whole().api
        if api is None:
            raise UnsupportedError("this call centre has no API that lists calls")
        return api


def _place(position: str) -> tuple[int, int, int] | None:
    if not position:
        return None
    begin, end, page = map(int, position.split("/"))
    return begin, end, page


def _second(moment: datetime) -> int:
    return int(written(moment, "s"))
