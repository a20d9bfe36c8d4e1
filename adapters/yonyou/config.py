"""How a connection to 用友 YonBIP is configured: it receives events, and asks where it may."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field, SecretStr

from hub.sdk import ConnectionConfig


class YonyouConfig(ConnectionConfig):
    app_key: str = Field(
        min_length=1,
        description="Key of the app; the sealed texts name it",
        examples=["appKeyEXAMPLE"],
    )
    app_secrets: tuple[SecretStr, ...] = Field(
        min_length=1,
        description="Secret of the app; two while it is changed. The first asks for tokens",
        examples=[["0123456789abcdef0123456789abcdef"]],
    )
    reply: Literal["sealed", "plain"] = Field(
        default="sealed",
        description='How an event is answered: "success" sealed and signed, or in clear',
    )
    tenant_id: SecretStr = Field(
        default=SecretStr(""),
        description="Tenant whose data is read; without it the connection only receives events",
        examples=["tenantEXAMPLE"],
    )
    data_center_url: str = Field(
        default="https://apigateway.yonyoucloud.com",
        pattern=r"^https?://[^/]+$",
        description="Where the addresses of the tenant are asked for",
    )
    gateway_url: str = Field(
        default="",
        pattern=r"^(https?://.+[^/])?$",
        description="Address of the gateway, for an installation of your own; with token_url",
    )
    token_url: str = Field(
        default="",
        pattern=r"^(https?://.+[^/])?$",
        description="Address that gives tokens, for an installation of your own; with gateway_url",
    )
    page_size: int = Field(default=500, ge=2, le=5000, description="Rows per call")
    defaults: Mapping[str, Mapping[str, Any]] = Field(
        default_factory=dict,
        description="By stream, what a new record says beside what the hub knows, such as "
        "createOrgCode of a customer",
    )
    backfill_from: datetime | None = Field(
        default=None, description="Leave out what was last changed before this instant"
    )

    @property
    def asks(self) -> bool:
        """Whether YonBIP may be asked, or only sends events."""
        return bool(self.tenant_id.get_secret_value())
