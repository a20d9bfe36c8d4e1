"""How 金蝶云星空 lets the hub in: by signed requests, or by a session.

The arguments of a log-in are sent by position: their names are spelt in several ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from adapters.kingdee.config import KingdeeConfig
from adapters.kingdee.signing import login_sign, signed_headers
from hub.sdk import AuthError, Http, Outgoing
from hub.sdk.auth import Tokens

COOKIE = "kdservice-sessionid"

SERVICES = {
    "login_sign": "LoginBySign",
    "login_secret": "LoginByAppSecret",
    "password": "ValidateUser",
}

LET_IN = ("1", "-5")
"""``LoginResultType`` of success; -5 advises to change the password."""

LASTS_S = 20 * 60.0
"""Nobody tells how long a session lives. One that ended is noticed; a new one costs a call."""


def sign(config: KingdeeConfig, request: Outgoing, at: datetime) -> None:
    """Put the proof of who asks into the headers of a request."""
    headers = signed_headers(
        urlsplit(str(request.url)).path,
        acct_id=config.acct_id,
        username=config.username,
        app_id=config.app_id,
        app_secret=config.app_secret.get_secret_value(),
        timestamp=int(at.timestamp()),
        lcid=config.lcid,
        org_num=config.org_num,
    )
    request.headers.update(headers)


def log_in(http: Http, path: str, config: KingdeeConfig) -> Tokens:
    """A new session.

    Raises:
        AuthError: user or secret are not taken.
    """
    told = _parameters(config, http.now())
    address = f"{config.url}{path.format(SERVICES[config.auth])}"
    body = http.json("POST", address, json={"parameters": told}, repeatable=True)
    said: Mapping[str, Any] = body if isinstance(body, dict) else {}
    session = said.get("KDSVCSessionId")
    if str(said.get("LoginResultType")) not in LET_IN or not session:
        words = str(said.get("Message") or "")[:300]
        raise AuthError("Kingdee does not let the user in", hint=words)
    return Tokens.lasting(str(session), LASTS_S)


def shown(tokens: Tokens) -> dict[str, dict[str, str]]:
    """How a request names its session."""
    return {"headers": {COOKIE: tokens.access, "Cookie": f"{COOKIE}={tokens.access}"}}


def _parameters(config: KingdeeConfig, now: datetime) -> list[str | int]:
    who = [config.acct_id, config.username]
    secret = config.app_secret.get_secret_value()
    if config.auth == "password":
        return [*who, config.password.get_secret_value(), config.lcid]
    if config.auth == "login_secret":
        return [*who, config.app_id, secret, config.lcid]
    at = int(now.timestamp())
    proof = login_sign(config.acct_id, config.username, config.app_id, secret, at)
    return [*who, config.app_id, at, proof, config.lcid]
