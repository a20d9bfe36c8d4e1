"""One Slack app in one workspace: how it is configured, how we are let in, what its noes mean.

Source: https://docs.slack.dev/apis/web-api/ (checked 2026-11)
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from pydantic import Field, SecretStr

from hub.sdk import Answers, ConfigError, ConnectionConfig, Http

ANSWERS = Answers(
    code="(ok && 'ok') || error || 'no'",
    fine=("ok",),
    auth=(
        "invalid_auth",
        "not_authed",
        "account_inactive",
        "token_revoked",
        "token_expired",
        "missing_scope",
        "no_permission",
        "org_login_required",
        "ekm_access_denied",
        "access_denied",
    ),
    busy=(
        "ratelimited",
        "rate_limited",
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
        "team_added_to_org",
    ),
    gone=("user_not_found", "users_not_found"),
    words="needed && join(' ', ['missing scope:', needed]) || response_metadata.messages[0]"
    " || error",
    hints={
        "not_in_channel": "Invite the app into the channel: /invite and its name.",
        "channel_not_found": "Check the channel's id, and invite the app if it is a private one.",
        "is_archived": "The channel is archived: name another one.",
    },
)  # fmt: skip


class SlackConfig(ConnectionConfig):
    signing_secrets: tuple[SecretStr, ...] = Field(
        min_length=1,
        description="Signing Secret of the app (Basic Information); two while one is rotated",
    )
    bot_token: SecretStr = Field(
        default=SecretStr(""),
        description="Bot User OAuth Token (xoxb-…) of the app; without one we only hear",
    )
    commands: tuple[str, ...] = Field(
        default=(),
        description="Slash commands that ask the desk; none = every command of the app",
    )
    askers: tuple[str, ...] = Field(
        default=(),
        description="Who may ask the desk, as ids or patterns such as U061F7AUR; none = whoever "
        "Slack lets use the app's commands, guests of the workspace among them",
    )
    unfurl: bool = Field(
        default=True,
        description="A card's address in a conversation gets a line that names nobody",
    )
    customer_channels: tuple[str, ...] = Field(
        default=(),
        description="Ids of channels in which customers write (Slack Connect): what is said there "
        "becomes part of their timeline",
    )
    team_id: str = Field(
        default="",
        pattern=r"^([TE]\w+)?$",
        description="Id of our own workspace, where events do not tell it; who writes in a "
        "customers' channel and is of another one is a customer",
    )
    api_url: str = Field(
        default="https://slack.com/api",
        pattern=r"^https?://",
        description="Where the Web API is; https://slack-gov.com/api for GovSlack",
    )
    hooks_url: str = Field(
        default="https://hooks.slack.com/",
        pattern=r"^https?://[^/]+/$",
        description="What the addresses begin with to which a command may be answered",
    )
    page_size: int = Field(default=200, ge=1, le=1000, description="Members asked for at once")

    @property
    def asks(self) -> bool:
        """Whether we were given a way to ask; otherwise we only hear."""
        return bool(self.bot_token.get_secret_value())

    def may_ask(self, user: str) -> bool:
        """Whether this user may ask the desk."""
        return not self.askers or any(fnmatchcase(user, one) for one in self.askers)

    def http(self) -> Http:
        """A client that is let in."""
        if not self.asks:
            raise ConfigError("this connection only receives events", hint="Set bot_token.")
        token = self.bot_token.get_secret_value()
        headers = {"Authorization": f"Bearer {token}"}
        return Http(self.api_url, headers=headers, raise_for_body=ANSWERS)
