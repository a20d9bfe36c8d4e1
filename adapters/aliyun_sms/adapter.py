"""阿里云短信: send messages by template; what becomes of them comes by webhook.

The vendor knows no idempotency key: a message carries our marker as ``OutId``, and is looked for
by it before it is sent. What was sent a moment ago may not be told of yet, so that a lost answer is
still left to a person, who may then have it sent again safely.

Source: https://help.aliyun.com/zh/sms/developer-reference/api-dysmsapi-2017-05-25-sendsms (version
2017-05-25, checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import Any

from pydantic import Field, SecretStr

from adapters.aliyun_sms.messages import ANSWERS, SENT_ALREADY, UNSURE, filled, message_of, row_of
from adapters.aliyun_sms.webhook import AliyunSmsHookConfig
from hub.sdk import (
    Adapter,
    Change,
    ConfigError,
    Http,
    Raw,
    Receipt,
    RejectedError,
    RemoteError,
    RetryableError,
    Stream,
    UnknownOutcomeError,
    at,
    written,
    zone_of,
)
from hub.sdk.clouds import acs3

VERSION = "2017-05-25"
CHINA = zone_of("Asia/Shanghai")
SENT_MAX = 50
APPROVED = "1"


class AliyunSmsConfig(AliyunSmsHookConfig):
    access_key_id: str = Field(
        description="AccessKey ID of a RAM user", examples=["LTAI5tEXAMPLE0000000000"]
    )
    access_key_secret: SecretStr = Field(description="AccessKey secret of that user")
    sign_name: str = Field(
        description="Approved signature used where a rule names none", examples=["示例公司"]
    )
    template: str = Field(
        default="", description="Template used where a rule names none", examples=["SMS_123456789"]
    )
    text_param: str = Field(
        default="content", description="Variable of that template that takes a message's text"
    )
    api_url: str = Field(
        default="https://dysmsapi.aliyuncs.com", pattern=r"^https?://[^/]+$", description="Endpoint"
    )
    read_templates: bool = Field(
        default=True, description="Read templates once, so that the card shows what was sent"
    )
    look_back_days: int = Field(
        default=1,
        ge=0,
        le=29,
        description="Days before today on which an earlier try is looked for; a call for each",
    )


class AliyunSmsAdapter(Adapter[AliyunSmsConfig]):
    """One account. It only sends; rows come by ``AliyunSmsReceiver``."""

    streams = (Stream("messages", writable=True, whole=False),)

    def connect(self) -> Http:
        c = self.config
        return Http(
            c.api_url,
            sign=acs3(c.access_key_id, c.access_key_secret.get_secret_value()),
            raise_for_body=ANSWERS,
            raise_for_refusal=lambda _, body: ANSWERS(body),
        )

    def check(self) -> None:
        told = self._ask("QuerySmsSign", SignName=self.config.sign_name)
        if str(told.get("SignStatus")) != APPROVED:
            raise ConfigError(
                f"the signature is not approved: {told.get('SignStatus')}",
                hint=str(told.get("Reason") or "See 国内消息 → 签名管理 in the console."),
            )

    def push(self, stream: Stream, change: Change) -> Receipt:
        c = self.config
        told, params = message_of(change, c.text_param, sign=c.sign_name, template=c.template)
        if change.id not in (None, told["OutId"]):
            raise RejectedError("a message that was sent cannot be changed", hint=SENT_ALREADY)
        if change.id or self._was_sent(told["PhoneNumbers"], told["OutId"]):
            return Receipt(told["OutId"])
        text = self._text(told["TemplateCode"], params)
        try:
            answer = self._call("SendSms", told)
        except RetryableError as exc:
            if exc.code not in UNSURE:
                raise
            raise UnknownOutcomeError(str(exc), hint=exc.hint) from exc
        sent_at = written(self.http.now(), "local", CHINA)
        return Receipt(told["OutId"], row_of(told, text, answer.get("BizId"), sent_at))

    def _was_sent(self, phone: str, out_id: str) -> bool:
        today = self.http.now()
        for back in range(self.config.look_back_days + 1):
            day = written(today - timedelta(days=back), "%Y%m%d", CHINA)
            asked = {"PhoneNumber": phone, "SendDate": day, "PageSize": SENT_MAX, "CurrentPage": 1}
            found = at("SmsSendDetailDTOs.SmsSendDetailDTO", self._ask("QuerySendDetails", **asked))
            if any(one.get("OutId") == out_id for one in found or ()):
                return True
        return False

    def _text(self, code: str, params: Mapping[str, str]) -> str:
        """The words that will be sent; "" when they cannot be told."""
        if self.config.read_templates and code not in self._templates:
            try:
                told = self._ask("QuerySmsTemplate", TemplateCode=code)
            except (RemoteError, RejectedError):  # the message is worth more than its words here
                return ""
            self._templates[code] = str(told.get("TemplateContent") or "")
        return filled(self._templates.get(code, ""), params)

    @cached_property
    def _templates(self) -> dict[str, str]:
        return {}

    def _ask(self, action: str, **params: Any) -> Raw:
        return self._call(action, params, reads=True)

    def _call(self, action: str, params: Mapping[str, Any], *, reads: bool = False) -> Raw:
        headers = {"x-acs-action": action, "x-acs-version": VERSION}
        told: Raw = self.http.json(
            "POST", "/", params=dict(params), headers=headers, repeatable=reads
        )
        return told
