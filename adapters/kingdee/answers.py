"""What 金蝶云星空 says no with: status 200, a nested list, or the gateway's own codes.

``ErrorCode`` and ``MsgCode`` have no published table, so that words decide where they must; every
other refusal is final and shows the vendor's sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from hub.sdk import Answers, AuthError, ConflictError, RejectedError, RetryableError, at

SESSION_LOST = "1"
"""``MsgCode`` of a session that ended."""

WORDS: tuple[tuple[str, Callable[..., Exception]], ...] = (
    ("会话信息已丢失|重新登录|session.*(lost|expired)", AuthError),
    ("网控|网络冲突|请稍[后候]", partial(RetryableError, maybe_done=False)),
    ("唯一性|已经?被使用|已经?存在", ConflictError),
)

SAID_MAX = 300

_GATEWAY = Answers(
    code="errcode",
    auth=("4001", "4002", "4003", "4004", "4005", "4006"),
    words="description_cn || description",
)


def raise_for_body(body: Any) -> None:
    """Return when the answer holds what was asked for.

    Raises:
        AuthError: the session is gone, or the signature is not taken.
        RetryableError: somebody else holds the record now.
        ConflictError: the number is taken.
        RejectedError: anything else.
    """
    status = at("Result.ResponseStatus", _inner(body))
    if not isinstance(status, dict) or str(status.get("IsSuccess")).lower() == "true":
        return
    words = "; ".join(_sentences(status))[:SAID_MAX]
    lost = str(status.get("MsgCode")) == SESSION_LOST
    found = (error for pattern, error in WORDS if re.search(pattern, words, re.IGNORECASE))
    error = AuthError if lost else next(found, RejectedError)
    raise error("Kingdee refused", hint=words)


def raise_for_gateway(_: int, body: Any) -> None:
    """Kingdee's public cloud stands behind a gateway, which answers 519 and a code.

    With other codes it did not reach the server, or lost its answer: the status tells as much.
    """
    if str(at("errcode", body)) in _GATEWAY.auth:
        _GATEWAY(body)


def _inner(body: Any) -> Any:
    """The error of a query lies in a list of a list."""
    while isinstance(body, list) and body:
        body = body[0]
    return body


def _sentences(status: dict[str, Any]) -> list[str]:
    told = [one for one in status.get("Errors") or () if isinstance(one, dict)]
    return [
        ": ".join(str(one[name]) for name in ("FieldName", "Message") if one.get(name))
        for one in told
    ]
