"""Jira webhooks: issues and comments as they are now.

Source: https://developer.atlassian.com/cloud/jira/platform/webhooks/ (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import Field, SecretStr

from hub.sdk import ConnectionConfig, Deleted, Envelope, HookRequest, Row, WebhookReceiver
from hub.sdk.signing import Recipe, revealed

RECIPE = Recipe(signature="header:x-hub-signature", parts=("body",), prefix="sha256=")


class JiraConfig(ConnectionConfig):
    secrets: tuple[SecretStr, ...] = Field(
        min_length=1, description="Secret of the webhook; two while one is changed"
    )


class JiraReceiver(WebhookReceiver[JiraConfig]):
    """One site. A row is an issue, or a comment with ``issue_id``."""

    def open(self, request: HookRequest) -> Envelope:
        RECIPE.verify(request, revealed(self.config.secrets))
        identifier = request.headers.get("x-atlassian-webhook-identifier")

        def name(event: Any) -> tuple[Any, Any, Any]:
            issue = event.get("issue") or {}
            key = f"issues/{issue['id']}" if "id" in issue else None
            return identifier, key, event["webhookEvent"]

        return Envelope(self.items(request.body, name))

    def parse(self, body: bytes) -> Iterator[Row | Deleted]:
        event = json.loads(body)
        what, _, verb = event["webhookEvent"].removeprefix("jira:").partition("_")
        if what not in ("issue", "comment"):
            return
        record, stream = event[what], f"{what}s"
        if verb == "deleted":
            yield Deleted(stream, str(record["id"]))
        elif what == "issue":
            yield Row(stream, record)
        elif record.get("jsdPublic") is not False:  # notes among colleagues are no words to anybody
            yield Row(stream, {**record, "issue_id": event["issue"]["id"]})

    def sample(self, at: datetime) -> HookRequest:
        event = {"webhookEvent": "sample", "timestamp": round(at.timestamp() * 1000)}
        bare = HookRequest("POST", {}, {}, json.dumps(event).encode(), at)
        return RECIPE.sign(bare, revealed(self.config.secrets)[0])
