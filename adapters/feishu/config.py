"""What a connection to one 飞书 or Lark app is configured with.

The first fields let events in; the others let the hub call 飞书, and each may be left out: what is
not configured is neither read nor written.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import Field, SecretStr

from hub.sdk import ConnectionConfig

NONE = SecretStr("")


class FeishuConfig(ConnectionConfig):
    encrypt_keys: tuple[SecretStr, ...] = Field(
        default=(),
        description="Encrypt Key of the app; with one, what is not signed with it is refused; two "
        "while it is changed",
        examples=[["ekeyEXAMPLE"]],
    )
    verification_tokens: tuple[SecretStr, ...] = Field(
        default=(),
        description="Verification Token of the app; two while it is changed",
        examples=[["vtokenEXAMPLE"]],
    )
    app_id: str = Field(
        default="", description="App ID (cli_…); with its secret the hub may call 飞书"
    )
    app_secret: SecretStr = Field(default=NONE, description="App Secret of that app")
    api_url: str = Field(
        default="https://open.feishu.cn",
        pattern=r"^https?://",
        description="Address of the API: https://open.larksuite.com for Lark",
    )
    address_book: bool = Field(default=False, description="Read the colleagues of the address book")
    departments: tuple[str, ...] = Field(
        default=("0",),
        description="Departments (od-…) below which colleagues are read; 0 is the whole company, "
        "and needs the whole address book as the app's scope",
    )
    bitable_app: str = Field(
        default="",
        description="The base (多维表格) that is read: what follows /base/ in its address",
    )
    bitable_table: str = Field(default="", description="Its table (tbl…)")
    bitable_modified: str = Field(
        default="",
        description="Name of a column of the kind 最后更新时间, by which changes are asked for; "
        "without one the whole table is read each time",
    )
    approval_codes: tuple[str, ...] = Field(
        default=(),
        description="Definitions of approvals (审批) that are read; new ones are of the first",
    )
    approval_days: int = Field(
        default=7,
        ge=1,
        le=60,
        description="Approvals begun within so many days are read again by each pull, because "
        "飞书 cannot be asked which of them changed",
    )
    approval_open_id: str = Field(
        default="", description="open_id of the colleague in whose name the hub begins approvals"
    )
    backfill_from: datetime | None = Field(
        default=None,
        description="Leave out approvals begun before this instant; 30 days are read without it",
    )
    customer_chats: tuple[str, ...] = Field(
        default=(),
        description="Chats with customers (chat_id oc_…): what is said there becomes messages",
    )
    bot_hook: SecretStr = Field(
        default=NONE,
        description="Key of a group's custom bot: what follows /hook/ in its address; for another "
        "group make another connection",
    )
    bot_secret: SecretStr = Field(
        default=NONE, description="Secret of that bot, where it checks signatures"
    )
    commands: tuple[str, ...] = Field(
        default=("/customer", "/客户"),
        description="What a question to the desk begins with; a telephone or mail address alone is "
        "one, too. None = the bot answers nobody",
    )
    askers: tuple[str, ...] = Field(
        default=(), description="open_ids of the colleagues who may ask; none = all colleagues"
    )
    page_size: int = Field(default=50, ge=1, le=50, description="Colleagues or approvals per call")
    bitable_page_size: int = Field(default=500, ge=1, le=500, description="Records per call")
