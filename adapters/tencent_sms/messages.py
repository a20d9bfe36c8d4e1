"""腾讯云短信: what answers mean, what a template says, and what is known of a message once sent.

Source: https://cloud.tencent.com/document/api/382/52075 (checked 2026-11)
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hub.sdk import Answers, Change, Raw, RejectedError

_BUSY = (
    "RequestLimitExceeded",
    "RequestLimitExceeded.UinLimitExceeded",
    "ResourceInsufficient",
    "LimitExceeded.PhoneNumberThirtySecondLimit",
    "LimitExceeded.PhoneNumberOneHourLimit",
    "LimitExceeded.PhoneNumberDailyLimit",
    "LimitExceeded.DeliveryFrequencyLimit",
    "LimitExceeded.GlobalSmsSendingRateLimit",
    "LimitExceeded.DailyLimit",
    "LimitExceeded.AppDailyLimit",
    "LimitExceeded.AppMainlandChinaDailyLimit",
    "LimitExceeded.AppGlobalDailyLimit",
    "LimitExceeded.AppCountryOrRegionDailyLimit",
    "FailedOperation.InsufficientBalanceInSmsPackage",
    "FailedOperation.MarketingSendTimeConstraint",
    "UnauthorizedOperation.ServiceSuspendDueToArrears",
    "InternalError",
    "InternalError.OtherError",
    "InternalError.RequestTimeException",
    "InternalError.RestApiInterfaceNotExist",
    "InternalError.SendAndRecvFail",
    "InternalError.SigFieldMissing",
    "InternalError.Timeout",
    "InternalError.UnknownError",
)
UNSURE = (
    "InternalError",
    "InternalError.OtherError",
    "InternalError.SendAndRecvFail",
    "InternalError.Timeout",
    "InternalError.UnknownError",
)
"""Of these, the ones after which nobody knows whether a message was sent."""
_HINTS = {
    "LimitExceeded.PhoneNumberDailyLimit": "This number got as many messages as the application "
    "allows; it is tried again later.",
    "FailedOperation.InsufficientBalanceInSmsPackage": "Buy a package; it is tried again later.",
    "FailedOperation.SignatureIncorrectOrUnapproved": "The signature is not this account's, or "
    "not approved.",
    "FailedOperation.TemplateIncorrectOrUnapproved": "The template is not this account's, or not "
    "approved.",
    "UnauthorizedOperation.SmsSdkAppIdVerifyFail": "The SDK AppID is not this account's.",
    "AuthFailure.UnauthorizedOperation": "Grant the sub-user the actions named in the adapter's "
    "page.",
}

ANSWERS = Answers(
    code="Response.Error.Code",
    fine=(),
    auth=(
        "AuthFailure",
        "AuthFailure.InvalidAuthorization",
        "AuthFailure.InvalidSecretId",
        "AuthFailure.MFAFailure",
        "AuthFailure.SecretIdNotFound",
        "AuthFailure.SignatureExpire",
        "AuthFailure.SignatureFailure",
        "AuthFailure.TokenFailure",
        "AuthFailure.UnauthorizedOperation",
        "UnauthorizedOperation",
        "UnauthorizedOperation.RequestIpNotInWhitelist",
        "UnauthorizedOperation.RequestPermissionDeny",
        "UnauthorizedOperation.SdkAppIdIsDisabled",
        "UnauthorizedOperation.SmsSdkAppIdVerifyFail",
    ),
    busy=_BUSY,
    words="Response.Error.Message",
    hints=_HINTS,
)
SENT = Answers(
    code="Response.SendStatusSet[0].Code",
    fine=("Ok",),
    busy=_BUSY,
    words="Response.SendStatusSet[0].Message",
    hints=_HINTS,
)
"""What became of the one number of a request, which as such went well."""


SENT_ALREADY = 'A second message about a record wants a subject of its own: subject = "{ref}#2".'


def message_of(change: Change, app_id: str, *, sign: str, template: str) -> Raw:
    """The parameters of SendSms; signature and template where the change names none.

    Raises:
        RejectedError: it says not to whom, or by which template.
    """
    values = change.values
    params = values.get("TemplateParamSet")
    phone = str(values.get("PhoneNumber") or "")
    told = {
        "PhoneNumberSet": [phone if phone.startswith("+") else f"+86{phone}"],
        "SmsSdkAppId": app_id,
        "SignName": str(values.get("SignName") or sign),
        "TemplateId": str(values.get("TemplateId") or template),
        "TemplateParamSet": params_of(values.get("text") if params is None else params),
        "SessionContext": change.marker or change.key,
    }
    if not phone or not told["TemplateId"]:
        what = "template" if phone else "number"
        raise RejectedError(f"the message has no {what}", hint="Give it in the rule.")
    return told


def params_of(given: Any) -> list[str]:
    """A template's variables in their order; a rule may give a list, a table by number, or one."""
    if isinstance(given, Mapping):
        given = [given[name] for name in sorted(given, key=lambda n: (len(str(n)), str(n)))]
    told = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    return [str(value) for value in told if value is not None]


def filled(template: str, params: Sequence[str]) -> str:
    """The template with its ``{1}``, ``{2}`` … filled in."""
    known = {str(number): value for number, value in enumerate(params, start=1)}
    return re.sub(r"\{(\d+)\}", lambda m: known.get(m[1], m[0]), template)


def row_of(told: Raw, text: str, answer: Raw, sent_at: str) -> Raw:
    """A message just sent; its receipt is laid over this."""
    return {
        "sid": answer["SerialNo"],
        "phone": told["PhoneNumberSet"][0],
        "session_context": told["SessionContext"],
        "sent_at": sent_at,
        "sign": told["SignName"],
        "template_id": told["TemplateId"],
        "template_params": told["TemplateParamSet"],
        "fee": answer.get("Fee"),
        "text": text,
    }
