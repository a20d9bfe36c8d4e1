"""Salesforce outbound messages: SOAP that nobody signs, sent again until it is acknowledged.

A message carries the fields its author chose, and always their newest values: it says that a record
changed, not what it is.

Source: https://developer.salesforce.com/docs/platform/api/guide/
sforce-api-om-outboundmessaging-notifications.html (checked 2026-11)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import Element

from adapters.salesforce.config import SalesforceConfig
from adapters.salesforce.soql import OBJECTS
from hub.sdk import Envelope, HookRequest, RecordRef, Reply, WebhookReceiver
from hub.sdk.proof import attest, prove
from hub.sdk.signing import verify_token, xml

SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
OUTBOUND = "{http://soap.sforce.com/2005/09/outbound}"
TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"

STREAMS = {name: stream for stream, name in OBJECTS.items()}

ACK = Reply(
    200,
    b'<?xml version="1.0" encoding="UTF-8"?>'
    b'<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    b'<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack>'
    b"</notificationsResponse></soapenv:Body></soapenv:Envelope>",
    {"Content-Type": "text/xml; charset=utf-8"},
)

_SAMPLE = (
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
    '<notifications xmlns="http://soap.sforce.com/2005/09/outbound"><OrganizationId>{organization}'
    "</OrganizationId><Notification><Id>sample-{at:.0f}</Id></Notification></notifications>"
    "</soapenv:Body></soapenv:Envelope>"
)


class SalesforceReceiver(WebhookReceiver[SalesforceConfig]):
    """Outbound messages of our organizations. An item is one notification, as JSON."""

    def open(self, request: HookRequest) -> Envelope:
        prove(self.config, request)
        root = xml(request.body)
        told = root.findtext(f"{SOAP}Body/{OUTBOUND}notifications/{OUTBOUND}OrganizationId") or ""
        # The last three of 18 letters only guard against wrong case.
        verify_token([id_[:15] for id_ in self.config.organization_ids], told.strip()[:15])
        return Envelope(self.items(request.body, _name, _split, read=lambda _: root), ACK)

    def parse(self, body: bytes) -> Iterator[RecordRef]:
        """The record, which must be fetched to be known; nothing where the hub may not ask."""
        told = json.loads(body)
        _name(told)
        id_, stream = told["record"].get("Id"), STREAMS.get(told["type"])
        if self.config.calls and stream and id_:
            yield RecordRef(stream, id_)

    def sample(self, at: datetime) -> HookRequest:
        told = _SAMPLE.format(organization=self.config.organization_ids[0], at=at.timestamp())
        return attest(self.config, HookRequest("POST", {}, {}, told.encode(), at))


def _split(root: Element) -> Iterator[dict[str, Any]]:
    for one in root.iterfind(f".//{OUTBOUND}Notification"):
        record = one.find(f"{OUTBOUND}sObject")
        told: dict[str, Any] = {"id": one.findtext(f"{OUTBOUND}Id"), "type": "", "record": {}}
        if record is not None:
            told["type"] = record.get(TYPE, "").rpartition(":")[2]
            told["record"] = {child.tag.rpartition("}")[2]: child.text for child in record}
        yield told


def _name(one: Any) -> tuple[Any, Any, Any]:
    id_ = one["record"].get("Id")
    return one["id"], f"{one['type']}/{id_}" if id_ else None, one["type"]
