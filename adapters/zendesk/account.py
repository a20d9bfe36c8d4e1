"""One Zendesk account: how it is configured and how we are let in.

Source: https://developer.zendesk.com/api-reference/introduction/security-and-auth/ (checked
2026-11)
"""

from __future__ import annotations

from datetime import datetime

from pydantic import Field, SecretStr

from adapters.zendesk.signing import basic_auth
from hub.sdk import ConfigError, ConnectionConfig, Http
from hub.sdk.auth import OAuth2, TokenAuth, TokenStore


class ZendeskConfig(ConnectionConfig):
    signing_secrets: tuple[SecretStr, ...] = Field(
        default=(),
        description="Signing secret shown on the webhook's page; two while one is reset",
    )
    subdomain: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9-]*$",
        description="The part of the account's address before .zendesk.com",
    )
    url: str = Field(
        default="",
        pattern=r"^(https?://[^/]+)?$",
        description="Instead of `subdomain`: the whole address, without a path",
    )
    email: str = Field(
        default="",
        description="Login of the administrator who owns the API token",
    )
    api_token: SecretStr = Field(
        default=SecretStr(""), description="API token; without one, and without OAuth, we only hear"
    )
    client_id: str = Field(
        default="", description="Instead of a token: identifier of an OAuth client, for hub connect"
    )
    client_secret: SecretStr = Field(
        default=SecretStr(""), description="Secret of that OAuth client"
    )
    backfill_from: datetime | None = Field(
        default=None, description="Leave out what was last changed before this instant"
    )
    page_size: int = Field(default=1000, ge=1, le=1000, description="Rows per call of an export")

    @property
    def asks(self) -> bool:
        """Whether we were given a way to ask; otherwise we only hear."""
        return bool(self.api_token.get_secret_value() or self.client_id)

    @property
    def site(self) -> str:
        """The account's address.

        Raises:
            ConfigError: it is not known.
        """
        if self.url or self.subdomain:
            return self.url or f"https://{self.subdomain}.zendesk.com"
        raise ConfigError("the address of the account is missing", hint="Set subdomain.")

    def oauth(self) -> OAuth2:
        """The account's own authorisation server."""
        return OAuth2(
            f"{self.site}/oauth/tokens",
            client_id=self.client_id,
            client_secret=self.client_secret.get_secret_value(),
            authorize_url=f"{self.site}/oauth/authorizations/new",
            scope="read write",
            in_body=True,
        )

    def http(self, tokens: TokenStore) -> Http:
        """A client that is let in; by the token where there is one."""
        if not self.asks:
            raise ConfigError(
                "this connection only receives webhooks", hint="Set subdomain, email and api_token."
            )
        token = self.api_token.get_secret_value()
        auth = basic_auth(self.email, token) if token else TokenAuth(tokens, self.oauth().renew)
        return Http(f"{self.site}/api/v2", auth=auth)
