"""One Chatwoot account: how it is configured and how we are let in.

Source: https://developers.chatwoot.com/api-reference/introduction (checked 2026-11)
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field, SecretStr

from hub.sdk import AuthError, ConfigError, ConnectionConfig, Http


class ChatwootConfig(ConnectionConfig):
    secrets: tuple[SecretStr, ...] = Field(
        default=(),
        description="Secret Chatwoot made for the webhook; with one, unsigned events are refused",
    )
    path_tokens: tuple[SecretStr, ...] = Field(
        default=(),
        description="Only for servers that sign nothing, and used only without `secrets`: secret "
        "last part of the address, /hooks/<connection>/<token>",
    )
    url: str = Field(
        default="",
        pattern=r"^(https?://[^/]+)?$",
        description="Address of the server, without a path",
    )
    account_id: int = Field(
        default=1, ge=1, description="Number of the account, as in /app/accounts/<number>"
    )
    api_access_token: SecretStr = Field(
        default=SecretStr(""),
        description="Access token of an administrator's profile; without one we only hear",
    )
    backfill_from: datetime | None = Field(
        default=None, description="Leave out what was last active before this instant"
    )

    @property
    def asks(self) -> bool:
        """Whether we were given a way to ask; otherwise we only hear."""
        return bool(self.api_access_token.get_secret_value())

    def http(self) -> Http:
        """A client that is let in."""
        if not (self.asks and self.url):
            raise ConfigError(
                "this connection only receives webhooks", hint="Set url and api_access_token."
            )
        token = self.api_access_token.get_secret_value()
        base = f"{self.url}/api/v1/accounts/{self.account_id}"
        headers = {"api_access_token": token}
        return Http(base, headers=headers, raise_for_refusal=_raise_for_refusal)


def _raise_for_refusal(status: int, _: Any) -> None:
    if status == 401:
        raise AuthError(
            "Chatwoot does not know the token",
            hint="Check api_access_token. Behind nginx: does it let the header through "
            "(underscores_in_headers on)?",
        )
