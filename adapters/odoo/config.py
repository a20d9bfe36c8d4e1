"""What an Odoo connection is configured with, whether it pulls, receives or both."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import Field, SecretStr

from hub.sdk.proof import ProofConfig


class OdooConfig(ProofConfig):
    url: str = Field(
        pattern=r"^https?://[^/]+$",
        description="Address of the server",
        examples=["https://odoo.example.org"],
    )
    database: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9_.-]*$",
        description="Name of the database; JSON-2 needs it only where one host serves several",
        examples=["production"],
    )
    door: Literal["json2", "jsonrpc"] = Field(
        default="jsonrpc",
        description="json2: Odoo 19 and later; jsonrpc: 8 to 21, to be removed in 22",
    )
    login: str = Field(
        default="",
        description="Login of the hub's user, for jsonrpc",
        examples=["hub@example.org"],
    )
    api_key: SecretStr = Field(
        default=SecretStr(""),
        description="API key of that user; without it the hub only takes webhooks",
    )
    company_ids: tuple[int, ...] = Field(
        default=(), description="Companies whose records are read; all the user may see, if empty"
    )
    marker_field: str = Field(
        default="",
        pattern=r"^\w*$",
        description="Field of your own, such as x_hub_id, by which what the hub made is found "
        "again; if empty it gets an external id (conduit.…)",
    )
    more_fields: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Fields of your own to read, by stream",
        examples=[{"tickets": ["x_serial_number"]}],
    )
    backfill_from: datetime | None = Field(
        default=None, description="Leave out what was last changed before this instant"
    )
    page_size: int = Field(default=200, ge=1, description="Records per call")

    @property
    def calls(self) -> bool:
        """Whether it may ask for records, beside taking webhooks."""
        return bool(self.api_key.get_secret_value())
