"""Connections to the systems a session started, and what the tests of each adapter share."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from demo.systems import Mailbox, Matrix, Roundup, Tryton
from hub.registry import Hub, Live, manifest
from hub.sdk import Change, Raw
from hub.store import checkpoints

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


def chat(matrix: Matrix, **more: Any) -> Live:
    env = matrix.env()
    given = {"homeserver": env["MATRIX_URL"], "access_token": env["MATRIX_TOKEN"]}
    return Live("chat", manifest("matrix"), {**given, "allow_networks": LOOPBACK, **more})


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


def surveyed(live: Live, stream: str) -> dict[str, str]:
    """The version of everything that exists; every cursor leads on to what comes behind it."""
    pages = list(live.adapter.survey(live.streams[stream], None))
    for number, page in enumerate(pages[:-1], start=1):
        assert list(live.adapter.survey(live.streams[stream], page.cursor)) == pages[number:]
    assert pages[-1].cursor is None
    return {one.id: one.version for page in pages for one in page.sightings}


def versions(live: Live, stream: str) -> dict[str, str]:
    """The version of every row that is pulled."""
    spec = live.mappings[stream]
    return {id_: spec.raw_version(raw) for id_, raw in pulled(live, stream)[0].items()}


def look_away(hub: Hub, connection: str, stream: str) -> None:
    """What changes in the system from now on is passed over by the pull."""
    later = datetime.now(UTC) + timedelta(days=1)
    with hub.database.write() as conn:
        checkpoints.advance(conn, connection, stream, json.dumps({"since": later.isoformat()}), 0)
