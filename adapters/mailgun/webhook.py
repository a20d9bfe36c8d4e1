"""Mailgun: Routes post mail as a form, event webhooks post JSON; both carry one signature triple.

It covers its instant and a token that is never used twice, and nothing of the message: a token is
therefore the event's id, so that nobody can send another message with it.

Source: https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks
(checked 2026-11)
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from email.utils import parseaddr
from typing import Any

import nh3
from pydantic import Field, SecretStr

from hub.sdk import ConnectionConfig, Envelope, HookRequest, Raw, Reply, Row, WebhookReceiver
from hub.sdk.signing import Recipe, form, revealed, verify_any

RECIPE = Recipe(
    signature="json:signature.signature",
    parts=("json:signature.timestamp", "json:signature.token"),
    timestamp="json:signature.timestamp",
)

PARENT = RECIPE.model_copy(update={"signature": "json:signature.parent-signature"})
"""By which the main account signs events of its subaccounts as well."""

_SIGNED = RECIPE.model_copy(update={"signature": "header:signature"})  # to read it off a sample

TRIPLE = ("timestamp", "token", "signature")

_NAME = re.compile(rb'[; ]name="([^"]*)"')
_LINE_END = re.compile(r"(?i)<(br|/p|/div|/tr|/li|/h[1-6])\b[^>]*>")


class MailgunConfig(ConnectionConfig):
    signing_keys: tuple[SecretStr, ...] = Field(
        min_length=1,
        description="HTTP webhook signing key, which is not the API key; two while one is replaced",
    )
    tolerance_s: int = Field(
        default=300,
        ge=60,
        le=86400,
        description="How far the instant may be from now, in seconds; raise it if mail that comes "
        "again after an outage is refused as stale",
    )


class MailgunReceiver(WebhookReceiver[MailgunConfig]):
    """One account. A row is a mail that a Route forwarded."""

    def open(self, request: HookRequest) -> Envelope:
        body = request.body
        if not body.startswith(b"{"):
            fields = _fields(body)
            triple = {name: fields[name] for name in TRIPLE if name in fields}
            body = json.dumps({"signature": triple}).encode()
        within = {"tolerance_s": self.config.tolerance_s}
        recipes = {"own": RECIPE, "parent": PARENT}
        timed = {name: recipe.model_copy(update=within) for name, recipe in recipes.items()}
        verify_any(timed, replace(request, body=body), revealed(self.config.signing_keys))
        return Envelope(self.items(request.body, _name, read=_read), Reply(200, b"ok\n"))

    def parse(self, body: bytes) -> Iterator[Row]:
        said = _read(body)
        if "event-data" not in said:
            yield Row("messages", _mail(said["fields"]))

    def sample(self, at: datetime) -> HookRequest:
        event = {"event": "sample", "id": "sample"}
        signature = {"timestamp": f"{at.timestamp():.0f}", "token": f"sample-{at.timestamp():.0f}"}
        bare = HookRequest("POST", {}, {}, json.dumps({"signature": signature}).encode(), at)
        digest = _SIGNED.sign(bare, revealed(self.config.signing_keys)[0]).headers["signature"]
        told = {"signature": {**signature, "signature": digest}, "event-data": event}
        return replace(bare, body=json.dumps(told).encode())


def _read(body: bytes) -> Any:
    if body.startswith(b"{"):
        return json.loads(body)
    fields = _fields(body)
    return {"signature": fields, "fields": fields}


def _fields(body: bytes) -> dict[str, str]:
    """The fields of either kind of form; of a name that comes twice the last one counts."""
    return dict(_parts(body)) if body.startswith(b"--") else dict(form(body))


def _parts(body: bytes) -> Iterator[tuple[str, str]]:
    boundary, _, rest = body.partition(b"\r\n")
    for part in rest.split(b"\r\n" + boundary):
        head, _, content = part.partition(b"\r\n\r\n")
        found = _NAME.search(head)
        if found and b"filename=" not in head:
            yield found[1].decode("utf-8", "replace"), content.decode("utf-8", "replace")


def _name(said: Any) -> tuple[Any, Any, Any]:
    event = said.get("event-data") or {}
    return said["signature"]["token"], None, event.get("event") or "mail"


def _mail(fields: Mapping[str, str]) -> Raw:
    name, address = parseaddr(fields["from"])
    markup = fields.get("body-html", "")
    headers = {
        name.lower(): value for name, value in json.loads(fields.get("message-headers", "[]"))
    }
    return {
        "message_id": fields.get("Message-Id") or headers.get("message-id"),
        "from": {"name": name, "address": address},
        "to": fields.get("recipient", ""),
        "subject": fields.get("subject", ""),
        "text": fields.get("body-plain") or _without_tags(markup),
        "html": nh3.clean(markup, tags=nh3.ALLOWED_TAGS - {"img"}),  # images tell who reads when
        "in_reply_to": fields.get("In-Reply-To") or headers.get("in-reply-to"),
        "timestamp": fields["timestamp"],
        "automatic": _is_automatic(headers),
    }


def _without_tags(markup: str) -> str:
    spaced = _LINE_END.sub(r"\g<0>\n", markup)
    return html.unescape(nh3.clean(spaced, tags=set())).strip()


def _is_automatic(headers: Mapping[str, str]) -> bool:
    """Written by a machine or to a list (RFC 3834), so that answering could make a loop."""
    submitted = headers.get("auto-submitted", "no").partition(";")[0].strip().lower()
    return submitted != "no" or headers.get("precedence", "").lower() in ("bulk", "list", "junk")
