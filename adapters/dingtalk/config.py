"""What a connection to one 钉钉 app is configured with.

The first fields let events in; the others let the hub call 钉钉, and each may be left out: what is
not configured is neither read nor written.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field, SecretStr

from hub.sdk import ConnectionConfig

NONE = SecretStr("")


class DingtalkConfig(ConnectionConfig):
    owner_keys: tuple[str, ...] = Field(
        min_length=1,
        description="Whom the events are for: the app key (client id); the suite key of a "
        "third-party app; the corp id of events registered by a call. The first one is the app "
        "that the hub calls 钉钉 as",
        examples=[["dingappkeyEXAMPLE"]],
    )
    tokens: tuple[SecretStr, ...] = Field(
        default=(),
        description="Token of the event subscription; two while it is changed",
        examples=[["tokenEXAMPLE"]],
    )
    aes_keys: tuple[SecretStr, ...] = Field(
        default=(),
        description="aes_key of the event subscription, 43 letters; two while it is changed",
        examples=[["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"]],
    )
    app_secrets: tuple[SecretStr, ...] = Field(
        default=(),
        description="Secret of the app (client secret): its robot's messages in HTTP mode are "
        "proven with it, and the first one lets the hub call 钉钉",
        examples=[["SECexample0123456789"]],
    )
    api_url: str = Field(
        default="https://api.dingtalk.com",
        pattern=r"^https?://",
        description="Address of the newer API, which also hands out tokens and lines (Stream mode)",
    )
    oapi_url: str = Field(
        default="https://oapi.dingtalk.com",
        pattern=r"^https?://",
        description="Address of the older API: address book, work notices, group robots",
    )
    callback_topics: tuple[str, ...] = Field(
        default=("/v1.0/im/bot/messages/get",),
        description="What is received over the line beside all events. 钉钉 gives each message to "
        "one line only: leave out what another program of this app receives",
    )
    address_book: tuple[Literal["users", "extcontacts"], ...] = Field(
        default=(), description="What is read of the address book: colleagues, external contacts"
    )
    process_codes: tuple[str, ...] = Field(
        default=(),
        description="Templates (PROC-…) whose approvals are read; without one, approvals are what "
        "their events tell. New approvals are made from the first",
    )
    approval_days: int = Field(
        default=14,
        ge=1,
        le=120,
        description="Approvals begun within so many days are read again by each pull, because "
        "钉钉 cannot be asked which of them changed",
    )
    backfill_from: datetime | None = Field(
        default=None,
        description="Leave out approvals begun before this instant; 钉钉 gives a year, and 120 "
        "days are read without it",
    )
    approval_originator: str = Field(
        default="", description="userid of the colleague in whose name the hub begins approvals"
    )
    approval_dept: int = Field(
        default=-1, description="Department of that colleague; -1 is the whole company"
    )
    approval_mark: str = Field(
        default="",
        description="Label of a text field in the form for the hub's mark, by which an approval "
        "is found again after a lost answer; needed to begin approvals",
    )
    todo_operator: str = Field(
        default="", description="unionid of the colleague in whose name the hub makes to-dos"
    )
    todo_owners: tuple[str, ...] = Field(
        default=(), description="unionids of the colleagues whose to-dos are read"
    )
    agent_id: int | None = Field(
        default=None, description="AgentId of the app, for work notices (工作通知)"
    )
    robot_code: str = Field(
        default="", description="Code of the app's robot; its app key, if not given"
    )
    group_robot_token: SecretStr = Field(
        default=NONE,
        description="access_token in the address of a group's custom robot; for another group "
        "make another connection",
    )
    group_robot_secret: SecretStr = Field(
        default=NONE, description="Secret (SEC…) of that robot, where it checks signatures"
    )
    customer_chats: tuple[str, ...] = Field(
        default=(),
        description="Conversations with customers (conversationId): what is said there to the "
        "robot becomes messages",
    )
    commands: tuple[str, ...] = Field(
        default=("/customer", "/客户"),
        description="What a question to the desk begins with; a telephone or mail address alone is "
        "one, too. None = the bot answers nobody",
    )
    askers: tuple[str, ...] = Field(
        default=(), description="userids of the colleagues who may ask; none = all colleagues"
    )
    page_size: int = Field(default=100, ge=1, le=100, description="Rows per call")
