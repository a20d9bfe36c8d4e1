"""Contacts of ``tests.token_server``; its webhooks name a contact, or bring it whole."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pydantic import Field, SecretStr

from hub.sdk import (
    Adapter,
    Change,
    ConnectionConfig,
    Deleted,
    Envelope,
    HookRequest,
    Http,
    Item,
    Page,
    Raw,
    Receipt,
    RecordRef,
    Row,
    Stream,
    WebhookReceiver,
)
from hub.sdk.auth import OAuth2, TokenAuth
from tests.token_server import CLIENT


class VendorConfig(ConnectionConfig):
    url: str = Field(description="Where it is")
    client_secret: SecretStr = Field(description="Of our registration there")


class VendorAdapter(Adapter[VendorConfig]):
    looks_up = True
    streams = (Stream("contacts", writable=True),)

    def oauth(self) -> OAuth2:
        c = self.config
        secret = c.client_secret.get_secret_value()
        return OAuth2(f"{c.url}/token", CLIENT, secret, authorize_url=f"{c.url}/agree")

    def connect(self) -> Http:
        return Http(self.config.url, auth=TokenAuth(self.tokens, self.oauth().renew))

    def check(self) -> None:
        self.http.get("/records")

    def pull(self, stream: Stream, cursor: str | None) -> Iterator[Page]:
        rows = self.http.get("/records")
        new = [row for row in rows if row["version"] > (cursor or "")]
        yield Page(records=new, cursor=max((row["version"] for row in rows), default=cursor or ""))

    def fetch(self, ref: RecordRef) -> Raw | None:
        found: Raw | None = self.http.get("/record", params={"id": ref.id})
        return found

    def push(self, stream: Stream, change: Change) -> Receipt:
        told = {"id": change.id, "values": dict(change.values)}
        row = self.http.json("POST", "/write", json=told, idempotency_key=change.key)
        return Receipt(row["id"], row)


class VendorReceiver(WebhookReceiver[VendorConfig]):
    def open(self, request: HookRequest) -> Envelope:
        return Envelope(items=[Item(request.body)])

    def parse(self, body: bytes) -> Iterator[Row | RecordRef | Deleted]:
        told = json.loads(body)
        if "record" in told:
            yield Row("contacts", told["record"])
        else:
            yield RecordRef("contacts", told["id"])
