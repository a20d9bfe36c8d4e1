"""How a connection to 纷享销客 is configured: it asks, and may receive callbacks of an old app."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field, SecretStr

from hub.sdk import ConnectionConfig


class FxiaokeConfig(ConnectionConfig):
    app_id: str = Field(default="", description="Id of the app (FSAID_…); with app_secret")
    app_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Secret of the app; without it the connection only receives callbacks",
    )
    permanent_code: SecretStr = Field(
        default=SecretStr(""), description="Permanent authorisation code of the app"
    )
    user_id: str = Field(
        default="1000",
        description="Employee the hub acts as, best an administrator of the CRM; "
        "with style = body an openUserId (FSUID_…)",
    )
    style: Literal["header", "body"] = Field(
        default="header",
        description="Where a request shows its token: in headers, or in the body "
        "(corpAccessToken, the older way)",
    )
    url: str = Field(
        default="https://open.fxiaoke.com",
        pattern=r"^https?://[^/]+$",
        description="Address of the cloud the company is on: open-… before its own",
    )
    objects: Mapping[str, str] = Field(
        default_factory=dict,
        description="By stream, the object it is read from, where that is another than usual",
    )
    fields: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="By stream, the only fields to read; all, if not given",
    )
    marker_field: str = Field(
        default="hub_ref__c",
        pattern=r"^\w+$",
        description="Text field of your own on each object the hub writes to; it holds our mark",
    )
    defaults: Mapping[str, Mapping[str, Any]] = Field(
        default_factory=dict,
        description="By stream, what a new record says beside what the hub knows",
    )
    trigger_flows: bool = Field(
        default=False, description="Whether what the hub writes starts approvals and workflows"
    )
    page_size: int = Field(default=100, ge=1, le=100, description="Records per call; 100 at most")
    backfill_from: datetime | None = Field(
        default=None, description="Leave out what was last changed before this instant"
    )
    tokens: tuple[SecretStr, ...] = Field(
        default=(),
        description="Token of the app's callback settings; two while it is changed",
        examples=[["tokenEXAMPLE"]],
    )
    encoding_aes_keys: tuple[SecretStr, ...] = Field(
        default=(),
        description="EncodingAesKey of the callback settings, 43 letters; two while it is changed",
        examples=[["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"]],
    )

    @property
    def asks(self) -> bool:
        """Whether Fxiaoke may be asked, or only sends callbacks."""
        return bool(self.app_secret.get_secret_value())
