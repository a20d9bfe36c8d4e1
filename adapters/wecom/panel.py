"""The page in the sidebar of a chat (聊天工具栏): the card of the customer who is talked to.

WeCom opens the page by itself. It says who looks (OAuth2, ``snsapi_base``), and whom they talk to
once its script has taken two signatures of the page's address.

Source: https://developer.work.weixin.qq.com/document/path/94313, 91022 (checked 2026-11)
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from urllib.parse import urlencode

from adapters.wecom.signing import jsapi_signature
from hub.sdk import Asked, ConfigError, Panel, Raw, written

SCRIPTS = (
    "https://res.wx.qq.com/open/js/jweixin-1.2.0.js",
    "https://open.work.weixin.qq.com/wwopen/js/jwxwork-1.0.0.js",
)
"""WeCom's own, in this order: ``wx.agentConfig`` is the second one's."""

AUTHORIZE = "https://open.weixin.qq.com/connect/oauth2/authorize"
CUSTOMER = "external_userid"


class WecomPanel(Panel):
    """One self-built app; its address is among the app's 可信域名."""

    framed = False
    script = "panel.js"

    def loads(self) -> Sequence[str]:
        return SCRIPTS

    def told(self, url: str) -> Raw:
        nonce, instant = secrets.token_hex(8), written(self.adapter.http.now(), "s")
        signed = {
            kind: jsapi_signature(self.adapter.tickets.get(kind), nonce, instant, url)
            for kind in ("config", "agent_config")
        }
        return {
            "corp": self.adapter.corp_id,
            "agent": self._agent,
            "nonce": nonce,
            "timestamp": int(instant),
            **signed,
        }

    def sign_in_url(self, back: str, state: str) -> str:
        asked = {
            "appid": self.adapter.corp_id,
            "redirect_uri": back,
            "response_type": "code",
            "scope": "snsapi_base",
            "state": state,
            "agentid": self._agent,
        }
        return f"{AUTHORIZE}?{urlencode(asked)}#wechat_redirect"

    def member(self, code: str) -> str:
        return str(self.adapter.tickets.asker(code))

    def narrowed(self, asked: Asked, member: str) -> Asked:
        """Their own customers: the page may name any, so that the record has to be theirs."""
        type_, _, customer = asked.identifier.partition(":")
        is_one = type_ == CUSTOMER and customer and "/" not in customer
        return Asked(record=f"contacts/{member}/{customer}") if is_one else Asked()

    @property
    def _agent(self) -> int:
        agent = self.adapter.config.agent_id
        if agent is None:
            raise ConfigError("the sidebar is an app's", hint="Set agent_id of this connection.")
        return int(agent)
