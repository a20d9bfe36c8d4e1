"""What a connection to 企业微信 is configured with: the callback, and what the app may do."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from adapters.wecom.webhook import WecomConfig

Part = Literal["contacts", "agents", "messages"]


class WecomAppConfig(WecomConfig):
    agent_id: int | None = Field(
        default=None, description="AgentId of the app; messages to members are sent by it"
    )
    reads: tuple[Part, ...] = Field(
        default=("contacts", "agents", "messages"),
        description="What is read; leave out what the app may not",
    )
    open_kfids: tuple[str, ...] = Field(
        default=(), description="Accounts of 微信客服 that are read; all, if none is named"
    )
    department: int = Field(default=1, description="Department whose members are read")
    page_size: int = Field(default=100, ge=1, le=100, description="Customers per call")
    repeat_s: int = Field(
        default=1800,
        ge=1,
        le=14400,
        description="So long WeCom drops a message to members that is equal to one before, in "
        "seconds",
    )
    api_url: str = Field(
        default="https://qyapi.weixin.qq.com",
        pattern=r"^https?://[^/]+$",
        description="Where WeCom's API is; another address for a private deployment",
    )
