"""ServiceNow: what the script of a business rule sends; the one in README.md sends whole records.

Source: https://www.servicenow.com/docs/r/api-reference/web-services/c_ScriptingOutboundREST.html
(checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from hub.sdk import Deleted, Envelope, HookRequest, Row, WebhookReceiver
from hub.sdk.proof import ProofConfig, attest, prove


class ServicenowConfig(ProofConfig):
    """One instance: the rule gives a header or logs in by HTTP Basic."""


class ServicenowReceiver(WebhookReceiver[ServicenowConfig]):
    """One instance. A row is a record; its table is its stream."""

    def open(self, request: HookRequest) -> Envelope:
        prove(self.config, request)
        return Envelope(self.items(request.body, _name))

    def parse(self, body: bytes) -> Iterator[Row | Deleted]:
        event = json.loads(body)
        if event["operation"] == "delete":
            yield Deleted(event["table"], event["record"]["sys_id"])
        elif event["operation"] in ("insert", "update"):
            yield Row(event["table"], event["record"])

    def sample(self, at: datetime) -> HookRequest:
        record = {"sys_id": "sample", "sys_mod_count": f"{at.timestamp():.0f}"}
        event = {"table": "sample", "operation": "sample", "record": record}
        return attest(self.config, HookRequest("POST", {}, {}, json.dumps(event).encode(), at))


def _name(event: Any) -> tuple[Any, Any, Any]:
    table, record, verb = event["table"], event["record"], event["operation"]
    place, count = f"{table}/{record['sys_id']}", record.get("sys_mod_count")
    return f"{place}/{count}/{verb}" if count else None, place, f"{table}.{verb}"
