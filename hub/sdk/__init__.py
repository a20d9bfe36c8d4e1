"""The only part of the hub an adapter may import (beside ``hub.sdk.signing`` and ``hub.sdk.auth``).

See CONTRIBUTING.md for how an adapter is made; ``hub new-adapter NAME`` writes the skeleton.
"""

from __future__ import annotations

from hub.errors import (
    AuthError,
    ConfigError,
    ConflictError,
    CursorExpiredError,
    PacedError,
    RejectedError,
    RemoteError,
    RetryableError,
    SignatureError,
    UnknownOutcomeError,
    UnsupportedError,
)
from hub.instants import as_version, instant, written, zone_of
from hub.sdk.adapter import Adapter, ConnectionConfig, SitePath, capabilities, config_class
from hub.sdk.answers import Answers, JsonPath, at
from hub.sdk.desk import Desk, Query, Shown, View, as_card, asked_for
from hub.sdk.egress import connect_address
from hub.sdk.http import Http, Outgoing
from hub.sdk.markup import Link, links
from hub.sdk.names import parted
from hub.sdk.pace import urgent
from hub.sdk.panel import Asked, Panel
from hub.sdk.polling import expiring, scan, sweep
from hub.sdk.rows import id_of, parts_of, plain
from hub.sdk.types import (
    Change,
    Deleted,
    Described,
    Emit,
    Envelope,
    Found,
    HookRequest,
    Item,
    News,
    Page,
    Raw,
    Receipt,
    RecordRef,
    Reply,
    Row,
    Sighting,
    Stream,
    Survey,
    Tally,
    Window,
    tally_digest,
)
from hub.sdk.webhook import WebhookReceiver

__all__ = [
    "Adapter",
    "Answers",
    "Asked",
    "AuthError",
    "Change",
    "ConfigError",
    "ConflictError",
    "ConnectionConfig",
    "CursorExpiredError",
    "Deleted",
    "Described",
    "Desk",
    "Emit",
    "Envelope",
    "Found",
    "HookRequest",
    "Http",
    "Item",
    "JsonPath",
    "Link",
    "News",
    "Outgoing",
    "PacedError",
    "Page",
    "Panel",
    "Query",
    "Raw",
    "Receipt",
    "RecordRef",
    "RejectedError",
    "RemoteError",
    "Reply",
    "RetryableError",
    "Row",
    "Shown",
    "Sighting",
    "SignatureError",
    "SitePath",
    "Stream",
    "Survey",
    "Tally",
    "UnknownOutcomeError",
    "UnsupportedError",
    "View",
    "WebhookReceiver",
    "Window",
    "as_card",
    "as_version",
    "asked_for",
    "at",
    "capabilities",
    "config_class",
    "connect_address",
    "expiring",
    "id_of",
    "instant",
    "links",
    "parted",
    "parts_of",
    "plain",
    "scan",
    "sweep",
    "tally_digest",
    "urgent",
    "written",
    "zone_of",
]
