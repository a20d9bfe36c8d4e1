"""腾讯云短信: send messages by template; what becomes of them comes by webhook.

The vendor knows no idempotency key. Our marker travels as ``SessionContext``; only where the vendor
has enabled that statuses are asked for and hold it (``statuses``) can an earlier try be found, and
only once its receipt is there. So a lost answer is left to a person.

Source: https://cloud.tencent.com/document/api/382/55981 (version 2021-01-11, checked 2026-11)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from pydantic import Field, SecretStr

from adapters.tencent_sms.messages import (
    ANSWERS,
    SENT,
    SENT_ALREADY,
    UNSURE,
    filled,
    message_of,
    row_of,
)
from adapters.tencent_sms.webhook import TencentSmsHookConfig
from hub.sdk import (
    Adapter,
    Change,
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
)
from hub.sdk.clouds import tc3

VERSION = "2021-01-11"
KEPT = timedelta(days=7)
"""How long statuses can be asked for."""
STATUSES_MAX = 100
HOUR = "%Y%m%d%H"


class TencentSmsConfig(TencentSmsHookConfig):
    secret_id: str = Field(
        description="SecretId of a sub-user", examples=["AKIDEXAMPLE0000000000000000000000000"]
    )
    secret_key: SecretStr = Field(description="SecretKey of that user")
    sdk_app_id: str = Field(
        pattern=r"^\d+$",
        description="SDK AppID of the application in the SMS console",
        examples=["1400006666"],
    )
    sign_name: str = Field(
        description="Approved signature used where a rule names none", examples=["示例公司"]
    )
    template_id: str = Field(
        default="", description="Template used where a rule names none", examples=["449739"]
    )
    cloud_region: str = Field(default="ap-guangzhou", description="Region of the API")
    api_url: str = Field(
        default="https://sms.tencentcloudapi.com",
        pattern=r"^https?://[^/]+$",
        description="Endpoint",
    )
    read_templates: bool = Field(
        default=True, description="Read templates once, so that the card shows what was sent"
    )
    statuses: bool = Field(
        default=False,
        description="The vendor has enabled status queries with SessionContext for the account: "
        "look for an earlier try before sending",
    )


class TencentSmsAdapter(Adapter[TencentSmsConfig]):
    """One application. It only sends; rows come by ``TencentSmsReceiver``."""

    streams = (Stream("messages", writable=True, whole=False),)

    def connect(self) -> Http:
        c = self.config
        return Http(
            c.api_url,
            headers={"X-TC-Version": VERSION, "X-TC-Region": c.cloud_region},
            sign=tc3(c.secret_id, c.secret_key.get_secret_value(), "sms"),
            raise_for_body=ANSWERS,
        )

    def check(self) -> None:
        now = self.http.now()
        told = {"BeginTime": written(now - timedelta(days=1), HOUR), "EndTime": written(now, HOUR)}
        app = {"SmsSdkAppId": self.config.sdk_app_id, "Limit": 0, "Offset": 0}
        self._ask("SendStatusStatistics", {**told, **app})

    def push(self, stream: Stream, change: Change) -> Receipt:
        if change.id is not None:
            raise RejectedError("a message that was sent cannot be changed", hint=SENT_ALREADY)
        c = self.config
        told = message_of(change, c.sdk_app_id, sign=c.sign_name, template=c.template_id)
        if self.config.statuses and (sid := self._sent(told)):
            return Receipt(sid)
        text = self._text(told["TemplateId"], told["TemplateParamSet"])
        try:
            answer = self._call("SendSms", told)
            SENT(answer)
        except RetryableError as exc:
            if exc.code not in UNSURE:
                raise
            raise UnknownOutcomeError(str(exc), hint=exc.hint) from exc
        sent_at = written(self.http.now())
        done = answer["Response"]["SendStatusSet"][0]
        return Receipt(done["SerialNo"], row_of(told, text, done, sent_at))

    def _sent(self, told: Raw) -> str:
        """The vendor's number of an earlier try; "" when none is told of."""
        now: datetime = self.http.now()
        asked = {
            "PhoneNumber": told["PhoneNumberSet"][0],
            "SmsSdkAppId": told["SmsSdkAppId"],
            "BeginTime": int((now - KEPT).timestamp()),
            "EndTime": int(now.timestamp()),
            "Offset": 0,
            "Limit": STATUSES_MAX,
        }
        answer = self._ask("PullSmsSendStatusByPhoneNumber", asked)
        found = at("Response.PullSmsSendStatusSet", answer) or ()
        mine = (o["SerialNo"] for o in found if o.get("SessionContext") == told["SessionContext"])
        return next(mine, "")

    def _text(self, template_id: str, params: Sequence[str]) -> str:
        """The words that will be sent; "" when they cannot be told."""
        ask = self.config.read_templates and template_id not in self._templates
        if ask and template_id.isdecimal():
            asked = {"International": 0, "TemplateIdSet": [int(template_id)]}
            try:
                told = self._ask("DescribeSmsTemplateList", asked)
            except (RemoteError, RejectedError):  # the message is worth more than its words here
                return ""
            words = at("Response.DescribeTemplateStatusSet[0].TemplateContent", told)
            self._templates[template_id] = str(words or "")
        return filled(self._templates.get(template_id, ""), params)

    @cached_property
    def _templates(self) -> dict[str, str]:
        return {}

    def _ask(self, action: str, told: Mapping[str, Any]) -> Raw:
        return self._call(action, told, reads=True)

    def _call(self, action: str, told: Mapping[str, Any], *, reads: bool = False) -> Raw:
        headers = {"X-TC-Action": action}
        answer: Raw = self.http.json("POST", "/", json=told, headers=headers, repeatable=reads)
        return answer
