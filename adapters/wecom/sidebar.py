"""What a page in the sidebar of a chat needs: tickets to sign it with, and who looks at it.

``wx.config`` is signed with the corp's ticket, ``wx.agentConfig`` with the app's; see
``signing.jsapi_signature``. Beside them the page needs the corp id and the app's ``agent_id``.

Source: https://developer.work.weixin.qq.com/document/path/90506 (checked 2026-11)
"""

from __future__ import annotations

from typing import Literal

from adapters.wecom.corp import Corp
from hub.sdk import Http
from hub.sdk.auth import Fetch, MemoryTokens, TokenAuth, Tokens

Kind = Literal["config", "agent_config"]

CALLS: dict[Kind, tuple[str, dict[str, str]]] = {
    "config": ("corp_ticket", {}),
    "agent_config": ("app_ticket", {"type": "agent_config"}),
}


class Tickets:
    """Tickets of one app, kept as long as they last, by each process for itself."""

    def __init__(self, corp: Corp) -> None:
        self._corp = corp
        self._kept = {kind: TokenAuth(MemoryTokens(), self._fetch(kind)) for kind in CALLS}

    def get(self, kind: Kind) -> str:
        """The ticket of that kind, renewed when it is time."""
        return self._kept[kind].current().access

    def asker(self, code: str) -> str:
        """The member whom WeCom's sign-in sent with this code; "" for anybody else."""
        return str(self._corp.get("asker", code=code).get("userid") or "")

    def _fetch(self, kind: Kind) -> Fetch:
        name, more = CALLS[kind]

        def fetch(_: Http, __: Tokens | None) -> Tokens:
            told = self._corp.get(name, **more)
            return Tokens.lasting(told["ticket"], told["expires_in"])

        return fetch
