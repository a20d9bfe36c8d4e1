"""What a Salesforce connection is configured with, whether it pulls, receives or both."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pydantic import Field, SecretStr

from hub.sdk.proof import ProofConfig


class SalesforceConfig(ProofConfig):
    organization_ids: tuple[str, ...] = Field(
        min_length=1,
        description="Ids of the organizations we take messages from (Company Information)",
        examples=[["00D000000000001EAA"]],
    )
    client_id: SecretStr = Field(
        default=SecretStr(""),
        description="Consumer key of the external client app; without it nothing is pulled",
    )
    client_secret: SecretStr = Field(
        default=SecretStr(""), description="Consumer secret, for client credentials"
    )
    url: str = Field(
        default="https://login.salesforce.com",
        pattern=r"^https?://[^/]+$",
        description="Where tokens are had; client credentials want the org's own My Domain",
        examples=["https://example.my.salesforce.com"],
    )
    username: str = Field(
        default="", description="User the hub acts as, for a signed assertion (JWT bearer)"
    )
    private_key: SecretStr = Field(
        default=SecretStr(""), description="Private RSA key (PEM) whose certificate the app knows"
    )
    audience: str = Field(
        default="https://login.salesforce.com",
        description="Whom the assertion is for; sandboxes: https://test.salesforce.com",
    )
    api_version: str = Field(
        default="67.0", pattern=r"^\d+\.\d$", description="Version of the REST interface"
    )
    external_id_field: str = Field(
        default="Hub_Id__c",
        pattern=r"^\w+$",
        description="Text field, external id and unique, by which what the hub made is found again",
    )
    more_fields: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Fields of your own to read, by stream",
        examples=[{"cases": ["Serial_Number__c"]}],
    )
    currency: str = Field(
        default="CNY",
        pattern=r"^[A-Z]{3}$",
        description="Currency of amounts, where the org has only one",
    )
    bulk: bool = Field(
        default=False, description="Read the first load and history by the Bulk API (CSV)"
    )
    bulk_rows: int = Field(default=5000, ge=1, description="Rows per page of the Bulk API")
    api_share: float = Field(
        default=0.8,
        gt=0,
        le=1,
        description="Pulls rest when this share of the org's calls of 24 hours is used up",
    )
    backfill_from: datetime | None = Field(
        default=None, description="Leave out what was last changed before this instant"
    )
    page_size: int = Field(default=1000, ge=1, le=2000, description="Rows per query")

    @property
    def calls(self) -> bool:
        """Whether it may ask Salesforce, beside taking messages."""
        return bool(self.client_id.get_secret_value())
