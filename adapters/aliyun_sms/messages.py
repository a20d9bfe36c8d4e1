"""阿里云短信: what answers mean, what a template says, and what is known of a message once sent.

Source: https://help.aliyun.com/zh/sms/developer-reference/api-error-codes (checked 2026-11)
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from adapters.aliyun_sms.webhook import MINE
from hub.sdk import Answers, Change, Raw, RejectedError

ANSWERS = Answers(
    code="Code",
    fine=("OK",),
    auth=(
        "InvalidAccessKeyId.NotFound",
        "InvalidAccessKeyId.Inactive",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "InvalidTimeStamp.Expired",
        "InvalidSecurityToken.Expired",
        "Forbidden.RAM",
        "NoPermission",
        "isp.RAM_PERMISSION_DENY",
    ),
    busy=(
        "isv.BUSINESS_LIMIT_CONTROL",
        "isv.DAY_LIMIT_CONTROL",
        "isv.MONTH_LIMIT_CONTROL",
        "isv.AMOUNT_NOT_ENOUGH",
        "isv.OUT_OF_SERVICE",
        "isv.ACCOUNT_ABNORMAL",
        "isp.SYSTEM_ERROR",
        "isp.GATEWAY_ERROR",
        "Throttling",
        "Throttling.User",
        "Throttling.Api",
        "ServiceUnavailable",
        "ServiceUnavailableTemporary",
        "InternalError",
    ),
    words="Message",
    hints={
        "isv.BUSINESS_LIMIT_CONTROL": "This number got as many messages as the signature allows; "
        "it is tried again later.",
        "isv.AMOUNT_NOT_ENOUGH": "Top up the account or buy a package; it is tried again later.",
        "isv.OUT_OF_SERVICE": "Top up the account; it is tried again later.",
        "isv.SMS_SIGNATURE_ILLEGAL": "The signature is not this account's, or not approved.",
        "isv.SMS_TEMPLATE_ILLEGAL": "The template is not this account's, or not approved.",
        "Forbidden.RAM": "Grant the RAM user the actions named in the adapter's page.",
    },
)


UNSURE = ("isp.SYSTEM_ERROR", "isp.GATEWAY_ERROR", "InternalError")
"""Of the busy answers, those after which nobody knows whether a message was sent."""

SENT_ALREADY = 'A second message about a record wants a subject of its own: subject = "{ref}#2".'


def message_of(
    change: Change, text_param: str, *, sign: str, template: str
) -> tuple[dict[str, str], dict[str, str]]:
    """The parameters of SendSms, and the template's variables.

    Raises:
        RejectedError: it says not to whom, or by which template.
    """
    values = change.values
    text = {text_param: values["text"]} if values.get("text") else {}
    params = params_of(values.get("TemplateParam") or text)
    told = {
        "PhoneNumbers": str(values.get("PhoneNumbers") or "").removeprefix("+86"),
        "SignName": str(values.get("SignName") or sign),
        "TemplateCode": str(values.get("TemplateCode") or template),
        "OutId": change.marker or f"{MINE}{change.key[:16]}",
    }
    if missing := [name for name, value in told.items() if not value]:
        raise RejectedError(f"the message has no {missing[0]}", hint="Give it in the rule.")
    if params:
        told["TemplateParam"] = json.dumps(params, ensure_ascii=False, separators=(",", ":"))
    return told, params


def params_of(given: Any) -> dict[str, str]:
    """A template's variables; a rule may give them as a table, or as JSON.

    Raises:
        RejectedError: they are neither.
    """
    try:
        told = json.loads(given) if isinstance(given, str) else given
        return {str(name): str(value) for name, value in (told or {}).items()}
    except (ValueError, AttributeError) as exc:
        hint = 'Write them as a table, such as extra = {params = {name = "…"}}.'
        raise RejectedError("the template's variables cannot be read", hint=hint) from exc


def filled(template: str, params: Mapping[str, str]) -> str:
    """The template with its ``${variables}`` filled in."""
    return re.sub(r"\$\{(\w+)\}", lambda m: params.get(m[1], m[0]), template)


def row_of(told: Mapping[str, str], text: str, biz_id: Any, sent_at: str) -> Raw:
    """A message just sent, in the words of a receipt."""
    return {
        "id": told["OutId"],
        "out_id": told["OutId"],
        "biz_id": biz_id,
        "phone_number": told["PhoneNumbers"],
        "send_time": sent_at,
        "sign_name": told["SignName"],
        "template_code": told["TemplateCode"],
        "template_param": told.get("TemplateParam"),
        "text": text,
    }
