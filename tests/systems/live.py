"""Connections to the systems a session started, and what the tests of each adapter share."""

from __future__ import annotations

import uuid
from typing import Any

from demo.systems import Mailbox, Roundup, Tryton
from hub.registry import Live, manifest
from hub.sdk import Change, Raw

LOOPBACK = ["127.0.0.0/8"]


def erp(tryton: Tryton, **more: Any) -> Live:
    base, _, database = tryton.url.rpartition("/")
    key = tryton.env()["TRYTON_REST_KEY"]
    given = {"url": base, "database": database, "api_key": key, "allow_networks": LOOPBACK}
    return Live("erp", manifest("tryton"), {**given, **more})


def desk(roundup: Roundup, **more: Any) -> Live:
    env = roundup.env()
    given = {"url": env["ROUNDUP_URL"], "username": env["ROUNDUP_USER"], "agents": ["agent"]}
    given |= {"password": env["ROUNDUP_PASSWORD"], "allow_networks": LOOPBACK}
    return Live("desk", manifest("roundup"), {**given, **more})


def mail(mailbox: Mailbox, **more: Any) -> Live:
    env = mailbox.env()
    given = {"address": env["MAILBOX_USER"], "password": env["MAILBOX_PASSWORD"]}
    given |= {"imap_host": "127.0.0.1", "imap_port": mailbox.port, "imap_tls": "none"}
    given |= {"smtp_host": "127.0.0.1", "smtp_port": mailbox.smtp_port, "smtp_tls": "none"}
    given |= {"smtp_login": False, "allow_networks": LOOPBACK}
    return Live("mail", manifest("email"), {**given, **more})


def pulled(live: Live, stream: str, cursor: str | None = None) -> tuple[dict[str, Raw], str | None]:
    """The newest copy of every row by id, and the last cursor."""
    spec, rows = live.mappings[stream], {}
    for page in live.adapter.pull(live.streams[stream], cursor):
        rows.update({spec.external_id(raw): raw for raw in page.records})
        cursor = page.cursor
    return rows, cursor


def change(id_: str | None = None, **values: Any) -> Change:
    key = uuid.uuid4().hex
    return Change(id=id_, values=values, key=key, marker=f"hub-{key[:16]}")
