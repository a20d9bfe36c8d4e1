"""What a HubSpot connection is configured with: it pulls and writes, receives, listens, or all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import Field, SecretStr

from hub.sdk import ConnectionConfig


class HubspotConfig(ConnectionConfig):
    client_secrets: tuple[SecretStr, ...] = Field(
        default=(),
        description="Client secret of the app, by which its events are proven; two while one is "
        "rotated",
    )
    versions: tuple[Literal["v3", "v2", "v1"], ...] = Field(
        min_length=1,
        default=("v3",),
        description="Signatures we believe; v1 and v2 can be sent again by whoever saw them",
    )
    access_token: SecretStr = Field(
        default=SecretStr(""),
        description="Token of a private app; without it, and without sign_in, nothing is pulled",
    )
    sign_in: bool = Field(
        default=False, description="An account lets the app in by `hub connect`, instead of a token"
    )
    client_id: SecretStr = Field(
        default=SecretStr(""),
        description="Client id of the app, for sign_in and for the journal",
    )
    portal_id: int | None = Field(
        default=None, description="Account whose events are read; all the app's, if not given"
    )
    api_url: str = Field(
        default="https://api.hubapi.com",
        pattern=r"^https?://",
        description="Where HubSpot is asked",
    )
    authorize_url: str = Field(
        default="https://app.hubspot.com/oauth/authorize",
        pattern=r"^https://",
        description="The page on which an account lets the app in",
    )
    objects_path: str = Field(
        default="/crm/v3/objects",
        pattern=r"^/",
        description="Version of the objects' API; dated ones: /crm/objects/2026-03",
    )
    associations_path: str = Field(
        default="/crm/v4/associations",
        pattern=r"^/",
        description="Version of the associations' API; dated ones: /crm/associations/2026-03",
    )
    journal_version: str = Field(
        default="2026-03", pattern=r"^[\w-]+$", description="Version of the journal's API"
    )
    marker_property: str = Field(
        default="hub_id",
        pattern=r"^[a-z0-9_]+$",
        description="Text property with unique values, by which what the hub made is found again",
    )
    more_properties: Mapping[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Properties of your own to read, by stream",
        examples=[{"tickets": ["serial_number"]}],
    )
    currency: str = Field(
        default="CNY",
        pattern=r"^[A-Z]{3}$",
        description="Currency of deals that name none",
    )
    backfill_from: datetime | None = Field(
        default=None, description="Leave out what was last changed before this instant"
    )
    page_size: int = Field(default=100, ge=1, le=100, description="Records per call")

    @property
    def calls(self) -> bool:
        """Whether it may ask for records, beside taking events."""
        return self.sign_in or bool(self.access_token.get_secret_value())
