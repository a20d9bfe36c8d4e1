"""How a connection to 金蝶云星空 is configured."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field, SecretStr, model_validator

from hub.sdk import ConnectionConfig


class KingdeeConfig(ConnectionConfig):
    url: str = Field(
        pattern=r"^https?://[^/]+(/[^/]+)*$",
        description="Address of the installation, to /k3cloud",
        examples=["https://erp.example.com/k3cloud"],
    )
    acct_id: str = Field(
        min_length=1,
        description="Id of the data centre (账套 ID)",
        examples=["5f000000000001"],
    )
    username: str = Field(
        min_length=1,
        description="User the hub acts as, best one of its own",
        examples=["conduit"],
    )
    auth: Literal["signed", "login_sign", "login_secret", "password"] = Field(
        default="signed",
        description="How the hub proves itself: each request signed, or a session had by a "
        "signature, by the app's secret, or by the user's password",
    )
    app_id: str = Field(
        pattern=r"^\w*$",
        description="Id of the third-party app; empty with a password",
        examples=["200001_ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7"],
    )
    app_secret: SecretStr = Field(
        default=SecretStr(""), description="Secret of the app; with all but a password"
    )
    password: SecretStr = Field(
        default=SecretStr(""), description="Password of the user; only with auth = password"
    )
    lcid: int = Field(default=2052, description="Language of answers; 2052 is 简体中文")
    org_num: int = Field(
        default=0, description="Number of the organisation signed requests act in; 0 = the user's"
    )
    time_zone: str = Field(
        default="Asia/Shanghai", description="Zone of the server's clock (tz database)"
    )
    query: Literal["ExecuteBillQuery", "BillQuery"] = Field(
        default="ExecuteBillQuery", description="Service that answers queries"
    )
    page_size: int = Field(default=500, ge=1, le=2000, description="Rows per call; 2000 at most")
    filters: Mapping[str, str] = Field(
        default_factory=dict,
        description="By stream, a condition rows must meet, such as FUseOrgId.FNumber='100'",
    )
    more_columns: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="By stream, further columns of the head, such as fields of your own (F_…)",
    )
    currencies: Mapping[str, str] = Field(
        default_factory=dict,
        description="ISO codes of currencies of your own, by their number in Kingdee",
    )
    defaults: Mapping[str, Mapping[str, Any]] = Field(
        default_factory=dict,
        description="By stream (sales_orders.lines for lines), what a new record says beside "
        "what the hub knows: organisation, kind of document, currency",
    )
    approve: Literal["save", "submit", "audit"] = Field(
        default="audit", description="How far a new record is taken: stored, submitted, approved"
    )
    backfill_from: datetime | None = Field(
        default=None, description="Leave out what was last changed before this instant"
    )

    @model_validator(mode="after")
    def _has_a_secret(self) -> KingdeeConfig:
        by_password = self.auth == "password"
        if not (self.password if by_password else self.app_secret).get_secret_value():
            raise ValueError("password is missing" if by_password else "app_secret is missing")
        return self
